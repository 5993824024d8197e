"""The site's policy of the simulated bank: its holidays written out, so that no run depends on the version of a library, and people for every
role at every hour. Everything else is what ships.
"""

from __future__ import annotations

ZONE = "Asia/Shanghai"
HOLIDAYS = (
    "2025-01-01", "2025-01-28", "2025-01-29", "2025-01-30", "2025-01-31", "2025-02-03", "2025-02-04", "2025-04-04", "2025-05-01", "2025-05-02",
    "2025-05-05", "2025-06-02", "2025-10-01", "2025-10-02", "2025-10-03", "2025-10-06", "2025-10-07", "2025-10-08",
)  # fmt: skip
WORKING = ("2025-01-26", "2025-02-08", "2025-04-27", "2025-09-28", "2025-10-11")
"""Days of a weekend that are worked instead."""
ROLES = {
    "duty engineer": ("lin", "wei"),
    "backup engineer": ("hao",),
    "section head": ("qin",),
    "department manager": ("su",),
    "director": ("zhao",),
    "queue": ("desk",),
}


OPENING = (8 * 60 + 30, 17 * 60 + 30)
"""Minutes of the day in which a branch is open, every day; tills and servers are to be in service then, ATMs always."""
BUSINESS = (9 * 60, 17 * 60 + 30)
HOURS = {1: "always", 2: "service", 3: "business"}
"""In which the clocks of each level run."""
RESPONSE_MIN, REPAIR_MIN = 30, 240


RULES = '[fold]\nsilent_least = "400d"\n'
"""Laid over the shipped rules: nobody is missed by the clock, so that no heartbeats are needed."""


def _clock(minutes: tuple[int, int]) -> str:
    return "-".join(f"{each // 60:02d}:{each % 60:02d}" for each in minutes)


def site_policy() -> str:
    """TOML, to be laid over the shipped policy."""
    lines = [
        f'[site]\ntime_zone = "{ZONE}"',
        f'[calendar.opening]\nhours = "{_clock(OPENING)}"',
        f'[calendar.business]\nhours = {{ mon-fri = "{_clock(BUSINESS)}" }}',
        '[class.atm]\nservice = "always"\n[class.pos]\nservice = "opening"\n[class.server]\nservice = "opening"',
        *(
            f'[target.{level}]\nhours = "{hours}"\nresponse = "{RESPONSE_MIN}m"\nrepair = "{REPAIR_MIN}m"'
            for level, hours in HOURS.items()
        ),
        f"[holidays.CN]\ndays = {list(HOLIDAYS)}\nworking_days = {list(WORKING)}",
    ]
    people = sorted({person for on_duty in ROLES.values() for person in on_duty})
    lines += [f'[person.{name}]\nname = "{name.title()}"\nmail = "{name}@bank.example"' for name in people]
    lines += [
        f'[[shift]]\nrole = "{role}"\npeople = {list(on_duty)}\nhours = "00:00-24:00"'
        for role, on_duty in ROLES.items()
    ]
    return "\n\n".join(lines).replace("'", '"') + "\n"
