from dataclasses import replace
from pathlib import Path

import pytest

from tests.agent.windows.stand_in import RUNNING, Service
from tillwatch.agent import identity
from tillwatch.agent.protection import FileMode
from tillwatch.agent.windows import setup
from tillwatch.agent.windows.account import service_sid
from tillwatch.agent.windows.acl import configuration_rights, state_rights
from tillwatch.agent.windows.dispatcher import NAME
from tillwatch.agent.windows.dpapi import MARK, Dpapi
from tillwatch.agent.windows.event_log import KEY
from tillwatch.agent.windows.interfaces import Win32Error
from tillwatch.agent.windows.setup import SetupError, Wanted
from tillwatch.agent.write_filter import FilterState, Volume, WriteFilterError

SID = service_sid(NAME)


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    own = tmp_path / "tillwatch"
    monkeypatch.setattr(setup, "default_path", lambda: own / "agent.toml")
    return Wanted("tillwatch-agent.exe service run", own / "agent.toml", own / "agent")


class Filter:
    def __init__(self, state):
        self.told = state

    def state(self):
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


def install(machine, wanted, of=None, protector=None):
    said = []
    setup.install(machine.api, wanted, of, protector or Dpapi(machine.api), said.append)
    return said


def test_what_stands_after_an_installation(machine, wanted):
    said = install(machine, wanted)
    assert machine.services[NAME].account == "NT SERVICE\\tillwatch-agent"
    assert set(machine.registry) == {KEY}
    assert all(members == {SID} for members in machine.groups.values())
    assert machine.rights == {
        str(wanted.state_dir.parent): configuration_rights(SID),
        str(wanted.state_dir): state_rights(SID),
    }
    # From the outside in: the folder above would else be inherited over the one below.
    assert list(machine.rights) == [str(wanted.state_dir.parent), str(wanted.state_dir)]
    assert [line.partition(" ")[0] for line in said] == ["service", "account", "rights:"]
    assert machine.handles == {}


def test_drives_take_the_account_of_the_system(machine, wanted):
    assert "account LocalSystem" in install(machine, replace(wanted, drives=True))[1]
    assert machine.services[NAME].account == "LocalSystem"
    assert machine.services[NAME].levels[6] == "SeChangeNotifyPrivilege"


def test_keys_that_lie_in_the_clear_are_protected(machine, wanted, monkeypatch):
    monkeypatch.setattr(identity, "protector", lambda: Dpapi(machine.api))
    wanted.state_dir.mkdir(parents=True)
    (wanted.state_dir / "seed").write_bytes(b"s" * 32)
    assert "seed is protected by this machine's key now" in install(machine, wanted)
    assert (wanted.state_dir / "seed").read_bytes().startswith(MARK)


def test_rights_of_a_folder_of_others_are_left(machine, wanted, tmp_path):
    elsewhere = replace(wanted, configuration=tmp_path / "elsewhere" / "agent.toml")
    said = install(machine, elsewhere)
    assert str(tmp_path / "elsewhere") not in machine.rights
    assert any("are left as they are" in line for line in said)


def test_a_whole_drive_is_no_state_directory(machine, wanted):
    with pytest.raises(SetupError, match="a whole drive"):
        install(machine, replace(wanted, state_dir=Path("/")))
    assert machine.calls == []


@pytest.mark.parametrize(
    "state", [FilterState(enabled=True, volumes=(Volume("", protected=True),)), WriteFilterError("not asked")]
)
def test_a_write_filter_over_the_spool_stops_it_before_anything(machine, wanted, state):
    with pytest.raises((SetupError, WriteFilterError), match=r"add-exclusion|not asked"):
        install(machine, wanted, Filter(state))
    assert machine.calls == []
    assert not wanted.state_dir.exists()


@pytest.mark.parametrize("state", [None, FilterState(enabled=False), FilterState(enabled=True)])
def test_a_write_filter_that_lets_it_through(machine, wanted, state):
    install(machine, wanted, Filter(state))
    assert NAME in machine.services


CALLS = [
    "OpenSCManagerW",
    "CreateServiceW",
    "ChangeServiceConfig2W",
    "RegCreateKeyExW",
    "RegSetValueExW",
    "ConvertStringSidToSidW",
    "LookupAccountSidW",
    "NetLocalGroupAddMembers",
    "ConvertStringSecurityDescriptorToSecurityDescriptorW",
    "GetSecurityDescriptorDacl",
    "SetNamedSecurityInfoW",
]


@pytest.mark.parametrize("call", CALLS)
def test_whatever_fails_the_machine_is_as_before(machine, wanted, call):
    machine.fails[call] = 5
    with pytest.raises(Win32Error, match=f"{call}.*access denied"):
        install(machine, wanted)
    assert machine.services == {}
    assert set(machine.registry) - {KEY} == set()
    assert not machine.registry.get(KEY)
    assert not any(machine.groups.values())
    assert machine.handles == {}


def test_a_key_that_cannot_be_protected_takes_all_back(machine, wanted):
    wanted.state_dir.mkdir(parents=True)
    (wanted.state_dir / "tls.key").write_bytes(b"no PEM")
    with pytest.raises(identity.IdentityError):
        install(machine, wanted)
    assert machine.services == machine.registry == {}
    assert not any(machine.groups.values())


def test_a_running_agent_is_not_changed_under_its_feet(machine, wanted):
    wanted.state_dir.mkdir(parents=True)
    with identity.hold(wanted.state_dir), pytest.raises(identity.HeldError):
        install(machine, wanted)
    assert machine.services == {}


def test_a_change_that_fails_leaves_the_service_there(machine, wanted):
    install(machine, wanted)
    machine.fails["SetNamedSecurityInfoW"] = 5
    with pytest.raises(Win32Error):
        install(machine, wanted)
    assert NAME in machine.services
    assert set(machine.registry) == {KEY}
    assert all(members == {SID} for members in machine.groups.values())


def test_a_removal_leaves_the_folders_alone(machine, wanted):
    said = []
    install(machine, wanted, protector=FileMode())
    machine.services[NAME] = Service(name=NAME, state=RUNNING, looks_until_stopped=1)
    setup.remove(machine.api, said.append)
    assert machine.services == machine.registry == {}
    assert not any(machine.groups.values())
    assert wanted.state_dir.is_dir()
    setup.remove(machine.api, said.append)
    assert said == ["service tillwatch-agent removed", "there is no service tillwatch-agent"]
    assert machine.handles == {}
