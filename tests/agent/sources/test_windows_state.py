"""What is remembered across a restart."""

import json

import pytest

from tillwatch.agent.sources.windows_state import MAX_FILE, Memory


def test_numbers_come_back(tmp_path):
    file = tmp_path / "windows-events.json"
    memory = Memory("w", file)
    assert memory.kept == {}
    memory.keep({"bookmarks": {"System": 12}})
    assert Memory("w", file).kept == {"bookmarks": {"System": 12}}
    assert [path.name for path in tmp_path.iterdir()] == ["windows-events.json"]


def test_what_did_not_change_is_not_written(tmp_path):
    file = tmp_path / "state.json"
    memory = Memory("w", file)
    memory.keep({"a": {"b": 1}})
    file.unlink()
    memory.keep({"a": {"b": 1}})
    assert not file.exists()
    memory.keep({"a": {"b": 2}})
    assert file.exists()


def test_without_a_file_nothing_is_kept():
    memory = Memory("w", None)
    memory.keep({"a": {"b": 1}})
    assert memory.kept == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a": 1}',
        '{"a": {"b": "1", "c": -1, "d": true, "e": 9223372036854775808}}',
        "[" * 50_000,
        json.dumps({"a": {str(n): n for n in range(MAX_FILE // 8)}}),
    ],
)
def test_a_damaged_file_counts_as_none(tmp_path, text):
    file = tmp_path / "state.json"
    file.write_text(text)
    assert {name: n for section in Memory("w", file).kept.values() for name, n in section.items()} == {}


def test_a_file_that_cannot_be_written_is_told_once(tmp_path, caplog):
    memory = Memory("w", tmp_path / "none" / "state.json")
    memory.keep({"a": {"b": 1}})
    memory.keep({"a": {"b": 2}})
    assert [record.message for record in caplog.records if "a restart forgets" in record.message] == caplog.messages
    assert len(caplog.messages) == 1
    (tmp_path / "none").mkdir()
    with caplog.at_level("INFO"):
        memory.keep({"a": {"b": 2}})
    assert "can be written again" in caplog.messages[-1]
