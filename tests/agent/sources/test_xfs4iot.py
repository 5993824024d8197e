"""The source against a terminal of recorded services behind a real WebSocket server."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import itertools
import logging
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.agent.counters import assert_catalogued
from tests.agent.sources.xfs_server import NAMES, Terminal
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.hint import Hint
from tillwatch.agent.model import PollClass, State
from tillwatch.agent.sampler import Sampler
from tillwatch.agent.settings import Intervals
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources import xfs4iot as module
from tillwatch.agent.sources.xfs4iot import MAX_LOST, MAX_SERVICES, XfsSource
from tillwatch.agent.sources.xfs_link import COMMANDS

NORMAL, SLOW = PollClass.NORMAL, PollClass.SLOW


@pytest.fixture
async def terminal():
    terminal = Terminal()
    await terminal.start()
    yield terminal
    await terminal.stop()
    assert terminal.deaths == [], "frames that a service provider may die of"
    assert {command for _, command in terminal.asked} <= set(COMMANDS)


@pytest.fixture
async def source(terminal):
    source = XfsSource("atm", "127.0.0.1", port=terminal.port)
    yield source
    await source.close()


def by_key(samples):
    found = {(sample.component, sample.signal): sample for sample in samples}
    assert len(found) == len(samples), "one thing is told twice"
    return found


async def test_a_terminal_is_read(terminal, source):
    samples = await source.poll(NORMAL)
    assert_catalogued(samples)
    found = by_key(samples)
    assert {component.partition("/")[2].partition(" ")[0] for component, _ in found} == {"", *NAMES}
    assert found["atm/CashRecycler1", "atm.device"].value == "busy"
    assert found["atm/CashRecycler1 inDefault", "atm.shutter"].state is State.CRIT
    assert found["atm/CashRecycler1 unit:A", "atm.unit.supply"].value == "low"
    assert found["atm/CardReader1 unit:BIN1", "atm.unit.retained"].value == 3
    assert found["atm", "atm.services"].value == len(NAMES)
    assert found["atm", "atm.services.left"].value == found["atm", "atm.unread"].value == 0
    who = await source.poll(SLOW)
    assert_catalogued(who)
    assert by_key(who)["atm", "identity.maker"].value == "Kassenbau AG"
    assert by_key(who)["atm/PinPad1", "identity.model"].value == "EPP-6"


async def test_each_service_is_asked_for_little_over_one_connection(terminal, source):
    for _ in range(3):
        await source.poll(NORMAL)
    with_storage = sum("Storage.GetStorage" in payloads for payloads in terminal.services.values())
    assert terminal.count("ServicePublisher.GetServices") == 1
    assert terminal.count("Common.Capabilities") == len(NAMES)
    assert terminal.count("Common.Status") == 3 * len(NAMES)
    assert terminal.count("Storage.GetStorage") == 3 * with_storage
    assert {name: len(links) for name, links in terminal.open.items() if links} == dict.fromkeys(NAMES, 1)


async def test_nothing_that_names_cards_people_or_free_text_leaves(terminal, source):
    terminal.services["CardReader1"]["Common.Status"]["common"]["vendorDescription"] = "PAN 4111111111111111"
    terminal.services["CheckDeposit1"]["Common.Status"]["check"]["codelineData"] = "123456789"
    terminal.services["CashRecycler1"]["Common.Capabilities"]["common"]["deviceInformation"][0]["modelName"] = (
        "CR\x00-7"
    )
    said = str([*await source.poll(NORMAL), *await source.poll(SLOW)])
    for word in ("4111", "123456789", "EUR", "biometric", "subject", "proximity", "\\x00", "keyNum"):
        assert word not in said
    assert "CR-7" in said


def told(caplog):
    return [record for record in caplog.records if record.name == module.__name__]


async def failing(connection, name, header):
    if name != "CashRecycler1":
        return False
    await Terminal.complete(connection, header, {}, "hardwareError")
    return True


async def test_a_service_that_fails_turns_unknown_alone_and_comes_back(terminal, source, monkeypatch, caplog):
    caplog.set_level(logging.INFO, module.__name__)
    monkeypatch.setattr(module, "BACKOFF_S", 0.0)
    well = by_key(await source.poll(NORMAL))
    terminal.instead = failing
    for _ in range(3):
        ill = by_key(await source.poll(NORMAL))
        assert ill["atm", "atm.services.left"].value == 1
        for key, sample in well.items():
            if key[0].startswith("atm/CashRecycler1") and not key[1].startswith("identity."):
                assert (ill[key].value, ill[key].state, ill[key].unit) == (None, State.UNKNOWN, sample.unit)
            elif key[0].startswith("atm/"):
                assert key not in ill or ill[key] == sample
        assert_catalogued(sample for sample in ill.values() if sample.value is not None)
    terminal.instead = None
    assert by_key(await source.poll(NORMAL)) == well
    assert [record.levelname for record in told(caplog)] == ["WARNING", "INFO"]
    assert "CashRecycler1: Common.Status is answered with hardwareError" in caplog.text
    assert "free text" not in caplog.text


async def test_a_service_that_fails_is_asked_less_and_less(terminal, source, monkeypatch):
    await source.poll(NORMAL)
    terminal.instead = failing
    loop, ahead = asyncio.get_running_loop(), 0.0
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + ahead)
    asked = []
    for _ in range(60):
        before = terminal.asked.count(("CashRecycler1", "Common.Status"))
        await source.poll(NORMAL)
        asked.append(terminal.asked.count(("CashRecycler1", "Common.Status")) > before)
        ahead += 60.0
    times = [n for n, yes in enumerate(asked) if yes]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert max(gaps) == module.BACKOFF_MOST_S / 60
    assert len(times) < 12


async def test_a_service_that_is_lost_over_our_questions_is_left_alone(terminal, source, monkeypatch, caplog):
    monkeypatch.setattr(module, "LOST_S", 0.0)

    async def dying(connection, name, _):
        if name == "CashRecycler1":
            connection.transport.abort()
        return name == "CashRecycler1"

    await source.poll(NORMAL)
    terminal.instead = dying
    before = terminal.asked.count(("CashRecycler1", "Common.Status")) + terminal.asked.count(
        ("CashRecycler1", "Common.Capabilities")
    )
    for _ in range(10):
        samples = by_key(await source.poll(NORMAL))
    after = terminal.asked.count(("CashRecycler1", "Common.Status")) + terminal.asked.count(
        ("CashRecycler1", "Common.Capabilities")
    )
    assert after - before == MAX_LOST
    assert samples["atm", "atm.services.left"].value == 1
    assert samples["atm/CashRecycler1", "atm.device"].value is None
    assert [record.levelname for record in told(caplog)] == ["WARNING", "ERROR"]
    assert "left alone for a day" in caplog.text


async def test_all_services_gone_is_an_error_of_the_source(terminal, source, monkeypatch):
    monkeypatch.setattr(module, "BACKOFF_S", 0.0)
    monkeypatch.setattr(module, "LOST_S", 0.0)
    well = by_key(await source.poll(NORMAL))
    port = terminal.port
    await terminal.stop()
    with pytest.raises(SourceError, match=r"^\w+1: "):
        await source.poll(NORMAL)
    await terminal.start(port)
    async with asyncio.timeout(60):
        while True:
            try:
                assert by_key(await source.poll(NORMAL)) == well
                break
            except SourceError:
                await asyncio.sleep(0.05)


async def test_no_publisher_is_told_and_looked_for_less_often(monkeypatch):
    opened = []
    original = module.XfsLink.open

    async def counted(address, hinted=lambda: None):
        opened.append(address.port)
        return await original(address, hinted)

    monkeypatch.setattr(module.XfsLink, "open", counted)
    monkeypatch.setattr(module, "PORTS", (1, 2))
    source = XfsSource("atm", "127.0.0.1")
    source._ports = (1, 2, 3)
    for _ in range(5):
        with pytest.raises(SourceError, match=r"no XFS4IoT service is published on 127.0.0.1, ports 1 to 3"):
            await source.poll(NORMAL)
    assert opened == [1, 2, 3]


def test_all_ports_of_the_standard_are_looked_at():
    assert XfsSource("atm", "localhost")._ports == (80, *range(5846, 5857))
    assert XfsSource("atm", "localhost", tls=ssl.create_default_context())._ports == (443, *range(5846, 5857))


async def test_two_publishers(terminal, monkeypatch):
    other = Terminal(("PinPad1",))
    other.services = {"PinPad2": other.services["PinPad1"]}
    await other.start()
    source = XfsSource("atm", "127.0.0.1")
    source._ports = (terminal.port, 1, other.port)
    try:
        samples = by_key(await source.poll(NORMAL))
        assert samples["atm", "atm.services"].value == len(NAMES) + 1
        assert samples["atm/PinPad2", "atm.epp"].value == "ready"
        # One of them loses a service: it is looked for once in SLOW, and then no longer told of.
        del terminal.services["CashRecycler1"]
        await source.poll(SLOW)
        assert not [key for key in by_key(await source.poll(NORMAL)) if "CashRecycler1" in key[0]]
    finally:
        await source.close()
        await other.stop()


@pytest.mark.parametrize(
    "uri",
    [
        "ws://127.0.0.1:22/xfs4iot/v1.0/{name}/",
        "wss://127.0.0.1:{port}/xfs4iot/v1.0/{name}/",
        "http://127.0.0.1:{port}/xfs4iot/v1.0/{name}/",
        "ws://127.0.0.1:{port}/admin/{name}/",
        "ws://127.0.0.1:{port}/xfs4iot/v1.0/{name}/../../x",
        "ws://user@127.0.0.1:{port}/xfs4iot/v1.0/{name}/",
        "",
    ],
)
async def test_addresses_that_are_none_are_not_followed(terminal, source, uri):
    terminal.uri = uri.replace("{root}", "")
    with pytest.raises(SourceError, match=r"none of XFS4IoT|not what is configured|publishes no service"):
        await source.poll(NORMAL)
    assert {name for name, _ in terminal.asked} == {""}


async def test_another_host_is_not_followed(terminal, source):
    """The name that a service calls itself by often is not known to others; only the configured host is asked."""
    terminal.uri = "ws://elsewhere.invalid:{port}{root}{name}/"
    assert await source.poll(NORMAL)


async def test_services_are_bounded(terminal, source):
    one = terminal.services["PinPad1"]
    terminal.services = {f"PinPad{n}": one for n in range(100)}
    assert by_key(await source.poll(NORMAL))["atm", "atm.services"].value == MAX_SERVICES


async def test_versions_are_learned(terminal, source):
    terminal.versions = ("1.0",)
    for payloads in terminal.services.values():
        for interface in payloads["Common.Capabilities"]["interfaces"]:
            for command in interface["commands"].values():
                command["versions"] = ["1.0"]
    await source.poll(NORMAL)
    status = terminal.count("Common.Status")
    assert status == len(NAMES)
    await source.poll(NORMAL)
    assert terminal.count("Common.Status") == 2 * status


async def test_an_event_leads_to_an_early_poll(terminal):
    """It carries nothing: the poll that follows tells the shutter's state."""
    hint, buffer = Hint(spacing=0.1), Buffer()
    hint.give()  # the first poll at once, instead of spread over 5 s
    source = XfsSource("atm", "127.0.0.1", port=terminal.port, hinted=hint.give)
    sampler = Sampler(buffer, {"atm.shutter"}, 60.0, {"atm": hint})
    hourly = Intervals(3_600.0, 3_600.0, 3_600.0)
    watching = asyncio.create_task(sampler.run([(source, hourly)]))

    async def shutter(wanted):
        async with asyncio.timeout(60):
            while wanted not in [
                item.value for item in buffer._items if item.component == "atm/CashRecycler1 inDefault"
            ]:
                await asyncio.sleep(0.02)

    try:
        await shutter("jammedOpen")
        polls = terminal.count("Common.Status")
        terminal.services["CashRecycler1"]["Common.Status"]["cashAcceptor"]["positions"][0]["shutter"] = "closed"
        await terminal.say("CashRecycler1", "Common.StatusChangedEvent", {"cashAcceptor": {"positions": []}})
        await shutter("closed")
        assert terminal.count("Common.Status") == polls + len(NAMES)
    finally:
        watching.cancel()
        await asyncio.wait([watching])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "atm")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


async def test_tls(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    terminal = Terminal()
    terminal.uri = "wss://atm1:{port}{root}{name}/"
    await terminal.start(tls=context)
    trusting = ssl.create_default_context(cafile=certificate / "cert.pem")
    source = XfsSource("atm", "127.0.0.1", port=terminal.port, tls=trusting)
    other = XfsSource("atm", "127.0.0.1", port=terminal.port, tls=ssl.create_default_context())
    try:
        assert by_key(await source.poll(NORMAL))["atm", "atm.services"].value == len(NAMES)
        with pytest.raises(SourceError, match="TLS: CERTIFICATE_VERIFY_FAILED"):
            await other.poll(NORMAL)
        # A publisher behind TLS that sends its clients to services without it is not followed.
        terminal.uri = "ws://atm1:{port}{root}{name}/"
        again = XfsSource("atm", "127.0.0.1", port=terminal.port, tls=trusting)
        with pytest.raises(SourceError, match="not what is configured"):
            await again.poll(NORMAL)
    finally:
        await source.close()
        await terminal.stop()
