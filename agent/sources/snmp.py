"""An SNMP device as a Source: finds its profile once, and again after each failure; reads what the profile says, one polling class at a time.

The NORMAL class walks the tables, so that rows that came, went or moved are seen, and prepares what the FAST and SLOW classes ask for with plain GETs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_budget import REQUESTS_A_MINUTE, SLEEP_S, TELL_REST_S, BackOff, sleeping
from tillwatch.agent.sources.snmp_client import SYS_UPTIME, SnmpClient
from tillwatch.agent.sources.snmp_map import MAX_ROWS, Bound, bind, evaluate, today
from tillwatch.agent.sources.snmp_quantity import Earlier, wrap_of
from tillwatch.agent.sources.snmp_values import Raw, at, is_scalar, number_of, text_of
from tillwatch.agent.transition import Condition
from tillwatch.device_profiles.compiled import CompiledError, Library
from tillwatch.device_profiles.model import DeviceProfile
from tillwatch.device_profiles.recognise import SYS_DESCR, SYS_OBJECT_ID, AmbiguousError, questions, recognise

POLL_SECONDS = 120.0
"""For one poll of one device: a slow BMC with a few hundred values takes 30 s; what takes longer must not hold up the sampler."""
MAX_WALK = 4 * MAX_ROWS
"""Values of one column that are walked: more than MAX_ROWS, so that rows a filter leaves out do not hide those that it keeps."""

_log = logging.getLogger(__name__)


async def recognise_device(client: SnmpClient, library: Library) -> tuple[str, ...]:
    """The ids of the device's profiles; empty where none fits. Raises SourceError."""
    facts = await client.get([SYS_OBJECT_ID, SYS_DESCR])
    object_id, description = text_of(facts.get(SYS_OBJECT_ID, "")), text_of(facts.get(SYS_DESCR, ""))
    try:
        known = library.recognitions
    except (OSError, CompiledError) as error:
        raise _changed(error) from error
    asked = questions(known, object_id, description)
    here = set(await client.get([oid for oid in asked if oid.endswith(".0")]))
    for oid in asked:
        if oid not in here and await client.walk(oid, 1):
            here.add(oid)
    try:
        return recognise(known, object_id, description, here.__contains__)
    except AmbiguousError as error:
        raise SourceError(str(error)) from error


def _changed(error: Exception) -> SourceError:
    return SourceError(f"the device profiles were changed under the running agent ({error}); restart it")


def columns_of(profiles: Iterable[DeviceProfile]) -> list[str]:
    """Every column that a table of the profiles looks at, and what decides whether its rows are collected."""
    found: list[str] = []
    for profile in profiles:
        for table in profile.tables:
            found += [oid for label in table.label for piece in label for oid in (piece.by, piece.oid) if oid]
            found += [condition.oid for condition in table.where if condition.oid]
            for item in (*table.items, *table.collect):
                found += Bound(item, "").oids()
    return [oid for oid in dict.fromkeys(found) if not is_scalar(oid)]


def scalars_of(profiles: Sequence[DeviceProfile]) -> list[str]:
    """Every OID that is asked for by itself."""
    found = [oid for profile in profiles for item in profile.scalars for oid in Bound(item, "").oids()]
    # A column or a subtree is no instance: SNMPv1 would refuse the request. Of those the walked columns tell.
    for profile in profiles:
        for table in profile.tables:
            beside = [
                *(piece.oid for label in table.label for piece in label),
                *(c.oid for c in table.where),
                table.present,
            ]
            beside += [oid for item in (*table.items, *table.collect) for oid in Bound(item, "").oids()]
            found += [oid for oid in beside if oid and is_scalar(oid)]
    return list(dict.fromkeys(found))


async def read_all(client: SnmpClient, profiles: Sequence[DeviceProfile]) -> dict[str, Raw]:
    """All raw values that the profiles look at. Raises SourceError."""
    raws = await client.get([SYS_UPTIME, *scalars_of(profiles)])
    for column in columns_of(profiles):
        raws |= await client.walk(column, MAX_WALK)
    return raws


@dataclass(slots=True)
class _Class:
    """One polling class, prepared: what is evaluated, what is asked for, which columns are walked, and what was given last time."""

    bounds: list[Bound]
    oids: list[str]
    columns: list[str]
    given: dict[tuple[str, str], Bound]


