"""Claims by serial number through the registrar and the fold, on a real store; what they made a rebuild makes again."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.conftest import World
from tests.collector.sending import S
from tillwatch.agent.wire import SigningKey
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.trust import expected as values
from tillwatch.collector.trust import registry
from tillwatch.collector.trust.expected import ClaimError, Expected, Grant, Unclaimed, claimable
from tillwatch.collector.trust.registry import ClaimRequest, Enrolment, JournalRegistrar, secret_digest

SECRET, OTHER = b"s" * 20, b"t" * 20
KEYS = [SigningKey(bytes([n]) * 32) for n in range(1, 5)]
DAY = 86_400 * S


class Site:
    """A collector with one image for three listed machines, good for two of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.serial = 0
        self.tokens = open_db(world.path)
        self.registrar = JournalRegistrar(
            self.tokens,
            world.pipeline.operate,
            lambda: world.now,
            find=world.pipeline.terminal,
            expecting=lambda: world.pipeline.fold.expecting,
        )

    async def start(self) -> None:
        await self.world.start()
        await self.image()
        await self.act("expect", rows=[[f"AB-000{n}", f"t-{n}", "hill", "north", "atm", "pilot"] for n in (1, 2, 3)], image="kiosk", source="list.csv")  # fmt: skip

    async def act(self, action: str, **facts: Any) -> None:
        self.world.now += S
        await self.world.pipeline.operate({"action": action, "actor": "li.wei", **facts})

    async def image(self, **changes: Any) -> None:
        facts = {"name": "kiosk", "since": self.world.now, "until": self.world.now + DAY, "count": 2, "listed": True, "digest": b"", "source": "list.csv", "secret": secret_digest(SECRET)}  # fmt: skip
        await self.act("image-token", **(facts | changes))

    async def claim(self, serial: str, key: SigningKey, secret: bytes = SECRET) -> Enrolment:
        self.serial += 1
        self.world.now += S
        return await self.registrar.claim(
            secret_digest(secret), ClaimRequest(serial, key.public, self.serial, "192.0.2.7")
        )

    async def refused(self, serial: str, key: SigningKey, secret: bytes = SECRET) -> Unclaimed | None:
        with pytest.raises(ClaimError) as caught:
            await self.claim(serial, key, secret)
        return caught.value.reason

    @property
    def expecting(self) -> Any:
        return self.world.pipeline.fold.expecting

    def forks(self) -> list[tuple[str, str]]:
        return self.world.store.conn.execute(
            "SELECT terminal, condition FROM alarm WHERE rule = 'delivery.fork'"
        ).fetchall()

    def made_again(self) -> None:
        copied = self.world.path.with_name("again.db")
        rebuild(self.world.path, copied)
        again = sqlite3.connect(copied)
        assert tables(again) == tables(self.world.store.conn)
        again.close()
        fresh = self.world.restart().pipeline.fold.expecting
        assert (fresh.expected, fresh.grants, fresh.refused) == (self.expecting.expected, self.expecting.grants, self.expecting.refused)  # fmt: skip


@pytest.fixture
async def site(world: World) -> Any:
    made = Site(world)
    await made.start()
    yield made
    made.tokens.close()


async def test_a_serial_makes_its_terminal_in_its_ring(site: Site) -> None:
    made = await site.claim("AB-0001", KEYS[0])
    assert (made.terminal, made.branch, made.ring, made.batch) == ("t-1", "hill", "pilot", "kiosk")
    assert site.expecting.expected["AB-0001"].state == values.CLAIMED
    assert site.expecting.grants["kiosk"].used == 1
    assert site.world.pipeline.fold.rolling.members["t-1"].ring == "pilot"
    site.made_again()


async def test_who_asks_again_with_its_key_is_answered_again(site: Site) -> None:
    """The answer was lost on the way."""
    await site.claim("AB-0001", KEYS[0])
    await site.claim("AB-0002", KEYS[1])
    assert (await site.claim("AB-0001", KEYS[0])).terminal == "t-1"  # also of an image that is used up
    assert site.expecting.grants["kiosk"].used == 2
    assert await site.refused("AB-0003", KEYS[2]) is Unclaimed.USED_UP
    await site.act("revoke", terminal="t-1", reason="stolen")
    assert await site.refused("AB-0001", KEYS[0]) is Unclaimed.CLAIMED
    site.made_again()


async def test_a_second_machine_waits_for_a_person(site: Site) -> None:
    await site.claim("AB-0001", KEYS[0])
    assert await site.refused("AB-0001", KEYS[1]) is Unclaimed.CLAIMED
    assert site.forks() == [("t-1", "active")]
    before = site.world.pipeline.journal.n
    assert await site.refused("AB-0001", KEYS[1]) is Unclaimed.CLAIMED
    assert site.world.pipeline.journal.n == before  # asking again is no news
    assert site.world.pipeline.fold.fleet.terminals["t-1"].keys[KEYS[0].key_id].state == "active"
    await site.act("expect-release", serial="AB-0001")
    assert (await site.claim("AB-0001", KEYS[1])).terminal == "t-1"
    assert site.forks() == [("t-1", "normal")]
    assert site.world.pipeline.fold.fleet.terminals["t-1"].keys[KEYS[0].key_id].state == "revoked"
    site.made_again()


