"""What the bank that is simulated has written down of its terminals: bought over some years, a few out of warranty, some services overdue. Only a store that is kept has
them: no figure depends on them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tillwatch.collector.simulate.fleet import ATM, SERVER, Unit
from tillwatch.collector.simulate.omens import DRIVE
from tillwatch.collector.simulate.post import Post
from tillwatch.collector.simulate.times import S

MODELS = {ATM: (("Acme", "C4060"), ("Acme", "C2040"), ("Bolt", "Teller 7")), SERVER: (("Bolt", "Rack 2"),)}
OTHERS = (("Acme", "P12"), ("Caro", "T3"))
STEP_DAYS = 53
"""Between the purchases of two terminals: coprime to the intervals below, so that all that becomes due is spread over the year."""
WARRANTY_DAYS, SERVICE_DAYS, INSPECTION_DAYS = 1_095, 180, 30
AGES = 1_460
"""Days over which the bank bought them."""


def write_down(at: int, post: Post, unit: Unit, number: int) -> None:
    """at: UTC ns; number: of the terminal in its bank."""
    if not post.up:
        return
    today = datetime.fromtimestamp(at // S, UTC).date()
    bought = today - timedelta(days=number * STEP_DAYS % AGES + 20)
    models = MODELS.get(unit.kind, OTHERS)
    maker, model = models[number % len(models)]
    fields = {
        "asset_no": f"B-{bought.year}-{number + 1:04d}", "maker": maker, "model": model, "serial": f"{maker[:2].upper()}-{70_000 + number * 37}",
        "serials": {DRIVE: f"{unit.name}-1"}, "address": f"{number % 80 + 1} {unit.branch.title()} Street", "place": "lobby", "custody": unit.branch,
        "bought": bought.isoformat(), "installed": (bought + timedelta(days=14)).isoformat(), "supplier": f"{maker} Services",
        "warranty_until": (bought + timedelta(days=WARRANTY_DAYS)).isoformat(), "service_interval_days": SERVICE_DAYS,
        "last_service": (today - timedelta(days=number * 7 % SERVICE_DAYS)).isoformat(), "inspection_interval_days": INSPECTION_DAYS,
        "last_inspection": (today - timedelta(days=number % INSPECTION_DAYS)).isoformat(),
    }  # fmt: skip
    post.operate(at, {"action": "asset", "actor": "planning", "terminal": unit.name, "fields": fields})
