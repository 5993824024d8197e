"""Who may become a terminal without a person at it: machines by their serial numbers, permissions for many, and claims that were refused. Values only, and
whether a claim is good; how they change stands in expecting.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgpack

EXPECTED, CLAIMED, DISPUTED = "expected", "claimed", "disputed"
BATCH, IMAGE = "batch", "image"
MAX_EXPECTED = 100_000
"""Serial numbers on the list: twice the largest fleet, some 50 MiB of the collector's memory."""
MAX_GRANTS = 1_000
"""Batches and images that are remembered; a bank makes some a month."""
MAX_REFUSED = 1_000
"""Refused claims that are kept until a person looks. Beyond it new ones are logged and counted, no longer kept."""


class Unclaimed(StrEnum):
    """Why a claim is refused. In the record and on the page; the machine is told by `told`."""

    EARLY = "the image's token is not good yet"
    OVER = "the image's token has expired"
    REVOKED = "the image's token is revoked"
    USED_UP = "the image's token was used as often as it may be"
    STRANGER = "the serial number is not expected"
    OTHER_IMAGE = "the serial number is expected from another image"
    CLAIMED = "the serial number was claimed by another machine before"
    ENROLLED = "the terminal is enrolled already"


class ClaimError(Exception):
    """The claim is refused and nothing was changed. reason: None for a secret that nobody knows; grant, terminal: what it was about, where that is known."""

    def __init__(self, reason: Unclaimed | None, grant: str = "", terminal: str = "") -> None:
        super().__init__(reason.value if reason else "unknown image token")
        self.reason = reason
        self.grant = grant
        self.terminal = terminal


@dataclass(frozen=True, slots=True)
class Expected:
    """One machine that may become this terminal. state: `expected`, `claimed` or `disputed` since `at` (UTC ns); by: who put it on the list; source: the
    list's file; image: of which it must come, empty for any; public, address: of who claimed it; released: a person lets it be claimed again.
    """

    serial: str
    terminal: str
    branch: str
    region: str
    terminal_class: str
    ring: str
    state: str
    at: int
    by: str
    source: str = ""
    image: str = ""
    public: bytes = b""
    address: str = ""
    released: bool = False

    def row(self) -> tuple[Any, ...]:
        body = {"source": self.source, "image": self.image, "public": self.public, "address": self.address, "released": self.released}  # fmt: skip
        place = (self.terminal, self.branch, self.region, self.terminal_class, self.ring)
        return self.serial, *place, self.state, self.at, self.by, msgpack.packb({k: v for k, v in body.items() if v})

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Expected:
        # One text for all terminals of a branch: a list has tens of thousands of them.
        texts = [sys.intern(value) if type(value) is str else value for value in row[2:9]]
        more: dict[str, Any] = msgpack.unpackb(row[9])
        for name, value in more.items():
            more[name] = sys.intern(value) if type(value) is str else value
        return cls(*row[:2], *texts, **more)


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission for many. kind: `batch` of one-time tokens, or `image`. since, until: when it is good, UTC ns; count: for how many, used: by how many so
    far; source, digest: the list's file and the SHA-256 of it; secret: of an image the SHA-256 of its secret; listed: of an image, only serials of its own
    list.
    """

    name: str
    kind: str
    at: int
    until: int
    count: int
    used: int
    revoked_at: int
    by: str
    since: int = 0
    source: str = ""
    digest: bytes = b""
    secret: bytes = b""
    listed: bool = False

    def row(self) -> tuple[Any, ...]:
        body = {"since": self.since, "source": self.source, "digest": self.digest, "secret": self.secret, "listed": self.listed}  # fmt: skip
        figures = (self.at, self.until, self.count, self.used, self.revoked_at)
        return self.name, self.kind, *figures, self.by, msgpack.packb({k: v for k, v in body.items() if v})

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Grant:
        return cls(*row[:8], **msgpack.unpackb(row[8]))

    def refuses(self, now: int) -> Unclaimed | None:
        if self.revoked_at:
            return Unclaimed.REVOKED
        if now < self.since:
            return Unclaimed.EARLY
        if now >= self.until:
            return Unclaimed.OVER
        return Unclaimed.USED_UP if self.used >= self.count else None


@dataclass(frozen=True, slots=True)
class RefusedClaim:
    """reason: of Unclaimed, as it was last; at: since when, UTC ns."""

    serial: str
    reason: str
    at: int
    image: str = ""
    address: str = ""
    terminal: str = ""

    def row(self) -> tuple[Any, ...]:
        body = {"image": self.image, "address": self.address, "terminal": self.terminal}
        return self.serial, self.reason, self.at, msgpack.packb({k: v for k, v in body.items() if v})

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> RefusedClaim:
        return cls(*row[:3], **msgpack.unpackb(row[3]))


def claimable(
    image: Grant, expected: Expected | None, public: bytes, *, active: Mapping[bytes, str] | None, now: int
) -> Expected:
    """What a claim of this image makes a terminal of. active: keys of the terminal (public -> state) where it is enrolled and not revoked, None
    otherwise. Raises ClaimError. Who asks again with the key that has the serial already is answered again: the answer may have been lost.
    """

    def refuse(reason: Unclaimed) -> ClaimError:
        return ClaimError(reason, image.name, expected.terminal if expected is not None else "")

    again = expected is not None and expected.state != EXPECTED and expected.public == public
    why = image.refuses(now)
    if why is not None and not (again and why is Unclaimed.USED_UP):
        raise refuse(why)
    if expected is None:
        raise refuse(Unclaimed.STRANGER)
    if expected.image != (image.name if image.listed else ""):
        raise refuse(Unclaimed.OTHER_IMAGE)
    if again:
        if active is None or active.get(public) != "active":
            raise refuse(Unclaimed.CLAIMED)  # handed over since, or revoked by a person
        return expected
    if expected.state != EXPECTED:
        raise refuse(Unclaimed.CLAIMED)
    if active is not None and not expected.released:
        raise refuse(Unclaimed.ENROLLED)
    return expected