class _Turns:
    """Joins the turns of counters that wrap: what is given only rises while the device runs on. After a restart it begins anew."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[float, float]] = {}

    def forget(self) -> None:
        self._last = {}

    def join(self, sample: Sample, turn: float) -> Sample:
        """turn: how much one wrap is, in the signal's unit."""
        if not isinstance(sample.value, int | float):
            return sample
        key = (sample.component, sample.signal)
        last, base = self._last.get(key, (sample.value, 0))
        if sample.value < last:
            base += turn
        self._last[key] = (sample.value, base)
        return replace(sample, value=sample.value + base) if base else sample


def _turn(bound: Bound, oid: str) -> float:
    """How much one wrap of the counter at `oid` is; 0 where it does not wrap."""
    return next((wrap_of(f) for f in bound.item.fields if not f.per and at(f.oid, bound.suffix) == oid), 0)


class _Rises:
    """What the values that are given per time were at the last poll of each class, until the device restarts."""

    def __init__(self) -> None:
        self._last: dict[PollClass, tuple[float, dict[str, Raw]]] = {}

    def forget(self) -> None:
        self._last = {}

    def since(self, wanted: PollClass, ticks: float, bounds: Iterable[Bound], raws: dict[str, Raw]) -> Earlier | None:
        """What was then; what is now stands in its place. ticks: sysUpTime."""
        fields = [(f, b.suffix) for b in bounds for f in b.item.fields if f.per]
        if not fields:
            return None
        oids = {at(oid, suffix) for field, suffix in fields for oid in (field.oid, *field.beside())}
        before = self._last.get(wanted)
        self._last[wanted] = (ticks, {oid: raws[oid] for oid in oids if oid in raws})
        return Earlier(before[1], (ticks - before[0]) / 100) if before else None


