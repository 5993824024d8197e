"""The composition root: broker, intake, pipeline, enrolment, tickets and console of one collector, started in the order of their needs and
ended in the opposite one. Nothing is decided here.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from tillwatch.collector import scaled
from tillwatch.collector.alarm.diagnosis import CardsError, load_cards
from tillwatch.collector.alarm.rules import RulesError, parse_rules, shipped_text
from tillwatch.collector.callers import Callers
from tillwatch.collector.child import end
from tillwatch.collector.clock import SteadyClock
from tillwatch.collector.commands.service_commands import console_arguments
from tillwatch.collector.config import Config, ConfigError, is_loopback
from tillwatch.collector.diagnosis.courier import Courier
from tillwatch.collector.dispatch import Dispatch
from tillwatch.collector.duty.policy import Policy, PolicyError, parse_policy, resolve, shipped_policy
from tillwatch.collector.ending import on_signal
from tillwatch.collector.housekeeping import Housekeeping
from tillwatch.collector.incident.topology import TopologyError, check
from tillwatch.collector.ingest import Ingest
from tillwatch.collector.intake import Intake
from tillwatch.collector.intake.broker import EmbeddedBroker
from tillwatch.collector.intake.forwarded import ForwardedIntake
from tillwatch.collector.intake.mosquitto import publish
from tillwatch.collector.intake.mqtt import MqttIntake, MqttSettings
from tillwatch.collector.moving.moving import may_start
from tillwatch.collector.notify import READY, STOPPING, WATCHDOG, notify, watchdog_s
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.predict.__main__ import tables_of
from tillwatch.collector.predict.process import PredictionsProcess, switched_off
from tillwatch.collector.rollout.courier import Courier as Telling
from tillwatch.collector.series.kept import put_aside
from tillwatch.collector.series.process import SinksProcess
from tillwatch.collector.settling import settle
from tillwatch.collector.store.compaction import Compactor
from tillwatch.collector.store.db import Fence
from tillwatch.collector.store.lock import locked
from tillwatch.collector.store.opening import open_db, open_store
from tillwatch.collector.store.rollout_reader import content_of
from tillwatch.collector.store.sqlite import FencedError
from tillwatch.collector.trust import succession
from tillwatch.collector.trust.authority import Authority
from tillwatch.collector.trust.pinned import own_authority, pin
from tillwatch.collector.trust.registry import JournalRegistrar
from tillwatch.collector.web.inward.enrol import EnrolListener, MqttAddress, enrol_app
from tillwatch.device_profiles.catalogue import load_catalogue

log = logging.getLogger(__name__)

LOCK_S = 10.0
"""A command that journals an act in the place of a collector is done long before."""
LEASE_S = 30.0
"""The lease of a collector that was killed is good for seconds longer, and what it had begun is waited for; another one that runs keeps it."""
YEARS_AHEAD = 3
"""For which public holidays are written into the policy at a start: longer than any collector runs without one."""
LOOK_S = 0.5
"""Between two looks at whether the lease still is ours."""
STOP_S = 3.0
"""For the console to end by itself; with all else a stop stays within five seconds."""


def main(config: Config, *, console: bool = True) -> int:
    """Run until a signal ends it; the exit code. Errors of configuration and start come up to the caller."""
    try:
        if config.amqp is not None:
            folding, pages = partial(_serve, config, False), partial(_console, config) if console else None
            return asyncio.run(scaled.serve(config, folding, pages))
        return asyncio.run(_serve(config, console))
    except FencedError as error:
        # At its start or its stop.
        log.critical("%s", error)
        return scaled.FENCED_EXIT


def site_rules(config: Config) -> str:
    """The site's own table, checked. Raises ConfigError naming the file."""
    path = config.rules.file
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8")
        parse_rules(text)
    except OSError as error:
        msg = f"[rules] file: cannot read {path}: {error.strerror}"
        raise ConfigError(msg) from None
    except (RulesError, UnicodeDecodeError) as error:
        msg = f"{path}: {error}"
        raise ConfigError(msg) from None
    return text


def checked_policy(config: Config, year: int) -> Policy:
    """The shipped policy with the site's own laid over it, with the public holidays of this year and the next ones as dates. Raises ConfigError
    naming the file.
    """
    path, years = config.policy.file, range(year - 1, year + YEARS_AHEAD + 1)
    shipped = resolve(shipped_policy(), years)
    if path is None:
        return parse_policy("", shipped=shipped)
    try:
        text = resolve(path.read_text(encoding="utf-8"), years)
        policy = parse_policy(text, shipped=shipped)
        check(policy.links, {})
    except OSError as error:
        msg = f"[policy] file: cannot read {path}: {error.strerror}"
        raise ConfigError(msg) from None
    except (PolicyError, TopologyError, UnicodeDecodeError) as error:
        msg = f"{path}: {error}"
        raise ConfigError(msg) from None
    return policy


