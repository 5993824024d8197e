"""An access list of a broker outside that was written by a version which had no such topic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tillwatch.collector.config import Config
from tillwatch.collector.intake.access_check import held_back
from tillwatch.collector.intake.mosquitto import ACL, acl
from tillwatch.collector.sections import BrokerSection


def config(folder: Path, *, embedded: bool = False) -> Config:
    return replace(Config(), broker=BrokerSection(embedded=embedded, crl_file=folder / "crl.pem"))


@pytest.mark.parametrize("what", ["command", "bundle"])
def test_a_topic_that_the_list_does_not_name_is_told_with_the_mend(tmp_path: Path, what: str) -> None:
    (tmp_path / ACL).write_text("pattern read tw/1/%c/ack\n")
    ((subject, state, text),) = held_back(config(tmp_path), "here", what)
    assert (subject, state) == ("here", "fail")
    assert text.startswith(f"{tmp_path / ACL} lets no {what} through")
    assert f"broker-config mosquitto --out {tmp_path}" in text
    (tmp_path / ACL).write_text(acl())  # as it is written today
    assert list(held_back(config(tmp_path), "here", what)) == []


def test_nothing_is_said_of_a_list_that_is_not_there(tmp_path: Path) -> None:
    assert list(held_back(config(tmp_path), "here", "bundle")) == []
    (tmp_path / ACL).write_text("")
    assert list(held_back(config(tmp_path, embedded=True), "here", "bundle")) == []
    assert list(held_back(Config(), "here", "bundle")) == []
