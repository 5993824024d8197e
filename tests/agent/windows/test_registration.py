import pytest

from tests.agent.windows.stand_in import RUNNING, STOP_PENDING, STOPPED, Service
from tillwatch.agent.windows.dispatcher import NAME
from tillwatch.agent.windows.interfaces import Win32Error
from tillwatch.agent.windows.registration import DESCRIPTION, STOP_S, Told, TooSlowError, register, remove, told
from tillwatch.agent.windows.status import Phase

COMMAND = r'"C:\Program Files\tillwatch\tillwatch-agent.exe" service run'


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


def test_what_windows_has_on_record(machine):
    assert register(machine.api, COMMAND) is True
    service = machine.services[NAME]
    assert (service.path, service.account) == (COMMAND, "NT SERVICE\\tillwatch-agent")
    assert (service.kind, service.start) == (0x10, 2)
    assert service.levels == {
        1: DESCRIPTION,
        2: (86_400, [(1, 15_000), (1, 60_000), (1, 600_000)]),
        3: 1,
        4: 1,
        5: 1,
        6: "SeChangeNotifyPrivilege",
        7: 10_000,
    }
    assert machine.handles == {}


def test_again_is_a_change(machine):
    register(machine.api, "old", "LocalSystem")
    machine.services[NAME].levels = {}
    assert register(machine.api, COMMAND) is False
    assert machine.services[NAME].path == COMMAND
    assert machine.services[NAME].account == "NT SERVICE\\tillwatch-agent"
    assert len(machine.services[NAME].levels) == 7
    assert machine.handles == {}


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("OpenSCManagerW", 5, "Run as administrator"),
        ("CreateServiceW", 5, "Run as administrator"),
        ("CreateServiceW", 1057, "virtual accounts"),
        ("CreateServiceW", 1072, "services.msc"),
        ("CreateServiceW", 1078, "display name"),
        ("ChangeServiceConfig2W", 87, "error 87"),
    ],
)
def test_what_fails_leaves_no_service(machine, call, code, said):
    machine.fails[call] = code
    with pytest.raises(Win32Error, match=f"{call}.*{said}"):
        register(machine.api, COMMAND)
    assert machine.services == {}
    assert machine.handles == {}


@pytest.mark.parametrize("call", ["OpenServiceW", "ChangeServiceConfigW", "ChangeServiceConfig2W"])
def test_a_change_that_fails_leaves_the_service(machine, call):
    register(machine.api, COMMAND)
    machine.fails[call] = 5
    with pytest.raises(Win32Error, match=f"{call}.*access denied"):
        register(machine.api, "another")
    assert NAME in machine.services
    assert machine.handles == {}


def test_it_is_stopped_before_it_is_removed(machine):
    clock = Clock()
    machine.services[NAME] = Service(name=NAME, state=RUNNING, looks_until_stopped=5)
    assert remove(machine.api, clock, clock.wait) is True
    assert machine.services == {}
    assert clock.now == 1.0
    assert remove(machine.api, clock, clock.wait) is False
    assert machine.handles == {}


def test_one_that_does_not_run_is_removed_at_once(machine):
    clock = Clock()
    machine.services[NAME] = Service(name=NAME, state=STOPPED)
    assert remove(machine.api, clock, clock.wait) is True
    assert clock.now == 0.0


def test_one_that_does_not_stop_stays(machine):
    clock = Clock()
    machine.services[NAME] = Service(name=NAME, state=RUNNING, refuses_to_stop=True)
    with pytest.raises(TooSlowError, match="Task Manager"):
        remove(machine.api, clock, clock.wait)
    assert machine.services[NAME].state == STOP_PENDING
    assert STOP_S < clock.now < STOP_S + 1


@pytest.mark.parametrize(
    ("call", "code"),
    [("OpenServiceW", 5), ("ControlService", 1051), ("QueryServiceStatusEx", 6), ("DeleteService", 1072)],
)
def test_a_removal_that_fails_is_told(machine, call, code):
    clock = Clock()
    machine.services[NAME] = Service(name=NAME, state=RUNNING)
    machine.fails[call] = code
    with pytest.raises(Win32Error, match=f"{call}: error {code}, "):
        remove(machine.api, clock, clock.wait)
    assert NAME in machine.services
    assert machine.handles == {}


def test_what_windows_says_of_it(machine):
    assert told(machine.api) is None
    machine.services[NAME] = Service(name=NAME, state=RUNNING, pid=4711, exit=0, path=COMMAND, account="a", start=2)
    assert told(machine.api) == Told(Phase.RUNNING, 4711, 0, "a", COMMAND, 2)
    machine.services[NAME] = Service(
        name=NAME, state=STOPPED, exit=1066, specific=3, path=COMMAND, account="a", start=2
    )
    assert told(machine.api) == Told(Phase.STOPPED, 0, 3, "a", COMMAND, 2)
    machine.services[NAME].state = 7  # paused, which this service never is
    assert told(machine.api).phase is Phase.START_PENDING
    assert machine.handles == {}


@pytest.mark.parametrize("call", ["OpenSCManagerW", "OpenServiceW", "QueryServiceStatusEx", "QueryServiceConfigW"])
def test_a_question_that_fails_is_told(machine, call):
    register(machine.api, COMMAND)
    machine.fails[call] = 5
    with pytest.raises(Win32Error, match=f"{call}: error 5, "):
        told(machine.api)
    assert machine.handles == {}
