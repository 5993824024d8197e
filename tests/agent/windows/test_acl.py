from pathlib import Path

import pytest

from tillwatch.agent.windows.account import service_sid
from tillwatch.agent.windows.acl import configuration_rights, set_rights, state_rights
from tillwatch.agent.windows.interfaces import Win32Error

SID = service_sid("tillwatch-agent")


def entries(rights):
    assert rights.startswith("D:PAI(")
    return {tuple(entry.split(";"))[5]: tuple(entry.split(";"))[:3] for entry in rights[6:-1].split(")(")}


@pytest.mark.parametrize("rights", [state_rights(SID), configuration_rights(SID)])
def test_only_the_system_the_administrators_and_the_service(rights):
    found = entries(rights)
    assert set(found) == {"SY", "BA", SID}
    assert found["SY"] == found["BA"] == ("A", "OICI", "FA")


def test_the_service_writes_its_state_and_not_its_configuration():
    write_rights, change_rights = 0x2 | 0x4 | 0x10000, 0x40000 | 0x80000
    state, configuration = (
        int(entries(rights)[SID][2], 16) for rights in (state_rights(SID), configuration_rights(SID))
    )
    assert state & write_rights == write_rights
    assert configuration & (0x2 | 0x4 | 0x10 | 0x40 | 0x100 | 0x10000) == 0
    assert (state | configuration) & change_rights == 0


def test_they_are_set(machine):
    set_rights(machine.api, Path("state"), state_rights(SID))
    assert machine.rights == {"state": state_rights(SID)}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("ConvertStringSecurityDescriptorToSecurityDescriptorW", 1336),
        ("GetSecurityDescriptorDacl", 1338),
        ("SetNamedSecurityInfoW", 5),
        ("SetNamedSecurityInfoW", 2),
    ],
)
def test_what_fails_is_told(machine, call, code):
    machine.fails[call] = code
    with pytest.raises(Win32Error, match=f"{call}: error {code}, "):
        set_rights(machine.api, Path("state"), state_rights(SID))
    assert machine.rights == {}
