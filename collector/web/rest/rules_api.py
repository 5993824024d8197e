"""The routes of rules: those in force with what they did, and trials of one with other limits over the stored history. Nothing is switched on here: a trial says what to
write into the rules file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Response

from tillwatch.collector.alarm.rule_changes import Origin, origins, switched_off
from tillwatch.collector.alarm.rules import Rules, RulesError, parse_rules
from tillwatch.collector.duty.calendars import DAY_NS
from tillwatch.collector.oversight import RuleCount
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, Language, Limit, Offset, known, moment
from tillwatch.collector.web.rest.exports import FILES, Exports, Format
from tillwatch.collector.web.rest.rules_schema import (
    Backtest,
    BacktestAsked,
    RuleDetail,
    RuleOff,
    RulePage,
    RuleShort,
    TriedEpisode,
    text_of,
)
from tillwatch.collector.web.rest.schema import Page
from tillwatch.collector.web.translation import Translation
from tillwatch.collector.web.trials import Asked, Full, Trial, Trials
from tillwatch.device_profiles.catalogue import kept_catalogue

DAYS = 30
"""Of what rules did: a month, in which every kind of day has been."""
KEPT_NS = 20 * 10**9
"""How old the counts in the list may be: of ten thousand terminals they take most of a second."""
MAX_KEPT = 100
"""Scopes whose counts are kept: one for each that people have."""
MAX_DAYS = 400
"""Of a trial: retention keeps no more readings by default."""
MAX_TEXT = 100

RuleId = Annotated[str, Path(max_length=100, examples=["disk.full"])]
TrialId = Annotated[str, Path(max_length=32)]


def add(api: APIRouter, parts: Parts) -> None:
    reads, now = parts.reads, parts.now
    translation = Translation(parts.cards)
    exports = Exports(reads, now)
    trials = Trials(parts.store, now) if parts.store is not None else None
    if trials is not None:
        parts.at_end.append(trials.close)

    counts: dict[object, tuple[int, Mapping[str, RuleCount]]] = {}

    async def counted() -> Mapping[str, RuleCount]:
        """Of the asker's part, at most KEPT_NS old: each letter of a search asks again."""
        at, key = now(), asking().scope
        known = counts.get(key)
        if known is None or not 0 <= at - known[0] < KEPT_NS:
            if len(counts) >= MAX_KEPT:
                counts.clear()
            known = counts[key] = (at, await reads(lambda reader: reader.rules_fired(at - DAYS * DAY_NS)))
        return known[1]

    @api.get(
        "/rules",
        response_model=RulePage,
        responses={**FILES, **SOME},
        dependencies=[needs(Permission.SEE)],
        summary="Rules in force, and what each did within a month",
    )
    async def rules(
        response: Response,
        q: Annotated[str, Query(max_length=MAX_TEXT, description="A part of the id, the words or the signals")] = "",
        party: Annotated[str, Query(max_length=MAX_TEXT, description="Only rules of faults that this party answers for")] = "",
        origin: Annotated[str | None, Query(pattern="^(shipped|changed|own)$")] = None,
        sort: Annotated[str, Query(pattern="^(id|raised|wrong|open)$", description="`id`, or the most raised, wrong or open first")] = "id",
        lang: Language = "en",
        limit: Limit = 200,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:  # fmt: skip
        response.headers["Cache-Control"] = "no-store"
        book, fired = await reads(lambda reader: reader.in_force()), await counted()
        from_where, word = origins(book.rules), q.strip().casefold()
        found = [
            RuleShort.of(rule, translation.card(rule, lang), from_where[name], fired.get(name, RuleCount()))
            for name, rule in book.rules.by_id.items()
            if party in ("", rule.party) and origin in (None, from_where[name].kind)
        ]
        signals = {name: " ".join(rule.signals) for name, rule in book.rules.by_id.items()}
        found = [each for each in found if word in f"{each.id} {each.text} {signals[each.id]}".casefold()]
        found.sort(key=lambda each: (0 if sort == "id" else -getattr(each.fired, sort), each.id))
        if form is not None:
            return await exports(RuleShort, found, form, "rules")
        off = [RuleOff(id=each.id, text=each.text, why=each.why) for each in switched_off(book.rules)]
        return RulePage(items=found[offset : offset + limit], total=len(found), limit=limit, offset=offset, days=DAYS, off=off)  # fmt: skip

    @api.get(
        "/rules/{rule}",
        response_model=RuleDetail,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE)],
        summary="One rule: its limits, its words, and what it did within a month",
    )
    async def one(response: Response, rule: RuleId, lang: Language = "en") -> Any:
        response.headers["Cache-Control"] = "no-store"
        at = now()
        book, record = await reads(lambda r: (r.in_force(), r.rule_record(rule, at - DAYS * DAY_NS, at)))
        found = book.rules.by_id.get(rule)
        if found is None:
            raise HTTPException(404, f"there is no rule {rule!r} in force")
        signal = kept_catalogue().signals.get(found.signal)
        levels = {name: each.levels[rule] for name, each in book.policy.classes.items() if rule in each.levels}
        return RuleDetail.made(
            found, translation.card(found, lang), origins(book.rules).get(rule, Origin("own")), record, signal.unit if signal is not None else "", levels,
        )  # fmt: skip

    # Trials.

    @api.post(
        "/backtests",
        response_model=Backtest,
        status_code=202,
        responses=PROBLEMS,
        dependencies=[needs(Permission.TRY_RULES)],
        summary="Try a rule with other limits over the stored history",
    )
    async def start(asked: BacktestAsked) -> Any:
        made, scope = _trials(), asking().scope
        since, until = moment(asked.since, "from") or 0, moment(asked.until or None, "to") or now()
        until = min(until, now())
        if not 0 < until - since <= MAX_DAYS * DAY_NS:
            raise HTTPException(422, f"body.to: after `from`, which is past, and at most {MAX_DAYS} days later")
        book, places = await reads(lambda reader: (reader.in_force(), reader.places()))
        if asked.rule not in book.rules.by_id:
            raise HTTPException(404, f"there is no rule {asked.rule!r} in force")
        if asked.terminal and asked.terminal not in places:
            raise HTTPException(404, f"no {asked.terminal!r} in the store")
        text = text_of(asked.rule, asked.changes)
        _check(book.rules, text)
        only = None if scope.whole else frozenset(places)
        try:
            return _shown(made.start(_owner(), Asked(asked.rule, text, since, until, asked.terminal, only)))
        except Full as error:
            raise HTTPException(503, f"{error}; ask again when one is done", {"Retry-After": "30"}) from None

    @api.get(
        "/backtests",
        response_model=Page[Backtest],
        responses=SOME,
        dependencies=[needs(Permission.TRY_RULES)],
        summary="The asker's own trials since the console started, the newest first, without their reports",
    )
    async def listed(
        response: Response,
        rule: Annotated[str, Query(max_length=MAX_TEXT)] = "",
        limit: Limit = 20,
        offset: Offset = 0,
    ) -> Any:
        response.headers["Cache-Control"] = "no-store"
        found = [each for each in (trials.of(_owner()) if trials is not None else ()) if rule in ("", each.asked.rule)]
        return Page[Backtest].part(found, lambda each: _shown(each, whole=False), limit, offset)

    @api.get(
        "/backtests/{trial}",
        response_model=Backtest,
        responses={**FILES, **PROBLEMS},
        dependencies=[needs(Permission.TRY_RULES)],
        summary="How far a trial is, and what came of it",
    )
    async def progress(response: Response, trial: TrialId, form: Format = None) -> Any:
        response.headers["Cache-Control"] = "no-store"
        found = await _own(trial)
        if form is None:
            return _shown(found)
        if found.report is None:
            raise HTTPException(409, f"the trial is {found.state}: there is nothing to take away")
        return await exports(TriedEpisode, TriedEpisode.all_of(found.report), form, f"backtest-{found.asked.rule}")

    @api.delete(
        "/backtests/{trial}",
        status_code=204,
        responses=PROBLEMS,
        dependencies=[needs(Permission.TRY_RULES)],
        summary="Call a trial off",
    )
    async def call_off(trial: TrialId) -> Response:
        await _trials().call_off(await _own(trial))
        return Response(status_code=204)

    def _trials() -> Trials:
        if trials is None:
            raise HTTPException(503, "this console has no store of its own to try rules on")
        return trials

    async def _own(trial: str) -> Trial:
        async def ask() -> Trial:
            return _trials().get(_owner(), trial)

        return await known(ask, f"trial {trial}")


def _shown(trial: Trial, *, whole: bool = True) -> Backtest:
    return Backtest.of(trial, whole=whole)


def _owner() -> str:
    """Whose trials these are: a person's, whichever of his sessions asks, and of nobody by name those of all without one."""
    return asking().name


def _check(rules: Rules, text: str) -> None:
    """Raises HTTPException 422 with what the table says of such a change."""
    try:
        parse_rules(f"{rules.text}\n{text}", shipped=rules.shipped, replay=True)
    except RulesError as error:
        raise HTTPException(422, f"body.changes: {error}") from None
