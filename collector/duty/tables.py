"""Reading the tables of the site's policy: every value is checked where it is read, every error says which table, which key and what to
write instead, and no unknown key is passed over, except in a replay of a policy that a newer version wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from tillwatch.collector.alarm.rules import duration


class PolicyError(ValueError):
    """The policy cannot be used. The text names the table, the key and the mend."""


class Table:
    """One TOML table. path: `target.1`, empty for the whole text; row: its number in a list of tables. Each reader takes its key, `done`
    refuses the rest.
    """

    def __init__(self, path: str, data: Any, *, row: int = 0, replay: bool = False) -> None:
        self.path = path
        self.name = f"[[{path}]] number {row}," if row else f"[{path}]"
        self.replay = replay
        if not isinstance(data, dict):
            raise PolicyError(f"{self.name} is a table; write {self.name} and its keys below it")
        self._data: dict[str, Any] = data
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def error(self, key: str, mend: str) -> PolicyError:
        value = self._data.get(key)
        said = "" if value is None else f" = {str(value)[:60]!r}"
        return PolicyError(f"{self.name} {key}{said}: {mend}")

    def raw(self, key: str, default: Any = None) -> Any:
        self._known.append(key)
        return self._data.get(key, default)

    def done(self) -> None:
        """All keys were read. Raises PolicyError for one that nobody asked for."""
        for key in self._data:
            if key not in self._known and not self.replay:
                known = ", ".join(dict.fromkeys(self._known))
                where, what = (self.name, "key") if self.path else ("the policy", "table")
                raise PolicyError(f"{where}: unknown {what} {key!r}; known are {known}")

    def text(self, key: str, default: str | None = None) -> str:
        """default: None where it must be there."""
        value = self.raw(key, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise self.error(key, "write a text, in quotes")
        return value

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """One text or a list of them."""
        value = self.raw(key, default)
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(isinstance(one, str) and one.strip() for one in values):
            raise self.error(key, "write a text or a list of texts, in quotes")
        return tuple(dict.fromkeys(values))

    def one_of(self, key: str, known: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in known:
            raise self.error(key, f"write one of {', '.join(known)}")
        return value

    def number(self, key: str, default: int, least: int = 0, most: int = 1_000_000) -> int:
        value = self.raw(key, default)
        if type(value) is not int or not least <= value <= most:
            raise self.error(key, f"write a whole number from {least} to {most}, without quotes")
        return value

    def share(self, key: str, default: float) -> float:
        value = self.raw(key, default)
        if type(value) not in (int, float) or not 0 < value <= 1:
            raise self.error(key, "write a share above 0 and at most 1, such as 0.3")
        return float(value)

    def span(self, key: str, default: int | None = None) -> int:
        """A duration, in ns. default: in ns; None where it must be there."""
        value = self.raw(key)
        if value is None and default is not None:
            return default
        try:
            return duration(value, key)
        except ValueError:
            raise self.error(key, 'write a duration, such as "90s", "30m", "4h" or "1d"') from None

    def zone(self, key: str, default: str) -> str:
        return check_zone(self.text(key, default), self, key)

    def moment(self, key: str) -> datetime | date | None:
        """A date, or a date with a time, without quotes; None where the key is not there."""
        value = self.raw(key)
        if value is not None and not isinstance(value, date):
            raise self.error(key, "write a date such as 2026-10-01 or 2026-10-01T08:00:00, without quotes")
        return value

    def table(self, key: str) -> Table:
        """A table inside this one, empty where it is not there."""
        return Table(self._inside(key), self.raw(key, {}), replay=self.replay)

    def tables(self, key: str) -> Iterator[Table]:
        """The rows of a list of tables, each with its number."""
        path, rows = self._inside(key), self.raw(key, [])
        if not isinstance(rows, list):
            raise PolicyError(f"[[{path}]] is a list of tables; write [[{path}]] before each")
        for number, row in enumerate(rows, 1):
            yield Table(path, row, row=number, replay=self.replay)

    def _inside(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def names(self) -> tuple[str, ...]:
        """All keys, of a table whose keys are names."""
        self._known.extend(self._data)
        return tuple(self._data)


def check_zone(name: str, table: Table, key: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        lacking = "" if available_timezones() else "; this machine knows none, install its package tzdata"
        raise table.error(key, f'write a time zone such as "Asia/Shanghai" or "Europe/Berlin"{lacking}') from None
    return name