async def _console(config: Config, stack: AsyncExitStack) -> asyncio.subprocess.Process:
    """The console is a process of its own: slow, flooded or stopped, it does not reach intake and alarms.

    It ends with the stack, and when the pipe to it does: left over from a collector that was killed it would hold the port against the next one.
    """
    where = console_arguments(config)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tillwatch.collector.web", *where, "--until-stdin-ends"),
        stdin=asyncio.subprocess.PIPE,
    )
    stack.push_async_callback(end, process, STOP_S)
    return process


async def _serve(config: Config, console: bool, holding: scaled.Holding | None = None) -> int:  # noqa: FBT001 - both callers are here
    """holding: of a collector of a large installation, which has its console and its intake beside this."""
    site, year = site_rules(config), datetime.now(UTC).year
    policy, rules = checked_policy(config, year), parse_rules(site)
    for note in policy.notes if config.policy.file is not None else ():
        log.warning("%s: %s", config.policy.file, note)
    if config.predictions.enabled:
        tables_of(config)
    dispatch = Dispatch(config, policy, rules)
    try:
        cards = load_cards(config.cards.file, rules.by_id)
    except CardsError as error:
        raise ConfigError(str(error)) from None
    ended = holding.ended if holding is not None else asyncio.Event()
    if holding is None:
        on_signal(ended)
    async with AsyncExitStack() as stack:
        wait_s = LOCK_S if isinstance(config.store, Path) else LEASE_S
        lease = holding.lease if holding is not None else stack.enter_context(locked(config.store, wait_s))
        may_start(config.database, config.store)
        own = own_authority(config.authority, config.store)
        store = open_store(config.store, lease)
        stack.callback(store.close)
        store.change(lambda db: pin(db, config.store, own))
        units = {name: known.unit for name, known in load_catalogue().signals.items()}
        page = config.console.address
        clock = SteadyClock()
        language = next((each.language for each in config.desks.values()), "en")
        pipeline = Pipeline(
            store, own.ack_key, units, steady=clock, page=page, bind=own.bind, cards=cards, language=language
        )
        dispatch.attach(pipeline)
        await pipeline.start(shipped_text(), site, config.settings, (policy.shipped, policy.text))
        dispatch.begin()
        stack.push_async_callback(pipeline.stop)

        intake, broker = await _intake(config, own, stack, pipeline, holding)

        def identity_changed(terminals: set[str]) -> None:
            log.info("keys or certificates changed: %s", ", ".join(sorted(terminals)))
            # A terminal that is new has none to revoke: tens of thousands in one morning would write the same list each time.
            if succession.revoked_serials(pipeline.fold.fleet.terminals[name] for name in terminals):
                _write_crl(config, own, pipeline)
            if broker is not None:
                broker.look_again()

        _write_crl(config, own, pipeline)
        pipeline.on_identity = identity_changed
        await intake.start()
        stack.push_async_callback(intake.stop)

        mqtt = MqttAddress(config.broker.address, config.broker.port, config.broker.tls)
        tokens = open_db(config.store)
        stack.callback(tokens.close)
        app = enrol_app(
            JournalRegistrar(
                tokens,
                pipeline.operate,
                find=pipeline.terminal,
                expecting=lambda: pipeline.fold.expecting,
                bind=own.bind,
            ),
            own,
            mqtt,
            config.certificate_hosts,
            console=console if holding is None else holding.console,
        )
        listener = EnrolListener(
            app, config.enrolment.host, config.enrolment.port, own.server_file(config.certificate_hosts)
        )
        await listener.start()
        stack.push_async_callback(listener.stop)

        compactor = Compactor(config.store)
        stack.callback(compactor.close)
        keeping = Housekeeping(pipeline, compactor, config.retention)

        ingest = Ingest(pipeline, intake, max_n=config.intake.group_messages, max_wait_s=config.intake.group_wait)
        tasks: set[asyncio.Task[Any]] = {
            asyncio.create_task(ingest.run(), name="ingest"),
            asyncio.create_task(_watch(ingest), name="watchdog"),
            asyncio.create_task(_fenced(config, pipeline, holding), name="fold"),
        }
        if lease is not None and holding is None:
            tasks.add(asyncio.create_task(_held(lease), name="lease"))
        if config.diagnosis.enabled:
            courier = Courier(pipeline, intake, own.ack_key, clock.now)
            tasks.add(asyncio.create_task(courier.run(), name="commands"))
        if config.rollout.enabled:
            telling = Telling(pipeline, intake, own.ack_key, lambda n: content_of(tokens, n), clock.now)
            tasks.add(asyncio.create_task(telling.run(), name="bundles"))
        callers = Callers(config, pipeline, dispatch.receivers)
        await callers.listen(own)
        stack.push_async_callback(callers.close)
        tasks |= dispatch.tasks() | callers.tasks()
        house = asyncio.create_task(keeping.run(), name="housekeeping")
        beside = {house}
        if config.predictions.enabled:
            beside.add(asyncio.create_task(PredictionsProcess(config).run(), name="predictions"))
        else:
            await switched_off(pipeline)
        put_aside(config.database, config.sinks)
        if config.sinks:
            beside.add(asyncio.create_task(SinksProcess(config).run(), name="sinks"))
        if console:
            process = await _console(config, stack)
            tasks.add(asyncio.create_task(process.wait(), name="console"))
        notify(READY)
        shown = f"console {page}" if console else "no console"
        log.info("collector %s runs: %s, enrolment port %d", config.collector.name, shown, listener.port)
        if holding is not None:
            log.info("it folds %.1f s after it took the lease", time.monotonic() - holding.taken)
        beside.add(asyncio.create_task(asyncio.to_thread(settle), name="settling"))
        code = await _until(ended, tasks)
        notify(STOPPING)
        for task in (*beside, *tasks):
            task.cancel()
        await asyncio.gather(*beside, *tasks, return_exceptions=True)
    return code


