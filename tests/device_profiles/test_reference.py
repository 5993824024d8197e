from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from tillwatch.device_profiles import language
from tillwatch.device_profiles.catalogue import load_catalogue
from tillwatch.device_profiles.loader import load_yaml, profile_files
from tillwatch.device_profiles.reference import page

PAGE = Path(__file__).parents[2] / "packaging/docs/profile-language.md"


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text("utf-8") == page(), (
        f"run python -m tillwatch.device_profiles.reference > packaging/docs/{PAGE.name}"
    )


def test_the_example_of_the_page_is_a_profile(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", page(), re.DOTALL)
    assert block
    example = "\n".join(line.removeprefix("   ") for line in block[1].splitlines())
    (tmp_path / "acme.yaml").write_text(example)
    (tmp_path / "_base.yaml").write_text("scalars: [{signal: host.uptime, oid: 1.3.6.1.2.1.1.3.0}]")
    (tmp_path / "if-mib.yaml").write_text(
        "title: x\ngeneric: true\nmatch: [{present: 1.3.6.1.2.1.2.2}]\nscalars: [{signal: host.users, oid: 1.3.6.0}]"
    )
    assert [profile.id for profile in load_yaml(tmp_path, load_catalogue())] == ["acme", "if-mib"]


def test_every_example_of_a_key_is_yaml_and_of_that_key() -> None:
    for title, _, keys in language.SECTIONS:
        for key, (meaning, example) in keys.items():
            assert meaning
            if title != "A condition":
                assert all(set(yaml.load(each, yaml.BaseLoader)) == {key} for each in example.split("   or   ")), (
                    title,
                    key,
                )


RESERVED = frozenset({"absent", "plus"})
"""Asked for by recorded devices of other families; no shipped profile needs them yet: test_profile_language.py has what they do."""


def keys_of(node: object) -> Iterator[str]:
    """Every key, at any depth; PyYAML takes a bare yes or no for a truth value."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield {True: "yes", False: "no"}.get(key, str(key)) if isinstance(key, bool) else str(key)
            yield from keys_of(value)
    elif isinstance(node, list):
        for each in node:
            yield from keys_of(each)


def test_every_key_of_the_language_is_used_by_a_profile_and_so_read_from_a_recording() -> None:
    used = {key for path in profile_files() for key in keys_of(yaml.safe_load(path.read_text("utf-8")))}
    known = {key for title, _, keys in language.SECTIONS if title != "overrides.yaml" for key in keys}
    assert known - used == RESERVED
