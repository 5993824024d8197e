"""tests/collector/tickets/test_outbox.py over PostgreSQL."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.collector.tickets import test_outbox as unchanged
from tests.collector.tickets.test_outbox import *  # noqa: F403 - all its tests, unchanged
from tests.scale.servers.postgres import Server
from tests.scale.serving import AsOfSqlite

EXAMPLES = 4
"""Each statement goes to a server and back."""
del test_rows_that_are_done_are_not_looked_at  # noqa: F821 - it asks SQLite for its plan
del TestOutboxMachine  # noqa: F821 - here with fewer examples, below


@pytest.fixture(autouse=True)
def _tables(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One database, empty whenever a store of its own is asked for."""
    where = postgres_server.database("tables")

    def open_store() -> AsOfSqlite:
        db = AsOfSqlite(where, read_only=False, timeout_s=5.0)
        db.script("TRUNCATE outbox, ticket_link, incident")
        return db

    monkeypatch.setattr(unchanged, "open_store", open_store)
    yield
    postgres_server.drop(where)


def test_any_order_of_what_happens() -> None:
    run_state_machine_as_test(
        unchanged.OutboxMachine, settings=settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
    )
