"""The part of the fake fleet that is about enrolment: an image whose token is half used, one machine still expected, one enrolled, and two that were refused."""

from __future__ import annotations

from collections.abc import Sequence

from tillwatch.collector.trust.expected import Expected, Grant, RefusedClaim, Unclaimed
from tillwatch.collector.trust.reading import NotEnrolled

HOUR = 3600 * 10**9


class FakeEnrolment:
    """An EnrolmentReader. base: the "now" of the fleet, UTC ns."""

    base: int

    def grants(self) -> Sequence[Grant]:
        return [Grant("kiosk-7", "image", self.base - HOUR, self.base + 24 * HOUR, 2, 1, 0, "li.wei", source="list.csv", listed=True)]  # fmt: skip

    def expected(self) -> Sequence[Expected]:
        place = ("Harbour Road", "South", "atm", "")
        return [
            Expected("5CG9231X4K", "ATM-0001", *place, "disputed", self.base - HOUR, "li.wei", image="kiosk-7", public=bytes(32)),
            Expected("5CG9231X4L", "ATM-9001", *place, "expected", self.base - HOUR, "li.wei", image="kiosk-7"),
        ]  # fmt: skip

    def refused_claims(self) -> Sequence[RefusedClaim]:
        return [
            RefusedClaim("5CG9231X4K", Unclaimed.CLAIMED.value, self.base - HOUR // 2, "kiosk-7", "192.0.2.17", "ATM-0001"),
            RefusedClaim("ZZ00STRANGER", Unclaimed.STRANGER.value, self.base - HOUR // 3, "kiosk-7", "192.0.2.18"),
        ]  # fmt: skip

    def not_enrolled(self, name: str) -> Sequence[NotEnrolled]:
        if name != "kiosk-7":
            raise KeyError(name)
        return [NotEnrolled("ATM-9001", "Harbour Road", "South", "atm", "5CG9231X4L")]