class SnmpSource:
    """A Source. Owns the client and closes it.

    profile: the id of the profile to use, empty to find it; an unknown one raises ValueError. profiles: the ids in use, empty before the first poll.
    omitted: rows that are left out because a table has more than MAX_ROWS. rest: see Sparing; by the bounds of snmp_budget.
    """

    classes = frozenset(PollClass)

    def __init__(self, name: str, client: SnmpClient, library: Library, profile: str = "") -> None:
        if profile and profile not in library.ids:
            raise ValueError(
                f"{name}: no profile {profile!r}; leave it out to have it found, or write one of {', '.join(library.ids)}"
            )
        self.name = name
        self.profiles: tuple[str, ...] = ()
        self.omitted = 0
        self.rest = 0.0
        self._back_off = BackOff()
        self._asleep = False
        self._spared = Condition(_log, f"{name}: is read as often as configured again")
        self._client = client
        self._library = library
        self._fixed = (profile,) if profile else ()
        self._found: tuple[DeviceProfile, ...] = ()
        self._prepared: dict[PollClass, _Class] = {}
        self._versions = ""
        self._uptime = 0.0
        self._turns = _Turns()
        self._rises = _Rises()

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """Raises SourceError when the device as a whole cannot be read; the next poll then begins with finding its profile."""
        async with self._client.budget.turn:
            return await self._in_turn(wanted)

    async def _in_turn(self, wanted: PollClass) -> list[Sample]:
        self._client.budget.begin()
        try:
            async with asyncio.timeout(POLL_SECONDS):
                samples = await self._poll(wanted)
        except (TimeoutError, SourceError) as error:
            self._forget()
            self.rest = max(self._back_off.failed(), self._client.budget.rest(time.monotonic()))
            if isinstance(error, SourceError):
                raise
            raise SourceError(
                f"the device did not finish within {POLL_SECONDS:g} s; look at its load and at the network"
            ) from None
        self._back_off.answered()
        self.rest = self._client.budget.rest(time.monotonic())
        if wanted is PollClass.NORMAL:
            if self.rest >= TELL_REST_S:
                self._spared.begins(
                    f"{self.name}: one poll takes more than it is asked in a minute ({REQUESTS_A_MINUTE} requests); it is read less often"
                )
            else:
                self._spared.ends()
        if self._asleep:
            self.rest = max(SLEEP_S, self.rest)
        return samples

    async def close(self) -> None:
        await self._client.close()

    def _forget(self) -> None:
        self._found = ()
        self._prepared = {}
        self._uptime = 0.0
        self._asleep = False
        self._turns.forget()
        self._rises.forget()

    async def _poll(self, wanted: PollClass) -> list[Sample]:
        if not self._found:
            await self._recognise()
        if wanted is PollClass.NORMAL or not self._prepared:
            raws = await self._read_all()
        else:
            prepared = self._prepared[wanted]
            raws = await self._client.get([SYS_UPTIME, *prepared.oids])
            for column in prepared.columns:
                raws |= await self._client.walk(column, MAX_WALK)
            if self._restarted(raws):
                raws = await self._read_all()
        if not raws:
            raise SourceError(
                "the device answers and gives none of the values that it gave before; look at its SNMP view"
            )
        if self._restarted(raws):
            self._turns.forget()
            self._rises.forget()
        self._uptime = number_of(raws.get(SYS_UPTIME)) or 0.0
        asleep = sleeping(raws)
        if asleep is not None and asleep != self._asleep:
            _log.info("%s: %s", self.name, f"sleeps; not woken for {SLEEP_S:g} s at a time" if asleep else "is awake")
            self._asleep = asleep
        return self._samples(wanted, raws)

    async def _recognise(self) -> None:
        ids = self._fixed or await recognise_device(self._client, self._library)
        if not ids:
            facts = await self._client.get([SYS_OBJECT_ID, SYS_DESCR])
            said = ", ".join(
                f"{name} {text_of(facts[oid])}"
                for name, oid in (("sysObjectID", SYS_OBJECT_ID), ("sysDescr", SYS_DESCR))
                if oid in facts
            )
            raise SourceError(
                f"no profile fits this device ({said or 'it says nothing of itself'}); add one to device_profiles"
            )
        if ids != self.profiles:
            untested = ", ".join(self._library.untested(ids))
            _log.info("%s: profile %s%s", self.name, "+".join(ids), f"; untested: {untested}" if untested else "")
        self.profiles = ids
        try:
            self._found = tuple(self._library.profile(name) for name in ids)
            self._versions = "+".join(f"{name} {self._library.version(name)}" for name in ids)
        except (KeyError, OSError, CompiledError) as error:
            raise _changed(error) from error

    async def _read_all(self) -> dict[str, Raw]:
        raws = await read_all(self._client, self._found)
        self._prepare(raws)
        return raws

    def _restarted(self, raws: dict[str, Raw]) -> bool:
        """Rows may have moved. sysUpTime also wraps after 497 days, which costs one walk."""
        return (number_of(raws.get(SYS_UPTIME)) or 0.0) < self._uptime

    def _prepare(self, raws: dict[str, Raw]) -> None:
        binding = bind(self.name, self._found, raws)
        if binding.omitted and not self.omitted:
            _log.warning("%s: %d rows beyond the %d of a table are left out", self.name, binding.omitted, MAX_ROWS)
        self.omitted = binding.omitted
        before = self._prepared
        self._prepared = {}
        for each in PollClass:
            bounds = [bound for bound in binding.bounds if bound.item.poll.value == each.value]
            bounds = [
                bound
                for bound in bounds
                if bound.rows is not None
                or not bound.item.optional
                or any(f.oid + bound.suffix in raws for f in bound.item.fields)
            ]
            collected = {oid for bound in bounds if bound.rows is not None for oid in bound.oids()}
            single = {oid for bound in bounds if bound.rows is None for oid in bound.oids()}
            # Only what answered: one OID that is missing makes an SNMPv1 device refuse the whole request.
            self._prepared[each] = _Class(
                bounds, sorted(single & raws.keys()), sorted(collected), before[each].given if each in before else {}
            )

    def _samples(self, wanted: PollClass, raws: dict[str, Raw]) -> list[Sample]:
        prepared = self._prepared[wanted]
        turns = {bound.key: bound for bound in prepared.bounds if any(field.wraps for field in bound.item.fields)}
        earlier = self._rises.since(wanted, self._uptime, prepared.bounds, raws)
        samples = [
            self._turns.join(sample, turn)
            if (bound := turns.get((sample.component, sample.signal))) and (turn := _turn(bound, sample.oid))
            else sample
            for sample in evaluate(prepared.bounds, raws, today(), earlier)
        ]
        now = {(sample.component, sample.signal) for sample in samples}
        lost = {key: bound for key, bound in prepared.given.items() if key not in now}
        samples += [bound.missing() for bound in lost.values()]
        # What is still bound goes on being missed; a row that is gone is said once, then its component falls silent.
        prepared.given = {bound.key: bound for bound in prepared.bounds if bound.key in now or bound.key in lost}
        if wanted is PollClass.NORMAL:
            samples.append(Sample(self.name, "monitor.omitted", self.omitted))
        elif wanted is PollClass.SLOW:
            samples.append(Sample(self.name, "monitor.profile", self._versions))
        return samples
