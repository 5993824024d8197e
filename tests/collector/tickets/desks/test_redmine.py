"""Redmine, against a stand-in that does what the real one was seen to do; test_redmine_real.py has the real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.fake_redmine import FakeRedmine
from tillwatch.collector.tickets.desks import redmine
from tillwatch.collector.tickets.lookout import READS
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import BarredError, RejectedError, Uncertain


@pytest.fixture(scope="module")
def system() -> Iterator[FakeRedmine]:
    with FakeRedmine() as fake:
        yield fake


class TestRedmine(Contract):
    queueless: ClassVar = {"queue": "no-such-project"}
    keyless: ClassVar = {"key_field": "99"}

    async def test_search_by_a_field_that_is_not_there_answers_with_every_ticket(self, connected, tell, key) -> None:
        await self.made(tell, key)
        with pytest.raises(RejectedError, match="ignored the search by custom field 99"):
            await connected(key_field="99").port.find(key)

    async def test_list_for_a_key_that_is_not_known_is_not_believed(self, connected, tmp_path, tell, key) -> None:
        await self.made(tell, key)
        wrong = tmp_path / "wrong"
        wrong.write_text("wrong")
        stranger = connected(secret_file=wrong).port
        with pytest.raises(BarredError):
            await stranger.find(key)
        with pytest.raises(BarredError):
            await stranger.changed_since("1")

    async def test_change_that_the_workflow_forbids_is_noticed(self, system, tell, key) -> None:
        ticket = await self.made(tell, key)
        system.workflow = False
        outcome = await tell(key, Op.RESOLVE, 2, link=ticket, wish=TicketState.RESOLVED)
        assert isinstance(outcome, Uncertain)
        assert "still 'New'" in outcome.reason
        system.workflow = True
        again = await tell(key, Op.RESOLVE, 2, link=ticket, wish=TicketState.RESOLVED, doubtful=True)
        assert again.state == "resolved"
        [seen] = system.tickets(key)
        assert len([note for note in seen.notes if note]) == 1

    async def test_what_only_we_changed_does_not_come_back(self, receiver, tell, key) -> None:
        _, cursor = await receiver.port.changed_since("")
        ticket = await self.made(tell, key)
        await tell(key, Op.UPDATE, 2, link=ticket)
        changed, after = await receiver.port.changed_since(cursor)
        assert ticket not in [each.id for each in changed]
        assert int(after) >= int(cursor)

    async def test_verdict_and_part_come_back_in_our_words(self, system, receiver, tell, key) -> None:
        ticket = await self.made(tell, key)
        system.fill(ticket, "verdict", "Part replaced")
        system.fill(ticket, "part", "电池组")
        remote = await receiver.port.read(ticket)
        assert (remote.verdict, remote.part, remote.by) == ("part_changed", "电池组", "Wei Li")

    async def test_no_page_of_changes_is_left_out(self, system, receiver, tell, key) -> None:
        _, cursor = await receiver.port.changed_since("")
        with system.lock:
            _, made = system.create(
                {"project_id": "hardware", "subject": "x", "custom_fields": [{"id": 1, "value": key}]}
            )
            first = made["issue"]["id"]
            for _ in range(redmine.PAGE):
                system.create({"project_id": "hardware", "subject": "x", "custom_fields": [{"id": 1, "value": key}]})
            for number in range(first, first + redmine.PAGE + 1):
                system.person(str(number), "note", "seen")
        seen: list[str] = []
        for _ in range(3):
            changed, cursor = await receiver.port.changed_since(cursor)
            assert len(changed) <= READS
            seen += [each.id for each in changed if each.key == key]
        assert sorted(set(seen), key=int) == [str(number) for number in range(first, first + redmine.PAGE + 1)]


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"queue": ""}, "queue"), ({"key_field": "dedup_key"}, "key_field"), ({"url": ""}, ""), ({"secret_env": ""}, "")],
)
def test_settings_that_cannot_work_say_which(settings, key) -> None:
    right = {"url": "https://redmine.bank.example", "queue": "hardware", "key_field": "7", "secret_env": "KEY"}
    assert redmine.Settings(**right).problem() is None
    assert redmine.Settings(**(right | settings)).problem()[0] == key
