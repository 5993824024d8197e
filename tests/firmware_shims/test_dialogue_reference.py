from __future__ import annotations

import re
from pathlib import Path

import yaml

from tillwatch.firmware_shims import dialogue_language as language
from tillwatch.firmware_shims.dialogue import problems
from tillwatch.firmware_shims.dialogue_reference import page

PAGE = Path(__file__).parents[2] / "packaging/docs/serial-dialogues.md"


def test_the_page_is_not_stale():
    assert PAGE.read_text("utf-8") == page(), (
        f"run python -m tillwatch.firmware_shims.dialogue_reference > packaging/docs/{PAGE.name}"
    )


def test_the_examples_of_the_page_are_dialogues(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        path = tmp_path / "acme.yaml"
        path.write_text("\n".join(line.removeprefix("   ") for line in block.splitlines()))
        assert problems(path) == []


def test_every_example_of_a_key_is_yaml_and_of_that_key():
    for title, _, keys in language.SECTIONS:
        for key, (meaning, example) in keys.items():
            assert meaning
            assert set(yaml.load(example, yaml.BaseLoader)) == {key}, (title, key)
