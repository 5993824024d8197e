"""Service control calls from a thread of its own, as Windows does."""

import asyncio
import logging
import threading

import pytest

from tests.agent.windows.stand_in import RUNNING, START_PENDING, STOP_PENDING, STOPPED
from tillwatch.agent.windows.dispatcher import (
    INTERROGATE,
    POWER,
    PRESHUTDOWN,
    RESUMED,
    SHUTDOWN,
    STOP,
    SUSPEND,
    Service,
)
from tillwatch.agent.windows.interfaces import CALL_NOT_IMPLEMENTED, NOT_STARTED_BY_CONTROL, Win32Error

SECONDS = 60


def runs(service, running):
    """The agent, as far as service control sees it."""

    async def until_stopped():
        with service.stopping() as stop:
            service.notified("READY=1")
            service.notified("WATCHDOG=1")
            running.set()
            async with asyncio.timeout(SECONDS):
                await stop.wait()
        service.notified("STOPPING=1")

    service.progress()
    asyncio.run(until_stopped())
    return 0


def lives(machine, *orders, work=None):
    """A service that gets these orders once it runs; its exit code and the answers."""
    running, answers = threading.Event(), []

    def during(main, order):
        thread = threading.Thread(target=main)
        thread.start()
        if orders:
            assert running.wait(SECONDS)
        answers.extend(order(*each) for each in orders)
        thread.join(SECONDS)
        assert not thread.is_alive()

    machine.during = during
    return Service(machine.api, work or (lambda service: runs(service, running))).dispatch(), answers


@pytest.mark.parametrize("order", [STOP, SHUTDOWN, PRESHUTDOWN])
def test_it_runs_until_it_is_told_to_stop(machine, order):
    code, answers = lives(machine, (order, 0))
    assert (code, answers) == (0, [0])
    told = [(status["current_state"], status["check_point"]) for status in machine.statuses]
    assert told == [
        (START_PENDING, 1),
        (START_PENDING, 2),
        (RUNNING, 0),
        (STOP_PENDING, 1),
        (STOP_PENDING, 2),
        (STOPPED, 0),
    ]
    assert {status["service_type"] for status in machine.statuses} == {0x10}
    assert machine.statuses[2]["controls_accepted"] == 0x145
    assert (machine.statuses[-1]["win32_exit_code"], machine.statuses[-1]["specific_exit_code"]) == (0, 0)


def test_two_orders_are_one_stop(machine):
    lives(machine, (PRESHUTDOWN, 0), (SHUTDOWN, 0))
    assert [status["current_state"] for status in machine.statuses].count(STOPPED) == 1


def test_a_stop_before_the_loop_waits_is_not_lost(machine):
    begun, asked = threading.Event(), threading.Event()

    def work(service):
        begun.set()
        assert asked.wait(SECONDS)
        return runs(service, threading.Event())

    def during(main, order):
        thread = threading.Thread(target=main)
        thread.start()
        assert begun.wait(SECONDS)
        order(STOP, 0)
        asked.set()
        thread.join(SECONDS)
        assert not thread.is_alive()

    machine.during = during
    assert Service(machine.api, work).dispatch() == 0
    # It was never said to run: a service that is stopping does not come back.
    assert RUNNING not in [status["current_state"] for status in machine.statuses]


def test_service_control_may_ask_at_any_time(machine):
    _, answers = lives(machine, (INTERROGATE, 0), (INTERROGATE, 0), (STOP, 0))
    assert answers == [0, 0, 0]
    assert [status["current_state"] for status in machine.statuses].count(RUNNING) == 3


@pytest.mark.parametrize("order", [2, 3, 14, 200])
def test_other_orders_are_declined(machine, order):
    _, answers = lives(machine, (order, 0), (STOP, 0))
    assert answers == [CALL_NOT_IMPLEMENTED, 0]


def test_sleep_is_told_once_each_way(machine, caplog):
    caplog.set_level(logging.INFO)
    battery = 0x0A
    lives(machine, (POWER, SUSPEND), (POWER, RESUMED), (POWER, battery), (STOP, 0))
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "the machine goes to sleep",
        "the machine has woken up",
    ]


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_an_exit_code_is_a_failure_that_starts_it_again(machine, code):
    assert lives(machine, work=lambda service: code)[0] == code
    assert machine.statuses[-1]["win32_exit_code"] == 1066
    assert machine.statuses[-1]["specific_exit_code"] == code


def test_a_fault_of_its_own_is_logged_and_told(machine, caplog):
    def work(service):
        raise ZeroDivisionError

    assert lives(machine, work=work)[0] == 1
    assert machine.statuses[-1]["current_state"] == STOPPED
    assert "ZeroDivisionError" in caplog.text


def test_an_agent_that_begins_again_is_a_service_that_runs(machine):
    """It takes up another configuration: to service control nothing happens, and it can be stopped afterwards."""

    def work(service):
        service.notified("READY=1\nSTATUS=waits")
        service.notified("STATUS=")
        service.notified("STOPPING=1")
        service.notified("READY=1")
        assert service.status.accepted
        return 0

    lives(machine, work=work)
    assert [status["current_state"] for status in machine.statuses] == [START_PENDING, RUNNING, STOPPED]


def test_a_person_who_starts_it_is_told_what_to_do(machine):
    machine.started_by_control = False
    with pytest.raises(Win32Error, match="tillwatch-agent run") as raised:
        Service(machine.api, lambda service: 0).dispatch()
    assert raised.value.code == NOT_STARTED_BY_CONTROL


def test_a_status_that_is_not_taken_stops_nothing(machine, caplog):
    machine.fails["SetServiceStatus"] = 6
    assert lives(machine, (STOP, 0))[0] == 0
    assert "SetServiceStatus: error 6" in caplog.text


def test_no_handler_no_service(machine, caplog):
    machine.fails["RegisterServiceCtrlHandlerExW"] = 1060
    assert lives(machine, work=lambda service: 0)[0] == 1
    assert machine.statuses == []
    assert "RegisterServiceCtrlHandlerExW: error 1060" in caplog.text
