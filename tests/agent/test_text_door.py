"""Every text of every source goes through here; the count outlives the process."""

import pytest

from tillwatch.agent.buffer import Buffer
from tillwatch.agent.card_numbers import REMOVED
from tillwatch.agent.logs import Formatter
from tillwatch.agent.model import Sample
from tillwatch.agent.sampler import Sampler, _Watched
from tillwatch.agent.text_door import FILE, Removals, TextDoor, removals
from tillwatch.agent.wire import MAX_TEXT

PAN = "4111111111111111"
NAMES = frozenset({"ups.alarm.text", "identity.serial", "trap.last", "monitor.interval"})


async def taken(*samples, door=None):
    buffer = Buffer()
    sampler = Sampler(buffer, NAMES, 60.0, door=door)
    sampler.take(samples, 1, 60.0)
    return sampler, [item for item in buffer.cut() if item.signal != "monitor.interval"]


async def test_the_words_stay_and_the_number_goes():
    sampler, items = await taken(Sample("ups", "ups.alarm.text", f"fault 7: card {PAN} refused"))
    assert [item.value for item in items] == [f"fault 7: card {REMOVED} refused"]
    assert sampler.door.removed == 1


async def test_what_names_hardware_stays():
    sampler, items = await taken(Sample("ups", "identity.serial", PAN))
    assert [item.value for item in items] == [PAN]
    assert sampler.door.removed == 0


@pytest.mark.parametrize("sample", [Sample(f"ups/{PAN}", "ups.alarm.text", "a"), Sample("ups", f"card {PAN}", "a")])
async def test_a_name_with_one_is_left_out_and_counted(sample, caplog):
    sampler, items = await taken(sample, Sample("ups", "ups.alarm.text", "b"))
    assert [item.value for item in items] == ["b"]
    assert (sampler.door.removed, sampler._buffer.lost) == (1, 1)
    logged = "\n".join(map(Formatter("%(message)s").format, caplog.records))
    assert PAN not in logged
    assert "card number" in logged


async def test_a_number_across_the_cut_does_not_get_through():
    text = "x" * (MAX_TEXT - 8) + " " + PAN + " " + "y" * 1_000_000
    _, items = await taken(Sample("ups", "ups.alarm.text", text))
    assert not any(PAN[:n] in items[0].value for n in range(7, 17))
    assert len(items[0].value.encode()) <= MAX_TEXT


async def test_why_a_source_failed_is_a_text_too(caplog):
    class Printer:
        name, classes = "printer", frozenset({"normal"})

        async def poll(self, _):
            raise RuntimeError(f"unexpected answer: {PAN}")

    sampler = Sampler(Buffer(), NAMES, 60.0)
    watched = _Watched(Printer(), sampler, 60.0)
    await watched.poll("normal", 60.0)
    assert watched.trouble == f"RuntimeError: unexpected answer: {REMOVED}"
    assert PAN not in "\n".join(map(Formatter("%(message)s").format, caplog.records)), "nor in the traceback"


def test_the_count_goes_on_after_a_restart_and_is_not_written_again_and_again(tmp_path):
    door = TextDoor(tmp_path)
    door.text("ups", "ups.alarm.text", PAN)
    door.keep()
    first = removals(tmp_path)
    assert (first.removed, first.where) == (1, "ups ups.alarm.text")
    door.text("ups", "trap.last", f"{PAN} {PAN}")
    door.keep()
    assert removals(tmp_path) == first, "within the hour"
    door.keep(last=True)
    assert PAN not in (tmp_path / FILE).read_text()
    again = TextDoor(tmp_path)
    assert again.removed == removals(tmp_path).removed >= 2
    again.keep(last=True)


@pytest.mark.parametrize("content", ["", "x", "1 2", "a b c", "\x00"])
def test_a_file_that_is_none_of_ours_counts_nothing(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert removals(tmp_path) == Removals()


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path):
    door = TextDoor(tmp_path / "missing")
    door.text("ups", "trap.last", PAN)
    door.keep()
    assert door.removed == 1
