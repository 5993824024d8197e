"""The command, and the whole agent under a service control that stands in for Windows'."""

import json
import logging
import threading
import time

import pytest

from tests.agent.windows.stand_in import RUNNING, START_PENDING, STOP_PENDING, STOPPED, Service
from tillwatch.agent import commands, identity, notify
from tillwatch.agent.command_line import parser_of
from tillwatch.agent.enrolment import first_boot
from tillwatch.agent.windows import command, setup
from tillwatch.agent.windows.command import act, command_line
from tillwatch.agent.windows.dispatcher import NAME, STOP
from tillwatch.agent.windows.dpapi import MARK, Dpapi
from tillwatch.agent.write_filter import FilterState, Volume

TOML = """
[terminal]
state_dir = "state"
[sampling]
fast = "0.5s"
normal = "0.5s"
seal = "0.5s"
"""


def parsed(*arguments):
    given = ["service", *map(str, arguments)]
    return parser_of(given).parse_args(given)


@pytest.fixture
def own(tmp_path, machine, monkeypatch):
    """The folder that %PROGRAMDATA%\\tillwatch is."""
    monkeypatch.setattr(setup, "default_path", lambda: tmp_path / "agent.toml")
    monkeypatch.setattr(command.configuration, "default_path", lambda: tmp_path / "agent.toml")
    monkeypatch.setattr(identity, "protector", lambda: Dpapi(machine.api))
    (tmp_path / "agent.toml").write_text(TOML)
    return tmp_path


@pytest.fixture(autouse=True)
def own_log():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in before[0]:
            handler.close()
    root.handlers, root.level = before[0], before[1]


def test_elsewhere_it_says_that_it_is_for_windows(capsys):
    for arguments in (["install"], ["remove"], ["status"], ["run"]):
        assert commands.main(["service", *arguments]) == 2
    assert capsys.readouterr().err.count("is for Windows; on Linux: systemctl") == 4


def test_help_says_that_nobody_has_tried_it(capsys):
    for arguments in (["service", "--help"], ["service", "install", "--help"], ["--help"]):
        with pytest.raises(SystemExit):
            commands.main(arguments)
        said = " ".join(capsys.readouterr().out.split())
        assert "Not yet run on a Windows machine" in said or "not yet run there" in said


def test_a_path_with_a_space_is_quoted(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.frozen", True, raising=False)
    monkeypatch.setattr("sys.executable", r"C:\Program Files\tillwatch\tillwatch-agent.exe")
    assert command_line(parsed("install")) == r'"C:\Program Files\tillwatch\tillwatch-agent.exe" service run'
    line = command_line(parsed("install", "--config", tmp_path / "a b.toml", "--state-dir", tmp_path))
    assert line.endswith(f' service run --config "{tmp_path}/a b.toml" --state-dir {tmp_path}')


def test_install_status_remove(machine, own, capsys):
    assert act(parsed("status"), machine.api, None) == 3
    assert act(parsed("status", "--json"), machine.api, None) == 3
    assert act(parsed("install"), machine.api, None) == 0
    assert "Not yet run on a Windows machine" in capsys.readouterr().out
    assert act(parsed("status"), machine.api, None) == 4
    assert "stopped, last exit code 1077\nstart automatic, delayed, as NT SERVICE" in capsys.readouterr().out
    machine.services[NAME].state, machine.services[NAME].pid = RUNNING, 12
    assert act(parsed("status", "--json"), machine.api, None) == 0
    assert json.loads(capsys.readouterr().out)["pid"] == 12
    machine.services[NAME].looks_until_stopped = 1
    assert act(parsed("remove"), machine.api, None) == 0
    assert machine.services == {}
    assert machine.handles == {}


class Discards:
    def state(self):
        return FilterState(enabled=True, volumes=(Volume("", protected=True),))


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda own, machine: (own / "agent.toml").write_text("what"), 2, "agent.toml:1"),
        (lambda own, machine: machine.fails.update(OpenSCManagerW=5), 1, "Run as administrator"),
    ],
)
def test_what_stands_in_the_way_is_one_line(machine, own, capsys, spoil, code, said):
    spoil(own, machine)
    assert act(parsed("install"), machine.api, None) == code
    told = capsys.readouterr().err
    assert told.startswith("tillwatch-agent: ")
    assert said in told
    assert told.count("\n") == 1


def test_a_write_filter_is_told(machine, own, capsys):
    assert act(parsed("install"), machine.api, Discards()) == 1
    assert "uwfmgr file add-exclusion" in capsys.readouterr().err


