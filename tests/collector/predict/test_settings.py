"""The tables: what ships can be used, what a site writes is laid over it, and what is wrong is said."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tillwatch.collector.predict.settings import DAY_NS, TablesError, parse_tables
from tillwatch.collector.predict.tables import TableError


def test_a_site_changes_single_keys_and_its_own_parts_come_first():
    tables = parse_tables(
        '[anomaly]\nfalse_alarms = 0.5\n[pace]\nhigh = 0.75\n[effort.kinds]\n"*disk*" = 7\n"atm/*" = 90\n'
    )
    shipped = parse_tables()
    assert (tables.anomaly_budget, tables.pace["high"]) == (0.5, 0.75)
    assert tables.horizon_ns == shipped.horizon_ns == 30 * DAY_NS
    assert tables.effort("host/disk") == 7
    assert tables.effort("atm/CDM1 dispenser") == 90
    assert shipped.effort("host/disk") != 7
    assert shipped.effort("nothing") == shipped.effort_min
    assert tables.digest != shipped.digest


def test_a_watched_value_whose_rule_has_no_such_limit_is_said():
    with pytest.raises(TableError, match=r"disk\.space, rule: ups\.battery-low has no limit above"):
        parse_tables(watched='[[watched]]\nid = "disk.space"\nrule = "ups.battery-low"\n')


def test_what_lives_and_trends_ask_for_is_kept_also_where_nothing_is_unusual_in_it():
    tables = parse_tables()
    assert "atm.unit.capacity" in tables.gauges & tables.unjudged
    assert "drive.hours" in tables.counters & tables.unjudged
    assert "identity.serial" in tables.words
    assert "device.uptime" not in tables.gauges | tables.counters
    assert "host.cpu.percent" in tables.gauges - tables.unjudged


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[anomaly", "site predictions:"),
        ("[anomly]\nx = 1", "unknown key 'anomly'; known are"),
        ("[anomaly]\nfalse_alarm = 1", "unknown key 'false_alarm'; known are false_alarms"),
        ("[anomaly]\nfalse_alarms = 0", r"\[anomaly\] false_alarms: 0 is no number from 0.001 to 12"),
        ("[anomaly]\nfalse_alarms = true", "True is no number"),
        ("[horizon]\nlook = 30", r"\[horizon\] look: write a duration with its unit"),
        ("[horizon]\nlook = '0d'", "more than nothing"),
        ("[pace]\nhigh = 0.01", "no number from 0.5 to 2"),
        ("[grade]\nhigh = 0.2", "write a larger number"),
        ("[watch]\nignore = 'x'", "write a list"),
        ("grade = 3", "'grade' is a table"),
        ("[effort.kinds]\nx = 0", "no number from 1 to 600"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str):
    with pytest.raises(TablesError, match=said):
        parse_tables(text)


def test_who_only_looks_at_the_settings_need_not_have_numpy() -> None:
    """Every command of the collector reads them, and to load numpy takes as long as all else that it does."""
    look = "import sys; sys.modules['numpy'] = None; from tillwatch.collector.predict.settings import parse_tables; parse_tables()"
    done = subprocess.run([sys.executable, "-P", "-c", look], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
