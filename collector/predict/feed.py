"""What one entry of the log says to an engine: readings, where terminals stand, what people decided. The follower, the training and the back-test feed their
engines with it and nothing else, so that all of them are told the same of the same log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from tillwatch.agent.wire import Column, Refusal, VerifyKey, WireError, open_batch_frame
from tillwatch.collector.alarm.rules import Rules, parse_rules
from tillwatch.collector.duty.policy import Policy, parse_policy
from tillwatch.collector.journal import Entry, Kind
from tillwatch.collector.predict.events import Events
from tillwatch.collector.predict.finding import Happened
from tillwatch.collector.records import LIFE_CYCLE
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Fault, Logged
from tillwatch.collector.terminal.fleet import IN_SERVICE


class Hears(Protocol):
    """The engine's calls that tell it something; see engine.py."""

    def place(self, terminal: str, branch: str, region: str, terminal_class: str, zone: str = "") -> None: ...

    def read(
        self, terminal: str, columns: Sequence[Column], at: int, *, correction_ms: int = 0, historical: bool = False
    ) -> None: ...

    def happened(self, event: Happened) -> None: ...


class Surroundings:
    """What an entry is understood by at its place in the log: where terminals stand, the tables of that time, and how far events were read."""

    def __init__(self) -> None:
        self.events = Events()
        self.places: dict[str, tuple[str, str, str]] = {}
        self.texts: dict[str, str] = {}
        self.rules: Rules = parse_rules()
        self.policy: Policy = parse_policy()

    def tables(self, texts: Mapping[str, str]) -> None:
        """texts: of a RulesChanged entry."""
        self.texts = dict(texts)
        if "shipped" in texts:
            self.rules = parse_rules(texts["site"], shipped=texts["shipped"], replay=True)
        if "policy" in texts:
            self.policy = parse_policy(texts["policy"], shipped=texts["shipped_policy"], replay=True)


class Feed:
    """fault: told of a batch that cannot be opened."""

    def __init__(self, engine: Hears, known: Surroundings, db: Db, fault: Callable[[Fault], None]) -> None:
        self._engine, self._known, self._fault = engine, known, fault
        self._keys = Keys(db)

    def events(self, until: int) -> None:
        """All that happened up to this time, UTC ns."""
        for event in self._known.events.until(until, self._known.rules):
            self._engine.happened(event)

    def entry(self, logged: Logged) -> None:
        """What stands in it."""
        match logged.entry.kind:
            case Kind.BATCH if logged.frame is not None:
                self._batch(logged)
            case Kind.OPERATOR:
                self._act(logged.entry)
            case Kind.RULES_CHANGED:
                self._known.tables(logged.entry.facts_map())
                self._place(self._known.places)

    def _batch(self, logged: Logged) -> None:
        entry, facts = logged.entry, logged.entry.facts_map()
        assert logged.frame is not None
        try:
            opened = open_batch_frame(entry.terminal, logged.frame, self._keys)
        except WireError as error:
            self._fault(Fault("damage", entry.n, entry.n, f"its batch cannot be opened: {error}"))
            return
        correction, historical = int(facts.get("correction_ms", 0)), bool(facts.get("historical"))
        self._engine.read(entry.terminal, opened.columns, entry.at, correction_ms=correction, historical=historical)

    def _act(self, entry: Entry) -> None:
        facts = entry.facts_map()
        match facts.get("action"):
            case "enrol":
                self._known.places[entry.terminal] = (facts["branch"], facts["region"], facts["class"])
                self._place([entry.terminal])
                self._engine.happened(Happened(entry.at, "enrolled", entry.terminal))
            case "revoke":
                self._engine.happened(Happened(entry.at, "life_cycle", entry.terminal, value="revoked"))
            case "life-cycle" if facts.get("state") in (IN_SERVICE, *LIFE_CYCLE):
                self._engine.happened(Happened(entry.at, "life_cycle", entry.terminal, value=facts["state"]))

    def _place(self, terminals: Iterable[str]) -> None:
        policy = self._known.policy
        for terminal in terminals:
            branch, region, kind = self._known.places[terminal]
            self._engine.place(terminal, branch, region, kind, policy.branch(branch).zone or policy.zone)


class Keys:
    """The signing keys of terminals as the store has them, those that are over too: a batch of the log was good when it came."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._known: dict[tuple[str, bytes], VerifyKey] = {}

    def knows(self, terminal: str) -> bool:
        return self._db.execute("SELECT 1 FROM terminal WHERE id = ?", (terminal,)).fetchone() is not None

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        known = self._known.get((terminal, key_id))
        if known is None:
            row = self._db.execute(
                "SELECT public FROM terminal_key WHERE terminal = ? AND key_id = ?", (terminal, key_id)
            ).fetchone()
            if row is None:
                return Refusal.UNKNOWN_KEY
            known = self._known[terminal, key_id] = VerifyKey(row[0])
        return known
