"""Numbers and addresses of people as they are shown to whoever may look: enough to know whose they are, too little to use them."""

from __future__ import annotations

import re

HIDDEN = "****"
_TAIL = 4
_LONG = 10
"""Digits from which on the last four may be seen: of an extension they are all there is."""
_PHONE = re.compile(r"[+(]?\d[\d ()/.-]*")


def masked(contact: str) -> str:
    """Such as `+86 139 **** 0101` and `l****@bank.example`; empty for none."""
    if not contact:
        return ""
    name, at, host = contact.rpartition("@")
    if at:
        return f"{name[:1]}{HIDDEN}@{host}"
    if not _PHONE.fullmatch(contact):
        return f"{contact[:1]}{HIDDEN}"
    digits = sum(sign.isdigit() for sign in contact)
    tail = _TAIL if digits >= _LONG else digits // 4
    hidden = range(digits - tail - _TAIL if digits >= _LONG else 0, digits - tail)
    seen, signs = 0, []
    for sign in contact:
        signs.append("*" if sign.isdigit() and seen in hidden else sign)
        seen += sign.isdigit()
    return "".join(signs)


def without(text: str, contact: str) -> str:
    """An answer that may repeat the contact that it is about."""
    return text.replace(contact, masked(contact)) if contact else text
