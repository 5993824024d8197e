"""The agent cannot change a device. Every place in its source where bytes can leave is listed here with what stands before it: a new one fails,
until somebody has looked at it. That the listed ones let nothing else through is shown by the tests of their modules, and for SNMP on the wire.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tillwatch.agent.wire import CommandKind
from tillwatch.firmware_shims.base import Shim, load_all

ROOT = Path(__file__).resolve().parents[2]
SENDS = frozenset(
    {
        *("write", "writelines", "write_eof", "send", "sendall", "sendto", "sendmsg", "sendfile", "publish"),
        *("Popen", "subprocess_exec", "subprocess_shell", "create_subprocess_exec", "create_subprocess_shell"),
    }
)
"""By these bytes leave through files, sockets, transports, streams, serial ports, MQTT and programs; and by the loop's own `sock_*`."""
PLACES = {
    "agent/command_line.py _Version.__call__: sys.stdout.write": "a person at a command line",
    "agent/enrolment/first_boot.py _attempt: asyncio.create_subprocess_exec": "the agent itself, which enrols",
    "agent/identity.py write_private: out.write": "a file of the state directory",
    "agent/prepared.py hand_over: file.write": "a pipe between two of the agent's own processes",
    "agent/record.py Listened.send: self._port.send": "Dialogue.send, whose port it is",
    "agent/walk.py progress_on.show: stream.write": "the progress, on a terminal",
    "agent/walk.py write_new: file.write": "a file of the person who walks",
    "agent/notify.py notify: sock.sendto": "systemd",
    "agent/bundles/taking.py Taking._check: asyncio.create_subprocess_exec": "the agent itself",
    "agent/remote/assembling.py Bundles.make: asyncio.create_subprocess_exec": "the agent itself",
    "agent/remote/bundle.py run: sys.stderr.write": "a person at a command line",
    "agent/remote/bundle.py run: sys.stdout.buffer.write": "the agent that started it",
    "agent/remote/bundle.py run: sys.stdout.write": "a person at a command line",
    "agent/enrolment/renewal.py Renewal._rotate: asyncio.create_subprocess_exec": "the agent itself",
    "agent/write_filter.py _powershell: subprocess.run": "one question to Windows, a constant",
    "agent/mqtt.py Link.publish: self._client.publish": "the collector",
    "agent/uplink.py Uplink.goodbye: self._link.publish": "the collector",
    "agent/uplink.py Uplink._connection: link.publish": "the collector",
    "agent/uplink.py Uplink._carry_out: link.publish": "the collector",
    "agent/sources/nut.py _Link.send: self._writer.write": "ASKED: the questions to upsd",
    "agent/sources/nut.py _Link.listed: self.send": "the line above",
    "agent/sources/nut.py NutSource.variables: link.send": "the line above that",
    "agent/sources/program.py Program.run: asyncio.get_running_loop().subprocess_exec": "smartctl, ipmitool; each source has its arguments as constants",
    "agent/sources/serial.py DescriptorPort.send: os.write": "Dialogue.send",
    "agent/sources/serial.py ThreadedPort.send: self._line.write": "Dialogue.send",
    "agent/sources/traps.py TrapSource._send: self._transport.sendto": "an answer to an inform, to where it came from",
    "agent/sources/xfs_link.py XfsLink._write: self._protocol.send": "FRAME: makes the bytes",
    "agent/sources/xfs_link.py XfsLink._write: self._writer.write": "FRAME: hands them on",
    "firmware_shims/dialogue_reference.py main: sys.stdout.write": "a page of documentation",
    "firmware_shims/engine.py Dialogue.send: self._port.send": "the whitelist of the shim",
    "firmware_shims/engine.py Dialogue._exchange: self.send": "the line above",
}
SEVERAL = {"agent/uplink.py Uplink._carry_out: link.publish": 2}
SNMP = {"gufo": {"agent/sources/snmp_gufo.py"}, "pysnmp": {"agent/sources/snmp_pysnmp.py"}}
RECEIVE = {"agent/sources/trap_messages.py", "agent/sources/traps_v3.py"}
"""These take pysnmp's codec and engine for what comes in; their answers leave through TrapSource._send."""
ASKING = {
    "agent/sources/snmp_gufo.py": {"get_many", "getnext", "fetch", "refresh"},
    "agent/sources/snmp_pysnmp.py": {"get_cmd", "next_cmd", "bulk_cmd"},
}
"""All that is called of the two libraries to ask a device."""
OFFERED = frozenset(
    {
        *("get", "get_many", "getnext", "getbulk", "fetch", "refresh", "set", "set_many"),
        *("get_cmd", "next_cmd", "bulk_cmd", "set_cmd", "walk_cmd", "bulk_walk_cmd", "send_notification"),
    }
)


