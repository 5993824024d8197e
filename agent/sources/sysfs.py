"""Small files of the kernel: /sys and /proc below a root. What is not there, or cannot be read now, is empty or None, never an error."""

from __future__ import annotations

from pathlib import Path

MAX_BYTES = 1 << 16
"""A file of /sys is one page; /proc/mdstat of a host with many arrays is a few."""


def text(path: Path) -> str:
    """Without the line end, and without what is not printable: some batteries have noise behind their name."""
    return "".join(c for c in raw(path).strip() if c.isprintable() and c != "\ufffd").strip()


def raw(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def number(path: Path) -> int | None:
    said = text(path)
    try:
        value = int(said, 0 if said.lower().startswith("0x") else 10)
    except ValueError:
        return None
    return value if -(2**63) <= value < 2**63 else None


def folders(path: Path, begin: str = "") -> list[Path]:
    try:
        return sorted(each for each in path.iterdir() if each.name.startswith(begin) and each.is_dir())
    except OSError:
        return []
