from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.counters import CATALOGUE, assert_catalogued
from tests.agent.sources.xfs_server import NAMES, recorded
from tillwatch.agent.model import State
from tillwatch.agent.sources import xfs_storage as module
from tillwatch.agent.sources.xfs_map import Unread
from tillwatch.agent.sources.xfs_storage import LEAST, MAX_UNITS, WINDOW, RejectRate, total, units


def read(storage, rates=None):
    unread = Unread()
    samples = list(units("atm/S", {"storage": storage}, {} if rates is None else rates, unread))
    assert_catalogued(samples)
    return {(each.component.removeprefix("atm/S unit:"), each.signal): each for each in samples}, unread


def values(name):
    found, unread = read(recorded(name)["Storage.GetStorage"]["storage"])
    assert unread.found == {}
    return {key: sample.value for key, sample in found.items()}


def cash(presented: int, rejected: int, **more: Any):
    counts = {"presented": {"note": {"fit": presented}}, "rejected": {"note": {"unfit": rejected}}}
    return {"unitA": {"status": "ok", "cash": {"status": {"out": counts, **more}}}}


@pytest.mark.parametrize("name", [name for name in NAMES if "Storage.GetStorage" in recorded(name)])
def test_every_recorded_unit_is_understood(name):
    assert values(name)


def test_a_recycler():
    found = values("CashRecycler1")
    assert found["A", "atm.unit.supply"] == "low"
    assert found["A", "atm.unit.count"] == 2000 - 1758 - 42
    assert found["A", "atm.unit.out.rejected"] == 42
    assert found["A", "atm.unit.reject.rate"] == round(100 * 42 / 1800, 3)
    assert found["A", "identity.serial"] == "C-5512"
    assert found["B", "atm.unit.count"] == 1010 - 303 + 437
    assert found["B", "atm.unit.retractions"] == 2
    assert found["R", "atm.unit.supply"] == "high"
    assert found["R", "atm.unit.in.rejected"] == 46
    assert found["R", "atm.unit.operation"] == "dispenseInoperative"
    assert found["A", "atm.unit.operation"] == "ok"
    assert found["T", "atm.unit"] == "missing"
    assert found["T", "atm.unit.count"] is None  # the unit says itself that its counts cannot be believed


def test_cards_cheques_receipts_and_deposits():
    assert values("CardReader1")["BIN1", "atm.unit.retained"] == 3
    assert values("ReceiptPrinter1")["Retract", "atm.unit.count"] == 17
    found = values("CheckDeposit1")
    assert found["CHK", "atm.unit.count"] == 100
    assert found["ENV", "atm.container"] == "high"
    assert found["ENV", "atm.unit.deposited"] == 41
    assert found["ENV", "atm.neutralization"] == "disarmed"


@pytest.mark.parametrize(
    ("types", "said", "word", "state"),
    [
        ({"cashOut": True}, "full", "ok", State.OK),
        ({"cashOut": True}, "empty", "empty", State.CRIT),
        ({"cashIn": True}, "full", "full", State.CRIT),
        ({"cashIn": True}, "empty", "ok", State.OK),
        ({"reject": True}, "high", "high", State.WARN),
        ({"cashIn": True, "cashOut": True}, "full", "full", State.CRIT),
        ({"cashIn": True, "cashOut": True}, "low", "low", State.WARN),
        (None, "empty", "empty", State.CRIT),
    ],
)
def test_supply_is_judged_by_what_the_unit_is_for(types, said, word, state):
    found, _ = read({"unitA": {"cash": {"configuration": {"types": types}, "status": {"replenishmentStatus": said}}}})
    sample = found["A", "atm.unit.supply"]
    assert (sample.value, sample.state) == (word, state)


def test_a_replenishment_is_no_negative_increment():
    rates: dict[str, RejectRate] = {}

    def rate(presented, rejected):
        found, _ = read(cash(presented, rejected), rates)
        sample = found.get(("A", "atm.unit.reject.rate"))
        return sample.value if sample else None

    assert rate(LEAST - 2, 1) is None
    assert rate(198, 2) == 1.0
    assert rate(0, 0) == 1.0
    assert rate(100, 50) == pytest.approx(100 * 52 / 350, abs=1e-3)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 10), st.booleans()), max_size=80))
def test_the_rate_is_that_of_the_last_notes(turns):
    rate, presented, rejected = RejectRate(), 0, 0
    made: list[tuple[int, int]] = []
    for out, bad, again in turns:
        if again:
            presented = rejected = 0
            rate.add(0, 0)
        presented, rejected = presented + out, rejected + bad
        made.append((out, bad))
        said = rate.add(presented, rejected)
        notes = bads = 0
        for each_out, each_bad in reversed(made):
            if notes >= WINDOW:
                break
            notes, bads = notes + each_out + each_bad, bads + each_bad
        assert said == (round(100 * bads / notes, 3) if notes >= LEAST else None)


def test_turns_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_TURNS", 10)
    rate = RejectRate()
    for n in range(1, 200):
        rate.add(n, 0)
    assert len(rate._turns) == 10
    assert rate._presented == 10


def test_totals():
    assert total(None) is None
    assert total({}) == 0
    assert total({"unrecognized": 2, "a": {"fit": 1, "inked": 3, "new": 9}, "b": {"fit": -1, "unfit": True}}) == 6
    assert total({f"note{n}": {"fit": 1} for n in range(1_000)}) == module.MAX_ITEMS


def test_units_and_names_are_bounded():
    found, unread = read({f"unit{n}": {"status": "ok"} for n in range(500)})
    assert len(found) == MAX_UNITS
    assert "more units" in unread.found
    found, unread = read({"unit/../x": {"status": "ok"}, "4111111111111111": {}, "unitB": 5})
    assert found == {}
    assert list(unread.found) == ["storage.unit"]


def test_the_tables_are_of_the_catalogue():
    for signal, known in (
        ("atm.unit", module.UNIT),
        *((module.SUPPLY, known) for known in (module.FILLING, module.EMPTYING, module.BOTH)),
        ("atm.unit.accuracy", module.ACCURACY),
        ("atm.unit.operation", module.OPERATION),
        ("atm.container", module.CONTAINER),
        ("atm.envelopes", module.ENVELOPES),
        ("atm.neutralization", module.PROTECTION),
    ):
        for word, state in known.values():
            assert CATALOGUE[signal]["states"][word] == state.name.lower(), (signal, word)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMED = st.sampled_from(
    ["status", "cash", "card", "check", "printer", "deposit", "capacity", "serialNumber", "banknoteNeutralization"]
)
INNER = st.sampled_from(["status", "configuration", "capabilities"])


@settings(deadline=None)
@given(
    ANY
    | st.dictionaries(
        st.just("unitA"), st.dictionaries(NAMED, st.dictionaries(INNER, ANY, max_size=3) | ANY, max_size=5)
    )
)
def test_storage_of_any_shape_is_samples(storage):
    found, _ = read(storage)
    assert all(not isinstance(each.value, float) or math.isfinite(each.value) for each in found.values())
