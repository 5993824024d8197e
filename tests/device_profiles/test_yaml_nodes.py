"""Two parsers read the same: the quick one where PyYAML has it, and PyYAML's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tillwatch.device_profiles import yaml_nodes
from tillwatch.device_profiles.yaml_nodes import ProfileError, Spot, read

ROOT = Path(__file__).resolve().parents[2]
FILES = [path for folder in ("device_profiles", "firmware_shims") for path in (ROOT / folder).rglob("*.yaml")]


def tree(node: yaml.Node) -> Any:
    """What a profile's reader sees of a node: its line, and what it holds."""
    if isinstance(node, yaml.MappingNode):
        held: Any = {key.value: tree(value) for key, value in node.value}
    else:
        held = [tree(each) for each in node.value] if isinstance(node, yaml.SequenceNode) else node.value
    return Spot("x", node).line, held


def test_the_wheels_bring_the_quick_parser() -> None:
    assert yaml_nodes.QUICK is yaml.CSafeLoader


def test_every_shipped_file_is_the_same_to_both(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(FILES) > 90
    quick = [tree(read(path, path.name).node) for path in FILES]
    monkeypatch.setattr(yaml_nodes, "QUICK", yaml.SafeLoader)
    assert quick == [tree(read(path, path.name).node) for path in FILES]


@pytest.mark.parametrize(
    "text", ["title: x\nmatch: [", "a: b: c", "a: 'x\nb: 1\n", "a: 1\n b: 2\n", "\t- x\n", "a: *b\n", "- a\n--- b\n- c\n", "a: \x00"]
)  # fmt: skip
def test_what_is_no_yaml_is_said_in_the_same_words(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> str:
        with pytest.raises(ProfileError, match=r"^x\.yaml:\d+: not YAML: ") as error:
            read(tmp_path / "x.yaml", "x.yaml")
        return str(error.value)

    (tmp_path / "x.yaml").write_text(text)
    quick = said()
    monkeypatch.setattr(yaml_nodes, "QUICK", yaml.SafeLoader)
    assert quick == said()