async def test_a_person_may_leave_it_as_it_is(site: Site) -> None:
    await site.claim("AB-0001", KEYS[0])
    await site.refused("AB-0001", KEYS[1])
    await site.act("expect-dismiss", serials=["AB-0001"])
    assert site.forks() == [("t-1", "normal")]
    assert site.expecting.expected["AB-0001"].state == values.CLAIMED
    assert site.expecting.refused == {}
    site.made_again()


async def test_a_terminal_that_enrolled_otherwise_is_not_taken_over(site: Site) -> None:
    place = {"terminal": "t-1", "branch": "hill", "region": "north", "class": "atm"}
    await site.world.pipeline.operate({"action": "enrol", **place, "public": KEYS[3].public})
    assert await site.refused("AB-0001", KEYS[0]) is Unclaimed.ENROLLED
    assert site.world.pipeline.fold.fleet.terminals["t-1"].keys[KEYS[3].key_id].state == "active"
    assert site.forks() == [("t-1", "active")]
    site.made_again()


async def test_strangers_are_kept_up_to_a_bound(site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    monkeypatch.setattr(registry, "MAX_REFUSED", 2)
    for n in range(4):
        assert await site.refused(f"ZZ-000{n}", KEYS[0]) is Unclaimed.STRANGER
    assert sorted(site.expecting.refused) == ["ZZ-0000", "ZZ-0001"]
    assert caplog.text.count("refused claims wait for a person") == 1
    await site.act("expect-dismiss", serials=["ZZ-0000"])
    await site.refused("ZZ-0003", KEYS[0])
    assert sorted(site.expecting.refused) == ["ZZ-0001", "ZZ-0003"]
    site.made_again()


async def test_a_wrong_secret_leaves_nothing_behind(site: Site) -> None:
    before = site.world.pipeline.journal.n
    assert await site.refused("AB-0001", KEYS[0], OTHER) is None
    assert site.world.pipeline.journal.n == before


async def test_an_image_ends_by_its_time_or_by_a_person(site: Site) -> None:
    await site.act("grant-revoke", name="kiosk")
    assert await site.refused("AB-0001", KEYS[0]) is Unclaimed.REVOKED
    await site.image(
        name="late", secret=secret_digest(OTHER), since=site.world.now + DAY, until=site.world.now + 2 * DAY
    )
    assert await site.refused("AB-0001", KEYS[0], OTHER) is Unclaimed.EARLY
    site.world.now += 3 * DAY
    assert await site.refused("AB-0001", KEYS[0], OTHER) is Unclaimed.OVER
    site.made_again()


async def test_another_images_list_is_not_its_own(site: Site) -> None:
    await site.image(name="open", secret=secret_digest(OTHER), listed=False)
    assert await site.refused("AB-0001", KEYS[0], OTHER) is Unclaimed.OTHER_IMAGE


async def test_a_list_changes_places_and_takes_nothing_from_who_has_enrolled(site: Site) -> None:
    await site.claim("AB-0001", KEYS[0])
    await site.act("expect", rows=[["AB-0001", "t-9", "hill", "north", "atm", ""], ["AB-0002", "t-2", "dale", "north", "pos", ""]], image="kiosk", source="b.csv")  # fmt: skip
    kept = site.expecting.expected
    assert (kept["AB-0001"].terminal, kept["AB-0001"].state) == ("t-1", values.CLAIMED)
    assert (kept["AB-0002"].branch, kept["AB-0002"].terminal_class) == ("dale", "pos")
    await site.act("expect-remove", serials=["AB-0002", "none"])
    assert sorted(site.expecting.expected) == ["AB-0001", "AB-0003"]
    site.made_again()


@given(
    st.sampled_from([values.EXPECTED, values.CLAIMED, values.DISPUTED]),
    st.booleans(),
    st.integers(0, 4),
    st.integers(-5, 15),
    st.booleans(),
    st.sampled_from([None, {}, {b"a": "active"}, {b"b": "active"}, {b"a": "revoked"}]),
    st.sampled_from([b"a", b"b"]),
)
def test_no_claim_replaces_a_key_that_is_good(state, released, used, now, listed, active, public):
    """Whatever the state is: who gets the terminal either has its key already, or nobody has, or a person let it."""
    image = Grant("k", "image", 0, 10, 3, used, 0, "li", since=0, secret=b"s", listed=listed)
    one = Expected("AB-0001", "t", "b", "r", "atm", "", state, 0, "li", image="k" if listed else "", public=b"a" if state != values.EXPECTED else b"", released=released)  # fmt: skip
    try:
        claimable(image, one, public, active=active, now=now)
    except ClaimError:
        return
    assert 0 <= now < 10
    again = state != values.EXPECTED and public == b"a" and (active or {}).get(b"a") == "active"
    assert again or (state == values.EXPECTED and used < 3 and (active is None or released))
