"""An opener, the folds that follow each other, and a way between them that loses, doubles and delays: nothing is lost, and the order is kept."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.collector.opening.window import WINDOW, Sending, Turn, Turns, Window

STEPS = ("send", "arrive", "double", "lose", "answer", "lose answer", "late answer", "again", "new fold", "refuse")


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7)), max_size=120),
    st.integers(1, 12),
)
def test_every_group_is_stored_once_by_a_fold_and_in_order(steps, groups):
    window: Window[int] = Window()
    turns, stored = Turns(), [[]]
    way: list[Sending[int]] = []
    back: list[tuple[int, bool]] = []
    work: list[int] = []
    added, released = 0, []

    def arrive(one: Sending[int]) -> None:
        match turns.turn("o", one.run, one.place, one.number):
            case Turn.TAKE:
                work.append(one.number)
            case Turn.ANSWER:
                assert turns.answer("o", one.number) == str(one.number).encode()
                back.append((one.number, True))
            case Turn.PASS:
                pass

    def store() -> None:
        number = work.pop(0)
        stored[-1].append(number)
        turns.stored("o", number, str(number).encode())
        back.append((number, True))

    def fill() -> None:
        nonlocal added
        while window.room and added < groups:
            added += 1
            window.add(added)

    def hear(number: int, ok: bool) -> None:
        if ok:
            released.extend(window.answered(number))
        else:
            window.again()

    for step, which in steps:
        fill()
        if step == "send" and (sending := window.next()):
            way.append(sending)
        elif step == "arrive" and way:
            arrive(way.pop(0))
        elif step == "double" and way:
            way.insert(which % (len(way) + 1), way[which % len(way)])
        elif step == "lose" and way:
            way.pop(which % len(way))
        elif step == "answer" and work:
            store()
        elif step == "refuse" and work:
            turns.refused("o", work[0])
            back.append((work[0], False))
            work.clear()
        elif step == "lose answer" and back:
            back.pop(which % len(back))
        elif step == "late answer" and back:
            hear(*back.pop(which % len(back)))
        elif step == "again":
            window.again()
        elif step == "new fold":
            turns, work = Turns(), []
            stored.append([])
    # Nothing is lost any more: a new fold, and word of it.
    turns, work, way, back = Turns(), [], [], []
    stored.append([])
    for _ in range(4 * groups + 4):
        fill()
        window.again()
        while sending := window.next():
            arrive(sending)
        while work:
            store()
        while back:
            hear(*back.pop(0))
    assert released == list(range(1, groups + 1)), "each once, in order, and only what is stored"
    for fold in stored:
        assert fold == sorted(set(fold)), "a fold takes no group before the one in front of it, and none twice"
    assert {number for fold in stored for number in fold} == set(range(1, groups + 1))


def test_a_run_ends_where_anything_is_missing():
    turns = Turns()
    assert turns.turn("o", 1, 1, 2) is Turn.PASS
    assert turns.turn("o", 1, 0, 1) is Turn.TAKE
    assert turns.turn("o", 1, 2, 3) is Turn.PASS
    assert turns.turn("o", 2, 0, 1) is Turn.PASS, "it is in work"
    assert turns.turn("o", 2, 1, 2) is Turn.TAKE
    turns.stored("o", 1, b"one")
    assert turns.turn("o", 3, 0, 1) is Turn.ANSWER
    assert turns.turn("o", 2, 2, 3) is Turn.PASS, "of a run that is over"


def test_the_window_is_bounded():
    window: Window[str] = Window()
    for n in range(WINDOW):
        assert window.room
        window.add(str(n))
    assert not window.room
    assert not window.unanswered
    window.next()
    assert window.unanswered
    assert window.answered(9) == []
