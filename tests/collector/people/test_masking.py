"""What is masked: serial numbers and addresses, wherever a device wrote them, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.fake_fleet import FakeFleet
from tillwatch.collector.people import masking
from tillwatch.collector.people.roles import Role, Visitor
from tillwatch.collector.read import ComponentView, History, Point, SignalView
from tillwatch.collector.web.scope.scoped import ScopedReader


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("camera at 10.20.30.41", "camera at ••••0.41"),
        ("00:1b:21:3c:4d:5e", "••••d:5e"),
        ("00-1B-21-3C-4D-5E is new", "••••D-5E is new"),
        ("001b.213c.4d5e", "••••4d5e"),
        ("via 2001:db8::8a2e:370:7334.", "via ••••7334."),
        ("fe80::1%eth0", "••••::1%eth0"),
        ("IMEI 356938035643809", "IMEI ••••3809"),
        # None of these is one.
        ("since 12:30:45", "since 12:30:45"),
        ("12:30:45.123", "12:30:45.123"),
        ("std::vector", "std::vector"),
        ("version 10.0.19045.3803", "version 10.0.19045.3803"),
        ("1.2.3", "1.2.3"),
        ("300.1.1.1", "300.1.1.1"),
        ("printer/Receipt", "printer/Receipt"),
        ("2026-11-21T22:00:00+08:00", "2026-11-21T22:00:00+08:00"),
        ("99 %", "99 %"),
        ("", ""),
    ],
)
def test_addresses_are_hidden_and_nothing_else(text, shown):
    assert masking.hidden(text) == shown


@given(st.ip_addresses())
def test_every_address_is_hidden(ip):
    said = masking.hidden(f"it is {ip} now")
    assert (str(ip) not in said) or str(ip) == "::"
    assert masking.hidden(said) == said


@given(st.text(max_size=200))
def test_any_text_passes(text):
    masking.hidden(text)


def test_signals_that_are_nothing_but_a_serial_are_hidden_whole():
    assert masking.shown("identity.serial", "CN-77-0417") == "••••17"
    assert masking.shown("identity.serial", 12345678) == "••••78"
    assert masking.shown("identity.serial", "") == ""
    assert masking.shown("identity.serial", None) is None
    assert masking.shown("identity.firmware", "4.2.1.0") == "4.2.1.0"
    assert masking.shown("sensor.text", "gateway 192.168.0.1") == "gateway ••••.0.1"
    assert masking.shown("temperature", 21.5) == 21.5


def test_components_whose_names_hold_an_address_are_told_apart():
    named = masking.names(["camera@10.1.2.30", "camera@10.1.12.30", "ups"])
    assert named["ups"] == "ups"
    assert len(set(named.values())) == 3
    assert "10.1" not in "".join(named.values())


def signal(component: str, name: str, value: object) -> SignalView:
    return SignalView(component, name, "", "text", value, 1, 1, "good", "none")


class Fleet(FakeFleet):
    def components(self, terminal: str):
        return [
            ComponentView("camera@10.1.2.30", "ok", "no answer from 10.1.2.30", 1, 60.0, 0, (signal("camera@10.1.2.30", "identity.serial", "SN-0099"),)),
            ComponentView("ups", "ok", "", 1, 60.0, 0, (signal("ups", "identity.firmware", "1.2.3.4"), signal("ups", "ups.alarm.text", "traps to 10.9.9.9"))),
        ]  # fmt: skip

    def history(self, terminal, component, signal, start, end):
        assert component == "camera@10.1.2.30"
        return History(terminal, component, signal, "", "reading", (Point(1, "SN-0099", None, None, 1),))


def test_what_anybody_reads_of_a_terminal_is_masked_and_can_still_be_asked_for():
    reader = ScopedReader(Fleet(), Visitor("li.wei", Role.SUPERVISOR))
    camera, ups = reader.components("ATM-001")
    assert (camera.name, camera.reason) == ("camera@••••2.30", "no answer from ••••2.30")
    assert [(each.component, each.value) for each in camera.signals] == [("camera@••••2.30", "••••99")]
    assert [each.value for each in ups.signals] == ["1.2.3.4", "traps to ••••.9.9"]
    history = reader.history("ATM-001", camera.name, "identity.serial", 0, 10**19)
    assert (history.component, history.points[0].value) == (camera.name, "••••99")


def test_what_is_revealed_is_what_was_masked():
    assert masking.secrets_of(Fleet().components("ATM-001")) == {
        "camera@••••2.30": "camera@10.1.2.30",
        "camera@••••2.30 identity.serial": "SN-0099",
        "ups ups.alarm.text": "traps to 10.9.9.9",
    }
