"""A year of a bank that does not exist goes through a small installation and through a large one, with faults, storms, maintenance, predictions, and times when the
collector is away: stopped in order, or killed, and in the large one taken over by another holder of the lease. What both know in the end is the same, row by row and
answer by answer, and it is what the simulator's own fold made of it, which was never loaded from a store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.scale.broker import Broker
from tests.scale.copied import tables_of
from tests.scale.servers.postgres import Server
from tests.scale.servers.rabbitmq import free_ports
from tests.scale.test_reader import METHODS, Known, answer
from tests.scale.year.compared import compare
from tests.scale.year.installations import Large, Small, lives_through
from tests.scale.year.line import Clock, simulated_time
from tests.scale.year.told import Year, told
from tillwatch.collector.__main__ import main
from tillwatch.collector.journal import Kind
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.simulate.times import DAY
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.opening import open_db, open_reader
from tillwatch.collector.store.sqlite import FOLD_TABLES
from tillwatch.collector.trust.authority import open_authority

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

TERMINALS, DAYS, SEED, PACE = 16, 365, 7, 2.0
"""The fewest terminals that have a region with a line of its own; twice as much breaks as in life, so that the collector is killed, too."""
BROKER_DAYS = (181, 212)
"""Of the year, in which messages go through RabbitMQ: July."""


@dataclass(frozen=True, slots=True)
class Lived:
    year: Year
    small: Small
    large: Large

    def where(self, size: str) -> Where:
        return {"small": self.small, "large": self.large}[size].where


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> Iterator[Lived]:
    folder = tmp_path_factory.mktemp("year")
    year = told(TERMINALS, DAYS, SEED, PACE, folder / "simulated.db")
    small_clock, large_clock = Clock(year.start), Clock(year.start)
    small = Small(small_clock, folder / "collector.db")
    where = replace(postgres_server.database("tables"), data_dir=folder)
    broker = Broker(folder / "mq", open_authority(folder / "keys"), free_ports(1)[0])
    month = year.start + BROKER_DAYS[0] * DAY, year.start + BROKER_DAYS[1] * DAY
    large = Large(large_clock, where, broker, month, folder)

    async def live(one: Small) -> None:
        async with simulated_time(one.clock):
            await lives_through(year, one)

    asyncio.run(live(small))
    try:
        asyncio.run(broker.start())
        asyncio.run(live(large))
    finally:
        broker.end()
    yield Lived(year, small, large)
    postgres_server.drop(where)


def test_the_year_has_in_it_what_a_year_has(lived: Lived) -> None:
    """Or the rest of this would say nothing."""
    said = lived.year.told
    assert {one.kind for one in said} >= {Kind.BATCH, Kind.LIFE, Kind.FINDING, Kind.STOPPED, Kind.STARTED}
    acts = {"acknowledge", "in-repair", "hold", "resolve", "window", "drill", "life-cycle", "correct"}
    assert {one.facts["action"] for one in said if one.kind is Kind.OPERATOR} >= acts
    assert sum(one.killed for one in said) > 1
    assert lived.small.starts == lived.large.starts > 6
    assert lived.large.through_broker > TERMINALS * 24 * (BROKER_DAYS[1] - BROKER_DAYS[0]) / 2
    with closing(open_db(lived.small.where)) as db:
        scopes = {scope for (scope,) in db.execute("SELECT DISTINCT scope FROM incident")}
        assert scopes == {"terminal", "branch", "region", "fleet"}
        for table in ("correction", "outage", "late_span", "finding", "hit_rate", "risk", "outbox"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0], table


def test_every_row_is_the_same_in_both(lived: Lived) -> None:
    counts = {}
    with closing(open_db(lived.small.where)) as small, closing(open_db(lived.large.where)) as large:
        for table in tables_of(small):
            counts[table], different = compare(small, large, table)
            assert different == [], table
    assert counts["journal"] == len(lived.year.told)
    assert counts["alarm"] > TERMINALS * DAYS / 10


def test_the_log_of_the_large_one_is_proved(lived: Lived) -> None:
    """That of the other has the same rows."""
    with closing(open_db(lived.large.where)) as db:
        found = verify_log(db, None)
    assert found.ok, found.faults
    assert found.frames == sum(one.kind in {Kind.BATCH, Kind.LIFE} for one in lived.year.told)


def test_a_fold_that_was_never_loaded_from_a_store_has_the_same_rows(lived: Lived) -> None:
    with closing(open_db(lived.small.where)) as small, closing(open_db(lived.year.path)) as simulated:
        for table in FOLD_TABLES:
            assert compare(small, simulated, table)[1] == [], table
        # Its messages are not sealed, and its acts not signed.
        own = frozenset({"facts", "payload", "payload_digest", "digest"})
        assert compare(small, simulated, "journal", own)[1] == []


def test_each_terminal_heard_the_same_word_last(lived: Lived) -> None:
    assert len(lived.small.acks) == TERMINALS
    assert lived.large.acks == lived.small.acks


@pytest.fixture
def configs(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Of both, at the end of the year. Beside the store there is nothing of either."""
    monkeypatch.setattr(time, "time_ns", lambda: lived.year.end)
    paths = {}
    for size in ("small", "large"):
        where = lived.where(size)
        paths[size] = tmp_path / f"{size}.toml"
        data = where.parent if isinstance(where, Path) else tmp_path
        store = "" if isinstance(where, Path) else f'[store]\npostgres = "{where.url}"\n'
        paths[size].write_text(f'[collector]\ndata_dir = "{data}"\n{store}')
    return paths


