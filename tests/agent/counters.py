"""What the tests of the machine's own counters share: trees of /sys written from text, the catalogue's judgement, recordings of others."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import yaml

from tillwatch.agent.columns import check_name
from tillwatch.agent.model import Sample, State

ROOT = Path(__file__).parents[2]
CATALOGUE = yaml.safe_load((ROOT / "device_profiles" / "catalogue.yaml").read_text(encoding="utf-8"))["signals"]
DATA = Path(os.environ.get("TILLWATCH_DATA") or ROOT.parent / "shared/data")
"""Recordings that are not part of the project."""


def needs(folder: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (DATA / folder).is_dir(), reason=f"no {folder} in {DATA}: set TILLWATCH_DATA")


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def assert_catalogued(samples: Iterable[Sample]) -> None:
    """Names, units, kinds and words of the catalogue, and values that can be sent."""
    for sample in samples:
        check_name(sample.component, "component")
        entry = CATALOGUE[sample.signal]
        assert sample.unit == entry.get("unit", ""), sample
        if sample.value is None:
            assert sample.state is State.UNKNOWN, sample
        elif entry["kind"] == "state":
            assert sample.state.name.lower() == entry["states"][sample.value], sample
        elif entry["kind"] == "text":
            assert isinstance(sample.value, str), sample
            assert len(sample.value) <= 512, sample
        else:
            assert isinstance(sample.value, int | float), sample
            assert math.isfinite(sample.value), sample
        if entry["kind"] == "counter":
            assert isinstance(sample.value, int), sample


def by_signal(samples: Iterable[Sample]) -> dict[str, Sample]:
    return {sample.signal: sample for sample in samples}
