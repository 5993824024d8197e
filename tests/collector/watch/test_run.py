"""The watchdog as a process beside a real collector over TLS: rounds go the whole way; whatever is taken away is named, and its return is told."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.chaos.proxy import Proxy
from tests.collector.tickets.conftest import Desk
from tests.collector.watch.running import Site, free_ports, until
from tests.mosquitto import Mosquitto
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.watch.complaints import MISSING
from tillwatch.collector.watch.identity import IDENTITY
from tillwatch.collector.watch.path import Stage

Sites = Callable[..., Site]

QUICK = {"every": 2.0, "late": 1.0}
"""For tests that wait for a complaint."""
PATIENT = {"every": 40.0, "late": 20.0}
"""For tests in which nothing may be late, however busy the machine is."""


def complaints(desk: Desk) -> list[dict[str, object]]:
    return [ticket for ticket in desk.tickets() if str(ticket["incident"]).startswith("WATCH-")]


async def relieved(desk: Desk) -> None:
    await until(
        lambda: complaints(desk) and all(ticket["state"] == "resolved" for ticket in complaints(desk)),
        what="the end of the complaint at the desk",
    )


async def test_a_round_goes_the_whole_way_and_no_desk_hears_of_it(site: Sites, desk: Desk) -> None:
    one = site(**PATIENT)
    assert one.told()["missing"] == "watchdog"
    await one.start("collector")
    one.enrol()
    assert "never run" in one.told()["text"]
    await one.start("watchdog")
    await one.went(1)
    said = one.told()
    assert (said["ok"], said["missing"], said["whole"]) == (True, "", 1)
    assert set(said["figures"]["stages"]) == {stage.value for stage in Stage}
    assert said["figures"]["detection"]["n"] == said["figures"]["notification"]["n"] == 1
    assert one.rows("SELECT op, connector, state FROM outbox ORDER BY seq") == [
        ("open", "drills", "done"),
        ("resolve", "drills", "done"),
    ]
    assert one.rows("SELECT count(*) FROM ticket_link") == [(0,)]
    assert one.rows("SELECT rule, component, condition FROM alarm") == [("monitoring.drill", "drill/01", "normal")]
    assert desk.tickets() == []
    # Started again it goes on in its stream.
    assert one.stop("watchdog") == 0
    await one.start("watchdog")
    await one.went(2)
    assert one.stop("watchdog") == 0
    assert one.stop("collector") == 0
    assert one.call("verify", "--log").returncode == 0
    assert one.rows("SELECT count(*), max(mark) FROM stream") == [(1, 4)]
    assert one.rows("SELECT count(*) FROM terminal_key") == [(1,)]
    for name in ("collector", "watchdog"):
        assert "Traceback" not in one.log(name)
        assert "ERROR" not in one.log(name)


@pytest.mark.long
async def test_a_killed_collector_is_complained_of_and_its_return_ends_it(site: Sites, desk: Desk) -> None:
    one = site(**QUICK)
    await one.start("collector")
    one.enrol()
    await one.start("watchdog")
    await one.goes_round()
    one.stop("collector", signal.SIGKILL)
    await one.misses("broker", "end-broker")  # the embedded broker went with it
    await until(lambda: any(ticket["state"] == "open" for ticket in complaints(desk)), what="the complaint at the desk")
    said = one.told()
    assert said["text"] == MISSING[Stage(said["missing"])]
    assert said["since"]
    await one.start("collector")
    await one.goes_round()
    assert one.told()["ok"]
    await relieved(desk)
    levels = {(ticket["level"], ticket["terminal"]) for ticket in complaints(desk)}
    assert levels == {(1, "watchdog")}
    assert all("HWM-" not in str(ticket["incident"]) for ticket in desk.tickets()), "drills never reach the desk"


@pytest.mark.long
async def test_behind_a_broker_of_its_own_the_collector_is_missed_at_its_word(site: Sites, desk: Desk) -> None:
    one = site(**QUICK, embedded=False)
    mosquitto = Mosquitto(one.folder / "mosquitto", one.broker, open_authority(one.config.authority))
    try:
        await mosquitto.start()
        await one.start("collector")
        one.enrol()
        await one.start("watchdog")
        await one.goes_round()
        one.stop("collector", signal.SIGKILL)
        await one.misses("stored", "end-stored")
        await one.start("collector")
        await one.goes_round()
        # Without the broker it is the broker.
        mosquitto.kill()
        await one.misses("broker", "end-broker")
        await mosquitto.start()
        await one.goes_round()
        await relieved(desk)
    finally:
        mosquitto.kill()


@pytest.mark.long
async def test_drills_that_do_not_arrive_are_missed_at_the_ticket(site: Sites, desk: Desk) -> None:
    (port,) = free_ports(1)
    proxy = Proxy(port)
    await proxy.start()
    one = site(**QUICK, receiver=proxy.port)
    one.files["watchdog"].write_text(one.files["watchdog"].read_text().replace(f":{one.receiver}/", f":{port}/"))
    try:
        await one.start("collector")
        one.enrol()
        await one.start("watchdog")
        await one.goes_round()
        proxy.cut()
        await one.misses("ticket")
        # Meanwhile others are tried: every round is stored, none arrives.
        before = one.rows("SELECT count(*) FROM alarm")[0][0]
        await until(lambda: one.rows("SELECT count(*) FROM alarm")[0][0] >= before + 2, what="two more rounds")
        assert one.told()["missing"] == "ticket"
        proxy.heal()
        await one.goes_round()
        await relieved(desk)
        assert one.status()["figures"]["late"] >= 2
    finally:
        one.stop("collector")
        await proxy.close()


@pytest.mark.long
async def test_a_lost_connection_is_made_again_and_nothing_is_doubled(site: Sites) -> None:
    one = site(**QUICK)
    proxy = Proxy(one.broker)
    await proxy.start()
    try:
        await one.start("collector")
        one.enrol()
        file = one.folder / "dog" / IDENTITY
        file.write_text(file.read_text().replace(f'"port": {one.broker}', f'"port": {proxy.port}'))
        await one.start("watchdog")
        await one.goes_round()
        proxy.cut()
        await one.misses("broker", "end-broker")
        proxy.heal()
        await one.goes_round(2)
        one.stop("watchdog", signal.SIGKILL)
        await one.start("watchdog")
        await one.goes_round(2)
        one.stop("watchdog")
        one.stop("collector")
        assert one.call("verify", "--log").returncode == 0
        ((epochs, mark),) = one.rows("SELECT count(*), max(mark) FROM stream")
        assert epochs == 1
        assert one.rows("SELECT count(*) FROM journal WHERE kind = 3") == [(mark,)], "each batch once, no gap"
        assert one.rows("SELECT count(*) FROM alarm WHERE rule = 'delivery.fork'") == [(0,)]
    finally:
        await proxy.close()


@pytest.mark.long
async def test_one_that_is_no_watchdog_to_the_collector_says_what_is_wrong(site: Sites, desk: Desk) -> None:
    """Enrolled as a server its faults are real ones: they go to the desk, and the watchdog misses them."""
    one = site(**QUICK)
    await one.start("collector")
    done = one.call("watchdog", "enrol", one.token("server"))
    assert done.returncode == 0, done.stderr
    await one.start("watchdog")
    await one.misses("ticket")
    await until(lambda: any("HWM-" in str(ticket["incident"]) for ticket in desk.tickets()), what="its ticket")
    # Enrolled anew, under another key, it begins another epoch.
    one.stop("watchdog")
    one.enrol()
    await one.start("watchdog")
    await one.goes_round()
    assert one.rows("SELECT count(*) FROM stream") == [(2,)]