def test_the_report_of_the_year_is_the_same_to_the_byte(lived: Lived, configs: dict[str, Path], tmp_path: Path) -> None:
    start = datetime.fromtimestamp(lived.year.start // 10**9, UTC)
    made = {}
    for size, config in configs.items():
        for language in ("en", "zh"):
            out = tmp_path / size / language
            asked = ("--from", f"{start:%Y-%m-%d}", "--to", f"{start.year + 1}-01-01", "--language", language)
            assert main(["report", "--config", str(config), *asked, "--out", str(out)]) == 0
            made[size, language] = {path.name: path.read_bytes() for path in out.iterdir()}
    for language in ("en", "zh"):
        assert len(made["small", language]) == 5
        assert made["large", language] == made["small", language]


def commands(path: Path) -> Iterator[tuple[str, ...]]:
    """Those that look at what is kept. path: of a store that has what they are asked for."""
    with closing(open_db(path)) as db:
        ((terminal,),) = db.execute("SELECT terminal FROM alarm GROUP BY terminal ORDER BY count(*) DESC LIMIT 1")
        ((incident,),) = db.execute("SELECT corr_id FROM incident ORDER BY opened_at DESC LIMIT 1")
        ((rule,),) = db.execute("SELECT rule FROM alarm GROUP BY rule ORDER BY count(*) DESC LIMIT 1")
    yield from (("terminals",), ("show", terminal), ("incidents", "--all"), ("alarms", "--all"), ("tickets", "--all"))
    yield from (("incident", incident), ("why", incident), ("why", "1"), ("assets", "show", terminal))
    yield from (("risk",), ("risk", terminal), ("inspections",), ("predictions",), ("maintain", "--list"), ("audit",))
    yield "backtest", rule, "--from", "2025-01-05", "--to", "2025-01-20"


def test_every_command_that_looks_says_the_same(
    lived: Lived, configs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = lived.small.where
    assert isinstance(path, Path)
    for command in commands(path):
        said = {}
        for size, config in configs.items():
            code = main([*command, "--config", str(config)])
            told = capsys.readouterr()
            said[size] = code, told.out, told.err
        assert said["large"] == said["small"], command
        assert said["small"][0] == 0, said["small"]


def test_every_question_of_the_pages_gets_the_same_answer(lived: Lived) -> None:
    path = lived.small.where
    assert isinstance(path, Path)
    known = Known(path)
    with closing(open_reader(path)) as small, closing(open_reader(lived.large.where)) as large:
        for name in METHODS:
            for given in known.questions(name, getattr(small, name)):
                assert answer(large, name, given) == answer(small, name, given), (name, given)