def _write_crl(config: Config, own: Authority, pipeline: Pipeline) -> None:
    """For a broker outside: the collector itself looks at its registry."""
    revoked = succession.revoked_serials(pipeline.fold.fleet.terminals.values())
    try:
        own.write_crl(revoked)
        if config.broker.crl_file is not None:
            publish(config.broker.crl_file, own.crl(revoked))
    except OSError as error:
        log.error("the list of revoked certificates cannot be written: %s; the broker goes on with the last one", error)


async def _intake(
    config: Config, own: Authority, stack: AsyncExitStack, pipeline: Pipeline, holding: scaled.Holding | None
) -> tuple[Intake, EmbeddedBroker | None]:
    """Not started."""
    if holding is not None:
        return ForwardedIntake(holding.settings, holding.lease.epoch), None
    settings, broker = await _broker(config, own, stack, pipeline)
    return MqttIntake(settings, knows=pipeline.knows), broker


async def _broker(
    config: Config, own: Authority, stack: AsyncExitStack, pipeline: Pipeline
) -> tuple[MqttSettings, EmbeddedBroker | None]:
    queue, queue_bytes = config.intake.queue, config.intake.queue_bytes
    if not config.broker.embedded:
        tls = own.client_context() if config.broker.tls else None
        outside = MqttSettings(
            config.broker.host, config.broker.port, "tillwatch-collector", tls, queue=queue, queue_bytes=queue_bytes
        )
        return outside, None
    if not config.broker.tls and not is_loopback(config.broker.host):
        msg = (
            f"[broker] tls = false needs a loopback host, not {config.broker.host}: terminals would speak in the clear"
        )
        raise ConfigError(msg)

    def refuses(terminal: str, serial: str) -> bool:
        known = pipeline.terminal(terminal)
        return known is not None and known.refuses(serial)

    broker = EmbeddedBroker(
        config.broker.host,
        config.broker.port,
        own.terminal_context(config.certificate_hosts) if config.broker.tls else None,
        refuses,
    )
    await broker.start()
    stack.push_async_callback(broker.stop)
    inside = MqttSettings(
        broker.internal_host,
        broker.internal_port,
        "collector",
        None,
        "collector",
        broker.internal_password,
        queue,
        queue_bytes,
    )
    return inside, broker


async def _watch(ingest: Ingest) -> None:
    """Tell systemd that groups are still stored, as long as it does."""
    interval = watchdog_s()
    while interval:
        turns = ingest.turns
        await asyncio.sleep(interval)
        if ingest.turns != turns:
            notify(WATCHDOG)
    await asyncio.Event().wait()


class _LostError(Exception):
    """Somebody else is the one writer now, or may be."""


async def _held(lease: Fence) -> None:
    """As long as it is. What is begun meanwhile the store itself refuses."""
    while lease.until:  # noqa: ASYNC110 - it runs out by a time, and nobody is told
        await asyncio.sleep(LOOK_S)
    msg = f"the lease of epoch {lease.epoch} ran out; nothing is written here any more"
    raise _LostError(msg)


async def _fenced(config: Config, pipeline: Pipeline, holding: scaled.Holding | None) -> None:
    """Whoever met it: a group of readings, an act, a change of the store."""
    await pipeline.fenced.wait()
    if holding is not None:
        scaled.leave(holding.lease, config.collector.name)
    raise _LostError("another collector is the one writer; nothing is written here any more")


async def _until(ended: asyncio.Event, tasks: set[asyncio.Task[Any]]) -> int:
    """Wait for a signal, or for a task that should not have ended."""
    signalled = asyncio.create_task(ended.wait())
    done, _ = await asyncio.wait({signalled, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    if signalled in done:
        return 0
    signalled.cancel()
    code = 1
    for task in done:
        failure = task.exception() if not task.cancelled() else None
        lost = isinstance(failure, _LostError | FencedError)
        code = scaled.FENCED_EXIT if lost else code
        log.critical("%s has ended: %s", task.get_name(), failure or "see above", exc_info=None if lost else failure)
    return code
