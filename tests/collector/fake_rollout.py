"""The part of the fake fleet that is about configuration bundles: one that runs in its second ring and has been bad for one terminal, one that was taken back,
and a terminal in each state.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from tillwatch.collector.rollout.reading import MemberView, RolloutView
from tillwatch.collector.rollout.rings import WHOLE, Gate, Ring, Tally
from tillwatch.collector.rollout.states import Bundle, Event, Loss, Member, Rollout
from tillwatch.device_profiles.bundle import Content, pack

MINUTE = 60 * 10**9
STATES = ("good", "good", "good", "waiting", "trying", "fallen-back", "refused", "off", "none", "")
CONTENT = pack(Content({"normal": "2m"}, {}, (), "- signal: ups.battery.charge\n  limits: {warn_below: 40}\n"))


class FakeRollouts:
    """A RolloutReader. base: the "now" of the fleet, UTC ns."""

    base: int

    def rollouts_enabled(self) -> bool:
        return True

    def config_bundles(self) -> Sequence[Bundle]:
        def made(n: int, name: str, minutes: int, reason: str) -> Bundle:
            digest = sha256(name.encode()).digest()
            files = {"bundle.toml": 12, "overrides.yaml": 61}
            return Bundle(n, name, digest, self.base - minutes * MINUTE, "li.na", reason, CONTENT, files)

        return [made(702, "winter-2026", 300, "limits for cold rooms"), made(701, "autumn", 9_000, "<b>first</b> try")]

    def config_bundle(self, n: int) -> Bundle:
        return next((each for each in self.config_bundles() if each.n == n), None) or _missing(str(n))

    def rollouts(self, limit: int = 50) -> Sequence[RolloutView]:
        at = self.base - 90 * MINUTE
        rings = (Ring("pilot", 0, ("ATM-001", "ATM-002")), Ring("early", 100_000), Ring("rest", WHOLE))
        history = (
            Event(at, "started", by="li.na", why="limits for cold rooms"),
            Event(at, "ring", "pilot"),
            Event(at + 60 * MINUTE, "passed", "pilot"),
            Event(at + 60 * MINUTE, "ring", "early"),
        )
        loss = Loss(at + 70 * MINUTE, "ATM-003", "early", "fallen-back", "ups answered before: no answer")
        running = Rollout(711, 702, 711, "running", at, 0, "li.na", "limits for cold rooms", rings, Gate(), 1, at + 60 * MINUTE, history, losses=(loss,))  # fmt: skip
        back = (*history[:2], Event(at, "halted", "pilot", "collector", "too-many-bad"), Event(at, "returned", "", "collector", "too-many-bad"))  # fmt: skip
        over = Rollout(710, 701, 710, "returned", at, at, "wang", "<i>first</i> try", rings, Gate(), 0, at, back)
        tallies = (Tally(2, 2), Tally(40, 31, 1, 8, 3), Tally())
        return [
            RolloutView(running, "winter-2026", tallies),
            RolloutView(over, "autumn", (Tally(2, 0, 2), Tally(), Tally())),
        ][:limit]

    def rollout(self, n: int) -> RolloutView:
        return next((each for each in self.rollouts() if each.rollout.n == n), None) or _missing(str(n))

    def members(self, terminals: Sequence[str] = ()) -> Sequence[MemberView]:
        made = []
        for place, view in enumerate(sorted(self.terminals(), key=lambda each: each.id)):  # type: ignore[attr-defined]
            state = STATES[place % len(STATES)]
            told = state not in ("off", "none", "")
            words = "ups answered before: no answer" if state == "fallen-back" else ""
            member = Member(
                view.id, "early" if told else "", fixed=place == 0, bundle=702 if told else 0, number=711 if told else 0, state=state,
                at=self.base - 20 * MINUTE, said=(711, state, "", "winter-2026" if state == "good" else "", words),
            )  # fmt: skip
            made.append(MemberView(member, "winter-2026" if told else "", "1.0.0", view.branch, view.region))
        return [each for each in made if not terminals or each.member.terminal in terminals]


def _missing(n: str) -> Any:
    raise KeyError(n)
