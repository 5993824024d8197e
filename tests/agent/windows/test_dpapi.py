import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agent.windows.stand_in import Machine
from tillwatch.agent.protection import SEED_USE, TLS_USE, ProtectionError
from tillwatch.agent.windows.dpapi import Dpapi


@given(st.binary(min_size=1, max_size=5_000), st.text(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_what_was_protected_is_revealed(secret, use):
    machine = Machine()
    dpapi = Dpapi(machine.api)
    kept = dpapi.protect(secret, use)
    assert dpapi.is_protected(kept)
    assert kept != secret
    assert dpapi.reveal(kept, use) == secret
    assert machine.allocated == {}


def test_what_was_never_protected_is_given_as_it_is(machine):
    assert Dpapi(machine.api).reveal(b"s" * 32, SEED_USE) == b"s" * 32
    assert machine.calls == []


def test_one_secret_is_not_taken_for_another(machine):
    dpapi = Dpapi(machine.api)
    with pytest.raises(ProtectionError):
        dpapi.reveal(dpapi.protect(b"secret", SEED_USE), TLS_USE)


def test_what_was_copied_from_another_machine_says_what_to_do(machine):
    kept = Dpapi(Machine().api).protect(b"secret", SEED_USE)
    with pytest.raises(ProtectionError, match=r"another machine.*enrol --force TOKEN.*error 13"):
        Dpapi(machine.api).reveal(kept, SEED_USE)


@pytest.mark.parametrize("code", [2, 13, 0x8009000B])
def test_each_way_in_which_windows_says_so(machine, code):
    dpapi = Dpapi(machine.api)
    kept = dpapi.protect(b"secret", SEED_USE)
    machine.fails["CryptUnprotectData"] = code
    with pytest.raises(ProtectionError, match=f"seed: .*another machine.*error {code}"):
        dpapi.reveal(kept, SEED_USE)


def test_an_error_of_another_kind_is_not_said_to_be_a_copy(machine):
    dpapi = Dpapi(machine.api)
    kept = dpapi.protect(b"secret", SEED_USE)
    machine.fails["CryptUnprotectData"] = 8
    with pytest.raises(ProtectionError, match="not enough memory") as raised:
        dpapi.reveal(kept, SEED_USE)
    assert "another machine" not in str(raised.value)


def test_what_cannot_be_protected_is_told(machine):
    machine.fails["CryptProtectData"] = 2
    with pytest.raises(ProtectionError, match="CryptProtectData: error 2, not found") as raised:
        Dpapi(machine.api).protect(b"secret", SEED_USE)
    assert "another machine" not in str(raised.value)