def sources() -> list[Path]:
    return sorted(path for folder in ("agent", "firmware_shims") for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def attributes(node: ast.AST, where: str = "") -> Iterator[tuple[str, ast.Attribute]]:
    """With the class and function around it. Not only calls: a method may be handed on and called elsewhere."""
    for child in ast.iter_child_nodes(node):
        inner = where
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = f"{where}.{child.name}".lstrip(".")
        if isinstance(child, ast.Attribute):
            yield where, child
        yield from attributes(child, inner)


def sending(text: str) -> Iterator[str]:
    for where, node in attributes(ast.parse(text)):
        if node.attr in SENDS or node.attr.startswith("sock_") or ast.unparse(node) == "subprocess.run":
            yield f"{where}: {ast.unparse(node)}"


def imported(text: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(text)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def of_package(modules: Iterable[str], package: str) -> bool:
    return any(module.split(".")[0] == package for module in modules)


def test_every_place_where_bytes_can_leave_is_known() -> None:
    found = Counter(f"{name(path)} {place}" for path in sources() for place in sending(path.read_text("utf-8")))
    expected = {place: SEVERAL.get(place, 1) for place in PLACES}
    assert dict(found) == expected, "look at what the new place lets through, then list it; take out what is gone"


@pytest.mark.parametrize(
    "text",
    [
        "def f(port):\n    port.write(b'Z')",
        "class A:\n    def f(self):\n        asyncio.to_thread(self._line.write, b'Z')",
        "out = sock.sendto",
        "async def f(loop, s):\n    await loop.sock_sendall(s, b'Z')",
        "subprocess.run(['ipmitool', 'power', 'off'])",
    ],
)
def test_a_new_place_would_be_found(text: str) -> None:
    assert len(list(sending(text))) == 1


@pytest.mark.parametrize("package", SNMP)
def test_snmp_is_spoken_in_one_module_of_each_library(package: str) -> None:
    speaking = {name(path) for path in sources() if of_package(imported(path.read_text("utf-8")), package)}
    assert speaking - RECEIVE == SNMP[package]


@pytest.mark.parametrize("module", ASKING)
def test_nothing_is_called_that_could_set(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text("utf-8"))
    used = {
        node.attr
        for where, node in attributes(tree)
        if ast.unparse(node.value) in ("session", "self._session", "hlapi")
    }
    assert used & OFFERED == ASKING[module]


CARRIED_OUT = {
    CommandKind.POLL_NOW: {"self._means.sampler.poll_now"},
    CommandKind.RAISE_SAMPLING: {"self._raise"},
    CommandKind.COLLECT_BUNDLE: {"self._means.bundle", "self._means.tell"},
    CommandKind.SELF_REPORT: {"self._means.sampler.read_by"},
}
"""All that a command of each kind sets in motion: polls as the schedule makes them, a shorter interval, a look at the agent, a source's report."""


def test_a_command_sets_nothing_in_motion_but_what_is_listed() -> None:
    tree = ast.parse((ROOT / "agent/remote/orders.py").read_text("utf-8"))
    carries = next(node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef) and node.name == "_do")
    matching = next(node for node in carries.body if isinstance(node, ast.Match))
    found = {
        CommandKind[ast.unparse(case.pattern).rpartition(".")[2]]: {
            ast.unparse(node.func)
            for node in ast.walk(case)
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("self.")
        }
        for case in matching.cases
    }
    assert found == CARRIED_OUT, "a new kind, or a kind that does more: look at what it lets through"


def test_what_takes_commands_knows_no_way_to_a_device() -> None:
    """Everything that it does goes through the sampler: no protocol, no port, no program but the agent itself."""
    for path in sorted((ROOT / "agent/remote").glob("*.py")):
        modules = imported(path.read_text("utf-8"))
        assert not [
            module for module in modules if module.startswith(("tillwatch.firmware_shims", "tillwatch.agent.sources."))
        ]
        assert not of_package(modules, "serial") | of_package(modules, "socket") | of_package(modules, "subprocess")


@pytest.mark.parametrize("shim", load_all(), ids=lambda shim: shim.name)
def test_a_self_report_asks_what_the_polls_ask(shim: Shim) -> None:
    """Requests of the shim's own rows, and so of its whitelist; nobody who may not own the port has any."""
    assert set(shim.report) <= set(shim.queries)
    assert {query.request for query in shim.report} <= shim.whitelist


def test_no_source_has_a_word_for_set() -> None:
    """Neither of the libraries' names for it nor the PDU's tag, in any module of the agent."""
    words = ("set_cmd", "setcmd", "setrequest", "snmpset", "send_set", "0xa3")
    assert [name(path) for path in sources() for word in words if word in path.read_text("utf-8").lower()] == []
