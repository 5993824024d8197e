import pytest

from tillwatch.agent.windows.account import GROUPS, join_groups, leave_groups, service_sid, virtual_account
from tillwatch.agent.windows.interfaces import Win32Error

SID = service_sid("tillwatch-agent")


def test_the_number_of_a_known_service():
    """TrustedInstaller's is the same on every Windows, and printed in many places."""
    assert service_sid("TrustedInstaller") == "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    assert service_sid("trustedinstaller") == service_sid("TRUSTEDINSTALLER")


def test_the_account_is_named_for_the_service():
    assert virtual_account("tillwatch-agent") == "NT SERVICE\\tillwatch-agent"


def test_groups_are_joined_in_whatever_language(machine):
    assert join_groups(machine.api, SID) == list(GROUPS)
    assert all(members == {SID} for members in machine.groups.values())
    assert join_groups(machine.api, SID) == []
    leave_groups(machine.api, SID, list(GROUPS))
    leave_groups(machine.api, SID, list(GROUPS))
    assert not any(machine.groups.values())


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("ConvertStringSidToSidW", 1337, "error 1337"),
        ("LookupAccountSidW", 1332, "the account is not known"),
        ("NetLocalGroupAddMembers", 2220, "there is no such group"),
        ("NetLocalGroupAddMembers", 5, "Run as administrator"),
    ],
)
def test_what_fails_is_told(machine, call, code, said):
    machine.fails[call] = code
    with pytest.raises(Win32Error, match=f"{call}: .*{said}"):
        join_groups(machine.api, SID)


def test_the_first_group_is_left_where_the_second_fails(machine):
    del machine.names["S-1-5-32-558"]
    with pytest.raises(KeyError):
        join_groups(machine.api, SID)
    assert not any(machine.groups.values())
