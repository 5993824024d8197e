"""The one door through which terminals' batches come in: one that has what looks like a card number in a text, or in a name, is refused, and its bytes are
not kept. Nothing of it is folded, shown, exported or logged; its place in the stream, its digest and the reason stay in the journal, so that the
chain has no hole. An agent that checks its own texts never seals such a batch (packaging/docs/card-data.md).
"""

from __future__ import annotations

from tillwatch.agent.card_numbers import MIN_PAN, REFUSED_FOR, found_in
from tillwatch.agent.model import Value
from tillwatch.agent.wire import Opened, Refusal, WireError, frame_of

DETAIL = f"{REFUSED_FOR}; nothing of it is kept: update the agent, and look at the device"
MAX_CLEAN = 8_192
"""Names of components and signals that are remembered as clean."""
_clean: set[str] = set()


def without_cards(opened: Opened) -> Opened:
    """The batch itself. Raises WireError(CARD_DATA) with header and digest, and with neither text nor name."""
    names = {name for column in opened.columns for name in (column.component, column.signal)}
    # Many readings may say the same: each text is looked at once, so that a batch costs what its bytes allow.
    texts = {(column.signal, value) for column in opened.columns if not column.numeric for value in column.values}
    if not _are_clean(names) or any(map(_is_card, texts)):
        raise WireError(Refusal.CARD_DATA, DETAIL, opened.header, opened.digest)
    return opened


def unread_card(error: WireError, payload: bytes) -> WireError:
    """The error, or another one where what could not be read has a card number in it: it would be kept as evidence."""
    if error.header is None or error.reason is Refusal.CARD_DATA:
        return error
    try:
        frame = frame_of(payload).decode("latin-1")
    except WireError:
        return error
    return WireError(Refusal.CARD_DATA, DETAIL, error.header, error.digest) if found_in(frame) else error


def _is_card(told: tuple[str, Value]) -> bool:
    signal, text = told
    return type(text) is str and len(text) >= MIN_PAN and found_in(text, signal)


def _are_clean(names: set[str]) -> bool:
    if names <= _clean:
        return True
    if any(map(found_in, names)):
        return False
    if len(_clean) + len(names) > MAX_CLEAN:
        _clean.clear()
    _clean.update(names)
    return True
