"""A Windows machine of the tests: a recording of our own making, and events as `wevtutil qe /f:XML` prints them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from hypothesis import strategies as st

from tillwatch.agent.sources.windows_cim import Answer, answers

RECORDING = Path(__file__).parents[2] / "recordings/windows/till.json"
NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"


def recorded() -> dict[str, Any]:
    said: dict[str, Any] = json.loads(RECORDING.read_text("utf-8"))
    return said


def answered(queries: Any, **changed: Any) -> dict[str, Answer]:
    """The recording's answers. changed: rows by the name of a query, or the text of an error."""
    said = recorded()["cim"]
    for name, rows in changed.items():
        said[name] = {"error": rows} if isinstance(rows, str) else {"rows": rows}
    return answers(json.dumps(said), queries)


def event(record: int, provider: str, number: int, level: int, *data: str, **named: str) -> str:
    texts = "".join(f"<Data>{escape(text)}</Data>" for text in data)
    texts += "".join(f'<Data Name="{name}">{escape(text)}</Data>' for name, text in named.items())
    return (
        f"<Event xmlns='{NAMESPACE}'><System><Provider Name='{provider}'/><EventID Qualifiers='32772'>{number}</EventID><Level>{level}</Level>"
        f"<TimeCreated SystemTime='2026-03-02T08:11:40.0000000Z'/><EventRecordID>{record}</EventRecordID><Channel>System</Channel>"
        f"<Computer>till</Computer></System><EventData>{texts}</EventData></Event>"
    )


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=80)
    | st.lists(st.integers(), max_size=2)
)


def rows(properties: tuple[str, ...]) -> st.SearchStrategy[list[Any]]:
    """Rows of a class with whatever in their properties, and what is no row."""
    row = st.dictionaries(st.sampled_from(properties), SCALARS, max_size=len(properties))
    return st.lists(row | SCALARS, max_size=6)
