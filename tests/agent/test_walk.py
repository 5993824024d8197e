"""Against a real snmpd, with a relay before it that sees every message."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.sources.conftest import Snmpd, snmpd  # noqa: F401 - a fixture
from tillwatch.agent import walk as walking
from tillwatch.agent.__main__ import main
from tillwatch.agent.mib_groups import NEVER_ASKED, WALKED, holding
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_client import SnmpTarget, open_client
from tillwatch.agent.sources.snmp_values import Raw
from tillwatch.agent.sources.snmprec import Replay, read_recording
from tillwatch.agent.walk import counted, progress_on, slug, walk_device

GET, GET_NEXT, GET_BULK = 0xA0, 0xA1, 0xA5
OWN = "1.3.6.1.4.1.32473"


class Relay(asyncio.DatagramProtocol):
    """Hands requests to a device and its answers back. kinds: the PDU of each request."""

    def __init__(self, port: int) -> None:
        self.kinds: set[int] = set()
        self.port = 0
        self._device = ("127.0.0.1", port)
        self._asker: Any = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: Any) -> None:
        if address == self._device:
            self._transport.sendto(data, self._asker)
            return
        self._asker = address
        self.kinds.add(data[data.index(b"public") + len("public")])
        self._transport.sendto(data, self._device)


@pytest.fixture
async def relay(snmpd: Snmpd) -> AsyncIterator[Relay]:  # noqa: F811 - the fixture
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Relay(snmpd.port), local_addr=("127.0.0.1", 0)
    )
    yield protocol
    transport.close()


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_only_questions_are_sent_and_only_of_the_groups(relay: Relay, version: str) -> None:
    client = open_client(SnmpTarget("127.0.0.1", relay.port, version))
    walk = await walk_device(client)
    await client.close()
    assert relay.kinds <= {GET, GET_NEXT, GET_BULK}
    assert walk.raws["1.3.6.1.2.1.33.1.1.1.0"] == b"Voltwerk"
    assert walk.silent == walk.cut == []
    assert [oid for oid in walk.raws if not holding(oid, WALKED) or holding(oid, NEVER_ASKED)] == []


async def test_a_device_is_stored_without_what_it_must_not_say(relay: Relay, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    device = tmp_path / "device.snmprec"
    arguments = ["walk", f"127.0.0.1:{relay.port}", "-o", str(device), "--json"]
    assert await asyncio.to_thread(main, arguments) == 0
    said = json.loads(capsys.readouterr().out)
    raws = read_recording(device)
    assert said["values"] == len(raws)
    assert said["groups"]["UPS-MIB"] == 10
    assert raws["1.3.6.1.2.1.1.5.0"] == b"device"
    assert "1.3.6.1.2.1.1.4.0" not in raws
    assert raws["1.3.6.1.2.1.33.1.3.1.0"] == 4000000000
    assert "rfc1628" in said["profiles"]
    assert said["generic"] is True
    assert said["draft_problems"] == []
    draft = Path(said["draft"]).read_text()
    assert "rfc1628" in draft
    assert await asyncio.to_thread(main, arguments) == 1
    assert "is there already" in capsys.readouterr().err


def recorded(tmp_path: Path, lines: str) -> Path:
    path = tmp_path / "theirs.snmprec"
    path.write_text(f"1.3.6.1.2.1.1.1.0|4|Acme R9\n1.3.6.1.2.1.1.2.0|6|{OWN}.9.1\n{lines}")
    return path


def test_a_colleague_s_walk_is_taken_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = recorded(tmp_path, f"{OWN}.1.0|4|SN-77-1\n{OWN}.2.0|2|97\n{OWN}.3.1.0|4|secret\n")
    ours = tmp_path / "acme.snmprec"
    assert main(["walk", str(device), "-o", str(ours), "--forget", "SN-77-1", "--drop", f"{OWN}.3"]) == 0
    out = capsys.readouterr().out
    assert (
        ours.read_text()
        == f"1.3.6.1.2.1.1.1.0|4|Acme R9\n1.3.6.1.2.1.1.2.0|6|{OWN}.9.1\n{OWN}.1.0|4|removed\n{OWN}.2.0|2|97\n"
    )
    assert "no profile fits" in out
    assert "lint finds nothing wrong" in out
    assert "left out by --drop" in out
    (tmp_path / "acme.yaml").write_text("title: edited\n")
    again = ["walk", str(device), "-o", str(ours), "--force"]
    assert main(again) == 0
    assert "which was there and is kept" in capsys.readouterr().out
    assert main([*again, "--draft", str(tmp_path / "acme.yaml")]) == 0
    assert "A draft out of one walk" in (tmp_path / "acme.yaml").read_text()
    capsys.readouterr()
    assert main(["walk", str(ours), "-o", str(ours), "--force"]) == 1
    assert "would be written over what is read" in capsys.readouterr().err


def test_a_device_with_a_profile_needs_no_draft(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = Path(__file__).parents[1] / "recordings" / "apc.snmprec"
    assert main(["walk", str(theirs), "-o", str(tmp_path / "apc.snmprec"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["profiles"][0] == "apc"
    assert said["draft"] == ""
    assert [path.name for path in tmp_path.iterdir()] == ["apc.snmprec"]


@pytest.mark.parametrize("arguments", [["127.0.0.1:9", "--timeout", "0.1"], ["no-such.snmprec"], ["127.0.0.1:snmp"]])
def test_what_goes_wrong_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["walk", *arguments]) == 1
    assert capsys.readouterr().err.count("\n") == 1


class Slow(Replay):
    """Does not answer about some groups."""

    def __init__(self, raws: dict[str, Raw], silent: set[str]) -> None:
        super().__init__(raws)
        self.silent = silent
        self.asked: list[str] = []

    async def walk(self, base: str, limit: int) -> dict[str, Raw]:
        self.asked.append(base)
        if base in self.silent:
            raise SourceError("no answer")
        return await super().walk(base, limit)


SYSTEM: dict[str, Raw] = {"1.3.6.1.2.1.1.1.0": b"Acme", "1.3.6.1.2.1.1.2.0": f"{OWN}.9.1"}


async def test_a_device_that_falls_silent_is_not_asked_on() -> None:
    oids = [group.oid for group in WALKED]
    client = Slow(SYSTEM, set(oids[3:5]))
    walk = await walk_device(client)
    assert client.asked == oids[:5]
    assert walk.silent == [group.name for group in WALKED[3:]]
    with pytest.raises(SourceError, match="no answer"):
        await walk_device(Slow(SYSTEM, {oids[0]}))


async def test_a_group_that_is_too_large_is_cut_and_the_maker_s_own_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MAX_VALUES", 20)
    others: dict[str, Raw] = {f"1.3.6.1.4.1.9.1.{n}": n for n in range(1, 40)}
    walk = await walk_device(Replay(SYSTEM | others | {f"{OWN}.1.0": 5}))
    assert walk.cut == ["the makers' own MIBs"]
    assert walk.raws[f"{OWN}.1.0"] == 5
    assert counted(walk.raws) == {"SNMPv2-MIB": 2, "enterprise 9": 20, "enterprise 32473": 1}


def test_progress_is_for_terminals_only() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, said in ((io.StringIO(), ""), (Terminal(), "\r\x1b[Khalf\r\x1b[K")):
        with progress_on(stream) as progress:
            progress("half")
        assert stream.getvalue() == said


def test_a_file_s_name_out_of_what_a_device_says() -> None:
    assert slug("Voltana S1-3000 UPS card") == "voltana-s1-3000"
    assert slug("???") == "device"


def test_help_lists_by_oid_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["walk", "--help"])
    shown = capsys.readouterr().out
    assert all(group.oid in shown for group in NEVER_ASKED)
    assert "1.3.6.1.2.1.1.4 " in shown
