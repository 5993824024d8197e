"""The composition root: puts the parts of the running agent together, starts them, and ends them cleanly within five seconds. Only what the
configuration asks for is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import logging
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from tillwatch.agent import clock, health, identity
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.enrolment import renewal
from tillwatch.agent.hint import Hint
from tillwatch.agent.identity import Identity, IdentityError
from tillwatch.agent.model import AGENT, PollClass, Quality, Sample, State
from tillwatch.agent.notify import notify, watchdog_seconds
from tillwatch.agent.prepared import Prepared, compiled_library
from tillwatch.agent.residence import Residence
from tillwatch.agent.sampler import Sampler
from tillwatch.agent.sealer import Sealer
from tillwatch.agent.settings import (
    MAX_SEAL,
    Config,
    ConfigError,
    Intervals,
    NutConfig,
    SerialConfig,
    SnmpConfig,
    SystemConfig,
    XfsConfig,
)
from tillwatch.agent.sources import Source, SourceError
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.switches import SwitchedOff, Switches
from tillwatch.agent.text_door import TextDoor
from tillwatch.agent.thinning import Thinner
from tillwatch.agent.uplink import Uplink, small_tls_buffers, tls_context, where_to
from tillwatch.agent.wire import ALLOWED, CONFIG, OFF, Report, Running

if TYPE_CHECKING:
    from tillwatch.agent.bundles.taking import Taking
    from tillwatch.agent.remote.orders import Orders
    from tillwatch.agent.sources.snmp_client import SnmpTarget
    from tillwatch.device_profiles.compiled import Library

log = logging.getLogger(__name__)

CLOSE_SOURCES = 1.0
"""Seconds for the sources to let go at a stop."""
Stopping = Callable[[], contextlib.AbstractContextManager[asyncio.Event]]
FAREWELL = 1.0
"""Seconds for the last batches to be acknowledged at a stop; what is not stays in the spool."""


def run(prepared: Prepared, stopping: Stopping | None = None) -> bool:
    """Run until SIGTERM, SIGINT or, on Windows, Ctrl-Break; or until another configuration is to be run, which is what it returns. Raises ConfigError, IdentityError and SpoolVersionError before anything starts.

    stopping: gives the event that ends it in place of the signals, which only the main thread of a process hears.
    """
    who = identity.load(prepared.config.state_dir)
    with identity.hold(prepared.config.state_dir):
        return asyncio.run(_serve(prepared, who, stopping or signals))


def sources_of(
    config: Config, open_library: Callable[[Config], Library], hints: dict[str, Hint], *, remember: bool = True
) -> list[tuple[Source, Intervals]]:
    """The configured sources. open_library is called only where a device needs a profile; hints: takes, by the name of a source, what may ask
    to read it early. remember: whether bookmarks are read and moved. Raises ConfigError naming the place in the configuration.
    """
    found: list[tuple[Source, Intervals]] = []
    if config.system.enabled:
        from tillwatch.agent.sources.system import SystemSource  # noqa: PLC0415 - only what is configured is imported

        found.append((_Chosen(SystemSource(config.system.name), config.system), config.system.intervals))
    if config.smart.enabled:
        from tillwatch.agent.sources.smart import SmartSource  # noqa: PLC0415 - only what is configured is imported

        smart = config.smart
        found.append((SmartSource(smart.name, program=smart.program, drives=smart.drives), smart.intervals))
    if config.ipmi.enabled:
        from tillwatch.agent.sources.ipmi import BOOKMARK, IpmiSource  # noqa: PLC0415 - the same

        ipmi, bookmark = config.ipmi, config.state_dir / BOOKMARK if remember else None
        found.append((IpmiSource(ipmi.name, program=ipmi.program, bookmark=bookmark), ipmi.intervals))
    if config.windows.enabled:  # which config.py refuses on other systems
        from tillwatch.agent.sources.windows import windows_sources  # noqa: PLC0415 - the same

        memory = config.state_dir if remember else None
        found += [(source, config.windows.intervals) for source in windows_sources(config.windows, memory)]
    if any(device.enabled for device in config.snmp):
        library = open_library(config)
        found += [(_snmp(device, library), device.intervals) for device in config.snmp if device.enabled]
    found += [(_serial(device), device.intervals) for device in config.serial if device.enabled]
    found += [(_nut(device), device.intervals) for device in config.nut if device.enabled]
    found += [(_xfs(device, hints), device.intervals) for device in config.xfs if device.enabled]
    if config.traps.enabled:
        found.append((_traps(config, hints), config.traps.intervals))
    return found + [(SwitchedOff(each.name, each.where), each.intervals) for each in config.switched_off()]


def _nut(device: NutConfig) -> Source:
    from tillwatch.agent.sources.nut import NutSource  # noqa: PLC0415 - only what is configured is imported

    return NutSource(device.name, device.host, device.port, device.ups)


def _xfs(device: XfsConfig, hints: dict[str, Hint]) -> Source:
    from tillwatch.agent.sources.xfs4iot import SPACING_S, XfsSource  # noqa: PLC0415 - only what is configured is imported

    tls = None
    if device.tls:
        import ssl  # noqa: PLC0415 - the same

        try:
            tls = ssl.create_default_context(cafile=device.ca)
        except OSError as error:  # SSLError is one
            raise ConfigError(f"{device.where}: ca {device.ca}: {error.strerror or error}; it is a PEM file") from None
    hint = hints[device.name] = Hint(SPACING_S)
    return XfsSource(device.name, device.host, port=device.port, tls=tls, hinted=hint.give)


def _traps(config: Config, hints: dict[str, Hint]) -> Source:
    from tillwatch.agent.sources.traps import Sender, TrapSource  # noqa: PLC0415 - only what is configured is imported

    traps = config.traps
    heard = [device for device in config.snmp if device.enabled]
    senders = [Sender(device.name, _target(device), hints.setdefault(device.name, Hint())) for device in heard]
    try:
        return TrapSource(traps.name, senders, listen=traps.listen, port=traps.port, community=traps.community)
    except ValueError as error:
        raise ConfigError(f"{traps.where}: {error}") from None


def _target(device: SnmpConfig) -> SnmpTarget:
    """Raises ValueError."""
    from tillwatch.agent.sources.snmp_client import SnmpTarget  # noqa: PLC0415 - only what is configured is imported

    return SnmpTarget(
        device.host,
        device.port,
        device.version,
        device.community,
        device.user,
        device.auth,
        device.auth_secret,
        device.priv,
        device.priv_secret,
        device.timeout,
        device.retries,
    )


def _snmp(device: SnmpConfig, library: Library) -> Source:
    from tillwatch.agent.sources.snmp import SnmpSource  # noqa: PLC0415 - only what is configured is imported
    from tillwatch.agent.sources.snmp_client import open_client  # noqa: PLC0415 - the same

    try:
        return SnmpSource(device.name, open_client(_target(device)), library, device.profile)
    except (ValueError, SourceError) as error:
        raise ConfigError(f"{device.where}: {error}") from None


def _serial(device: SerialConfig) -> Source:
    from tillwatch.agent.sources.serial import source  # noqa: PLC0415 - only what is configured is imported
    from tillwatch.firmware_shims.base import ShimError  # noqa: PLC0415 - the same

    try:
        return source(device.name, device.port, device.shim, mode=device.mode, baud=device.baud)
    except (ValueError, ShimError) as error:
        raise ConfigError(f"{device.where}: {error}") from None


class _Chosen:
    """The machine without the parts that the operator does not want. Parts are patterns such as `net:veth*`."""

    def __init__(self, source: Source, config: SystemConfig) -> None:
        self.name, self.classes = source.name, source.classes
        self._source, self._only, self._disable = source, config.only, config.disable

    async def poll(self, wanted: PollClass) -> list[Sample]:
        return [sample for sample in await self._source.poll(wanted) if self._is_wanted(sample)]

    async def close(self) -> None:
        await self._source.close()

    def _is_wanted(self, sample: Sample) -> bool:
        part = sample.component.partition("/")[2]
        return (not self._only or _fits(part, self._only)) and not _fits(part, self._disable)


def _fits(part: str, patterns: Collection[str]) -> bool:
    return any(fnmatch.fnmatchcase(part, pattern) for pattern in patterns)


async def _serve(prepared: Prepared, who: Identity, stopping: Stopping) -> bool:
    config = prepared.config
    hints: dict[str, Hint] = {}
    sources = sources_of(config, compiled_library, hints)
    if config.commands.enabled:
        for source, _ in sources:
            hints.setdefault(source.name, Hint())
    former = {key.public for key in who.former.values()}
    spool = Spool(config.state_dir / identity.SPOOL, who.terminal, who.key.public, config.spool, former)
    # What cannot be written now is told by the first sealing, and again when it can.
    with contextlib.suppress(SpoolFullError):
        spool.open()
    if renewal.waiting(config.state_dir):
        # Before the certificate is read: a rotation that was cut short may have left half of the new one.
        with _told("the new key cannot be taken up"):
            who = renewal.take_up(who, spool)
    broker = where_to(config.collector, who.broker)
    tls = tls_context(config.collector, config.state_dir) if broker.tls else None
    if tls is not None:
        small_tls_buffers()
    reference = clock.Reference()
    agent = _Agent(prepared, who, spool, Uplink(who, spool, broker, tls, reference), hints, reference)
    with stopping() as stop:
        return await agent.run(sources, stop)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SpoolFullError, IdentityError) as error:
        log.error("%s: %s", what, error)


class _Agent:
    """The parts, and what goes between them."""

    def __init__(
        self,
        prepared: Prepared,
        who: Identity,
        spool: Spool,
        uplink: Uplink,
        hints: dict[str, Hint],
        reference: clock.Reference,
    ) -> None:
        config = prepared.config
        self._config, self._spool, self._uplink = config, spool, uplink
        self._reason = ""
        self._spool_state = ""
        self._volatile = ""
        self._told_end = False
        self._buffer = Buffer(prepared.counters)
        self._thinner = Thinner(prepared.counters)
        by_risk = config.by_risk
        self._told_once = False
        self._residence = Residence()
        self._version = prepared.version
        self._orders: Orders | None = None
        self._taking: Taking | None = None
        self._anew = asyncio.Event()
        self._sampler = Sampler(
            self._buffer,
            prepared.names,
            config.seal,
            hints,
            lambda: (uplink.sampling if by_risk else 1.0) / self._raised,
            door=TextDoor(config.state_dir),
            switches=Switches(config.state_dir, config.kinds()),
        )
        self._sealer = Sealer(
            who,
            spool,
            self._buffer,
            interval=lambda: self._seal_interval(min(config.seal * uplink.pace, MAX_SEAL)),
            least=lambda: uplink.min_interval,
            before=self._own_state,
            sealed=self._sealed,
            thinner=self._thinner,
            reference=reference,
        )
        self._buffer.on_ripe = uplink.on_new_epoch = self._sealer.wake
        if config.commands.enabled:
            self._orders = self._take_orders(who, reference, list(hints))
            uplink.listeners.append(self._orders)
        if config.bundles.enabled:
            self._taking = self._take_bundles(who, prepared.bundle)
            uplink.listeners.append(self._taking)
        self._renewal = renewal.Renewal(who, spool, ("--state-dir", str(config.state_dir)), self._renew)
        self._buffer.on_added = self._renewal.look
        log.info("terminal %s, %s, state in %s", who.terminal, config.path or "no configuration file", config.state_dir)

    async def run(self, sources: list[tuple[Source, Intervals]], stop: asyncio.Event) -> bool:
        """Until `stop` is set, or it is to be started anew with another configuration (true). A part that ends by a fault of its own ends the agent, so
        that the service manager starts it anew.
        """
        sampling = asyncio.create_task(self._sampler.run(sources), name="sampler")
        sealing = asyncio.create_task(self._sealer.run(), name="sealer")
        sending = asyncio.create_task(self._uplink.run(), name="uplink")
        renewing = asyncio.create_task(self._renewal.run(), name="renewal")
        parts = [sampling, sealing, sending, renewing, asyncio.create_task(_watchdog(), name="watchdog")]
        ordering = [asyncio.create_task(self._orders.run(), name="commands")] if self._orders is not None else []
        if self._taking is not None:
            ordering.append(asyncio.create_task(self._taking.run(), name="bundles"))
        parts += ordering
        asking = [asyncio.create_task(self._ask_filter(), name="write filter")] if sys.platform == "win32" else []
        stopping = asyncio.create_task(stop.wait())
        another = asyncio.create_task(self._anew.wait())
        notify("READY=1")
        await asyncio.wait([*parts, stopping, another], return_when=asyncio.FIRST_COMPLETED)
        anew = self._anew.is_set() and not stop.is_set()
        if not anew:  # else this very process goes on: a service manager that hears of an end would wait for it
            notify("STOPPING=1")
        await _end(sampling, sealing, renewing, stopping, another, *asking, *ordering)
        self._own_state(self._config.seal)
        self._sealer.flush()
        await self._farewell(sending)
        await _end(*parts)
        await self._uplink.goodbye()
        self._spool.close(clean=not len(self._buffer))
        self._sampler.door.keep(last=True)
        for part in parts:
            # One that does not let go is left to the end of the process.
            if part.done() and not part.cancelled() and (error := part.exception()) is not None:
                raise error
        if self._taking is not None:
            self._taking.ends()
        log.info("stopped%s", ", to start with another configuration" if anew else "")
        return anew

    def _sealed(self) -> None:
        self._uplink.wake()
        self._residence.sealed(asyncio.get_running_loop().time())

    @property
    def _raised(self) -> int:
        return self._orders.raised if self._orders is not None else 1

    def _seal_interval(self, seconds: float) -> float:
        return self._orders.seal_interval(seconds) if self._orders is not None else seconds

    def _take_orders(self, who: Identity, reference: clock.Reference, names: list[str]) -> Orders:
        from tillwatch.agent.remote.assembling import Bundles  # noqa: PLC0415 - only where the operator lets commands in
        from tillwatch.agent.remote.orders import Means, Orders  # noqa: PLC0415 - the same

        def tell(samples: list[Sample]) -> None:
            self._sampler.take(samples, clock.uptime_ns(), self._config.seal)

        bundles = Bundles(self._config, self._sampler, self._uplink, self._spool)
        means = Means(self._sampler, names, tell, self._sealer.settle, bundles.make)
        return Orders(who, self._config.commands.allow, self._spool, reference, means)

    def _take_bundles(self, who: Identity, running: bytes) -> Taking:
        from tillwatch.agent.bundles.taking import Means, Taking  # noqa: PLC0415 - only where the operator lets bundles in

        def tell(samples: list[Sample]) -> None:
            self._sampler.take(samples, clock.uptime_ns(), self._config.seal)

        means = Means(self._sampler.yields, self._sampler.standing, tell, self._sealer.settle, self._anew.set)
        return Taking(who, self._config, self._spool, means, running)

    def _renew(self, who: Identity) -> None:
        self._sealer.renew(who)
        if self._orders is not None:
            self._orders.renew(who)
        if self._taking is not None:
            self._taking.renew(who)
        config = self._config
        self._uplink.renew(who, tls_context(config.collector, config.state_dir) if self._uplink.tls else None)

    async def _farewell(self, sending: asyncio.Task[None]) -> None:
        """Let the last batches go out, if they go soon."""
        self._uplink.wake()
        if self._uplink.connected and not sending.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self._uplink.drained.wait()

    def _own_state(self, interval: float) -> None:
        if self._spool.ended and not self._told_end:
            self._told_end = True
            judged = State.OK if self._spool.ended == "clean" else State.WARN
            self._sampler.take([Sample(AGENT, "agent.ended", self._spool.ended, judged)], clock.uptime_ns(), interval)
        if not self._told_once:
            self._told_once = True
            once = [Sample(AGENT, "agent.version", self._version)] if self._version else []
            # Whoever would ask knows that nobody listens.
            if self._orders is None:
                once.append(Sample(AGENT, ALLOWED, OFF))
            if self._taking is None:
                once.append(Sample(AGENT, CONFIG, Report(0, Running.OFF).text()))
            self._sampler.take(once, clock.uptime_ns(), interval)
        self._sampler.door.keep()
        samples = health.samples(self._spool, self._uplink, self._buffer.lost, self._sampler.door.removed)
        notices, self._spool.notices = self._spool.notices, []
        for notice in notices:
            log.error("%s", notice.text)
            samples.append(Sample(AGENT, notice.signal, notice.text))
        spool = health.spool_state(
            unwritable=bool(self._sealer.trouble.text), volatile=bool(self._volatile), thinning=self._thinner.active
        )
        if spool.value != self._spool_state:
            self._spool_state = str(spool.value)
            samples.append(spool)
        reason = "; ".join(filter(None, [self._volatile, self._sealer.trouble.text]))
        if reason != self._reason:
            state = (State.UNKNOWN, Quality.ERROR) if self._sealer.trouble.text else (State.OK, Quality.GOOD)
            samples.append(Sample(AGENT, "monitor.source", "failed" if self._sealer.trouble.text else "ok", *state))
            samples.append(Sample(AGENT, "monitor.reason", reason))
            self._reason = reason
        self._sampler.take(samples, clock.uptime_ns(), interval)

    async def _ask_filter(self) -> None:
        """Once: what a filter does changes with a start of the machine only. On Windows; the other systems have none."""
        from tillwatch.agent.write_filter import WriteFilterError, here  # noqa: PLC0415 - see above

        of = here()
        try:
            state = await asyncio.to_thread(of.state) if of is not None else None
        except WriteFilterError as error:
            log.warning("%s", error)
            return
        if state is not None and state.discards(str(self._config.state_dir)):
            self._volatile = f"a write filter discards {self._config.state_dir} at the next start of the machine"
            log.error(
                "%s; exclude it from the filter: uwfmgr file add-exclusion %s", self._volatile, self._config.state_dir
            )


async def _end(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=CLOSE_SOURCES)


async def _watchdog() -> None:
    seconds = watchdog_seconds()
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds or MAX_SEAL)


@contextlib.contextmanager
def signals() -> Iterator[asyncio.Event]:
    """An event that the usual signals set. Windows' loops have no add_signal_handler; there the handler wakes the loop itself."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    wanted = [signal.SIGTERM, signal.SIGINT]
    if sys.platform == "win32":
        wanted.append(signal.SIGBREAK)
    before = {number: signal.getsignal(number) for number in wanted}
    for number in wanted:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
