import logging

import pytest

from tillwatch.agent.transition import Condition
from tillwatch.agent.windows.event_log import (
    HOUR,
    KEY,
    MAX_AN_HOUR,
    MAX_TEXT,
    EventLogHandler,
    register_source,
    remove_source,
    to_event_log,
)
from tillwatch.agent.windows.interfaces import Win32Error


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(machine, clock):
    found = logging.Logger("tried", logging.DEBUG)  # noqa: LOG001 - one that nobody else writes to
    handler = EventLogHandler(machine.api, clock)
    found.addHandler(handler)
    yield found
    handler.close()
    handler.close()
    assert machine.handles == {}


def test_each_level_is_an_event_of_its_kind(machine, log):
    log.debug("not told")
    log.info("began")
    log.warning("odd")
    log.error("wrong")
    assert machine.events == [(4, 1, "began"), (2, 2, "odd"), (1, 3, "wrong")]


def test_a_condition_is_two_events(machine, log):
    condition = Condition(log, "mended")
    for _ in range(50):
        condition.begins("broken")
    condition.ends()
    assert [text for *_, text in machine.events] == ["broken", "mended"]


def test_a_place_for_another_text_is_none(machine, log):
    """%1 in a text would be replaced by the text itself."""
    log.warning("fe80::1%12 at 95 %")
    assert machine.events[0][2] == "fe80::1% 12 at 95 %"


def test_a_long_text_is_cut(machine, log):
    log.warning("x" * 50_000)
    assert len(machine.events[0][2]) == MAX_TEXT


def test_what_is_held_back_is_counted(machine, log, clock):
    for number in range(MAX_AN_HOUR + 7):
        log.warning("flaps %d", number)
    assert len(machine.events) == MAX_AN_HOUR
    clock.now += HOUR
    log.warning("again")
    log.warning("and again")
    assert [text for *_, text in machine.events[MAX_AN_HOUR:]] == [
        f"again (7 events were held back before this one: over {MAX_AN_HOUR} in an hour)",
        "and again",
    ]


def test_an_event_that_cannot_be_written_stops_nothing(machine, log):
    machine.fails["ReportEventW"] = 1502
    log.error("nobody hears")
    assert machine.events == []


def test_no_event_log_at_all_is_told(machine):
    machine.fails["RegisterEventSourceW"] = 1722
    with pytest.raises(Win32Error, match="RegisterEventSourceW: error 1722"):
        EventLogHandler(machine.api)


def test_it_takes_the_place_of_standard_error(machine):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        root.handlers = [logging.StreamHandler()]
        to_event_log(machine.api)
        assert [type(handler) for handler in root.handlers] == [EventLogHandler]
        logging.getLogger("tillwatch.agent").info("stopped")
        assert machine.events == [(4, 1, "stopped")]
        root.handlers[0].close()
    finally:
        root.handlers, root.level = before[0], before[1]


def test_the_event_viewer_knows_the_texts(machine):
    register_source(machine.api)
    kind, file, size = machine.registry[KEY]["EventMessageFile"]
    assert (kind, file) == (2, r"%SystemRoot%\System32\EventCreate.exe")
    assert size % (len(file) + 1) == 0  # with the null at its end
    assert machine.registry[KEY]["TypesSupported"] == (4, 7, 4)
    assert machine.handles == {}
    remove_source(machine.api)
    remove_source(machine.api)
    assert machine.registry == {}


@pytest.mark.parametrize("call", ["RegCreateKeyExW", "RegSetValueExW"])
def test_a_source_needs_an_administrator(machine, call):
    machine.fails[call] = 5
    with pytest.raises(Win32Error, match=f"{call}: error 5, access denied"):
        register_source(machine.api)
    assert machine.handles == {}


def test_a_key_that_cannot_be_deleted_is_told(machine):
    machine.fails["RegDeleteTreeW"] = 5
    with pytest.raises(Win32Error, match="RegDeleteTreeW: error 5"):
        remove_source(machine.api)