def test_a_running_agent_is_told(machine, own, capsys):
    (own / "state").mkdir()
    with identity.hold(own / "state"):
        assert act(parsed("install"), machine.api, None) == 4
    assert "another tillwatch-agent runs" in capsys.readouterr().err


def test_a_removal_that_takes_too_long(machine, own, capsys, monkeypatch):
    def too_long(*_):
        raise command.registration.TooSlowError("does not stop")

    machine.services[NAME] = Service(name=NAME, state=RUNNING)
    monkeypatch.setattr(command.registration, "remove", too_long)
    assert act(parsed("remove"), machine.api, None) == 1
    assert "does not stop" in capsys.readouterr().err


def test_a_person_who_starts_the_service_is_told(machine, own, capsys):
    machine.started_by_control = False
    assert act(parsed("run"), machine.api, None) == 1
    assert "in a prompt use: tillwatch-agent run" in capsys.readouterr().err


def states(machine):
    found = [status["current_state"] for status in machine.statuses]
    return [state for number, state in enumerate(found) if number == 0 or state != found[number - 1]]


def test_the_whole_agent_as_a_service(machine, own, broker, terminal):
    """It starts on a thread of service control's, protects the seed that lies there, runs, and ends within its time when it is told to."""
    running = threading.Event()
    tell = machine.SetServiceStatus

    def told(handle, status):
        if status._obj.current_state == RUNNING:
            running.set()
        return tell(handle, status)

    machine.SetServiceStatus = told
    took = []

    def during(main, order):
        thread = threading.Thread(target=main)
        thread.start()
        assert running.wait(60)
        began = time.monotonic()
        assert order(STOP, 0) == 0
        thread.join(60)
        took.append(time.monotonic() - began)
        assert not thread.is_alive()

    machine.during = during
    seed = terminal.state_dir / "seed"
    seed.write_bytes(identity.read_private(seed))
    assert seed.stat().st_size == 32
    assert act(parsed("run", "--config", own / "agent.toml"), machine.api, None) == 0
    assert states(machine) == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]
    points = [status["check_point"] for status in machine.statuses if status["current_state"] == START_PENDING]
    assert points == [1, 2, 3]
    assert (terminal.state_dir / "seed").read_bytes().startswith(MARK)
    texts = [text for *_, text in machine.events]
    assert any(text.endswith("seed is protected by this machine's key now") for text in texts)
    assert any(text.startswith("terminal atm-1, ") for text in texts)
    assert texts[-1] == "stopped"
    assert notify.listeners == []
    assert took[0] < 30


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda own: (own / "agent.toml").write_text("what"), 2, "agent.toml:1"),
        (lambda own: None, 3, "not enrolled"),
        (lambda own: ((own / "state").mkdir(), (own / "state" / "identity.json").write_text("{")), 1, "damaged"),
    ],
)
def test_what_stops_a_start_is_in_the_event_log(machine, own, spoil, code, said):
    spoil(own)
    machine.during = lambda main, order: main()
    assert act(parsed("run", "--config", own / "agent.toml"), machine.api, None) == code
    assert machine.statuses[-1]["specific_exit_code"] == code
    assert [(kind, said in text) for kind, _, text in machine.events] == [(1, True)]


def test_a_machine_of_an_image_waits_as_a_service_that_runs(machine, own, monkeypatch):
    """For hours, if need be: a start that is pending so long would be taken for one that hangs."""
    waits = threading.Event()
    (own / first_boot.TOKEN).write_text("token")
    monkeypatch.setattr(first_boot, "FIRST", 3_600.0)
    monkeypatch.setattr(first_boot.random, "uniform", lambda least, most: most)
    tell = machine.SetServiceStatus

    def told(handle, status):
        if status._obj.current_state == RUNNING:
            waits.set()
        return tell(handle, status)

    machine.SetServiceStatus = told

    def during(main, order):
        thread = threading.Thread(target=main)
        thread.start()
        assert waits.wait(60)
        order(STOP, 0)
        thread.join(60)
        assert not thread.is_alive()

    machine.during = during
    assert act(parsed("run", "--config", own / "agent.toml"), machine.api, None) == 0
    assert states(machine) == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]


def test_an_agent_that_runs_already_is_in_the_event_log(machine, own, terminal):
    machine.during = lambda main, order: main()
    with identity.hold(terminal.state_dir):
        assert act(parsed("run", "--config", own / "agent.toml"), machine.api, None) == 4
    assert "another tillwatch-agent runs" in machine.events[-1][2]
