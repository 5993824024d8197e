from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collector.people.peopled import Peopled, peopled


@pytest.fixture
def house(tmp_path) -> Iterator[Peopled]:
    with peopled(tmp_path) as made:
        yield made
