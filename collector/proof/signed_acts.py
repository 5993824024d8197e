"""Acts that change figures are signed by the collector's own key when it journals them: who edits the file can make a new chain, and no signature."""

from __future__ import annotations

from typing import Any

import msgpack

from tillwatch.agent.wire import SigningKey, VerifyKey

SIGNED = frozenset({"correct"})
DOMAIN = b"tillwatch/act/1\0"
_SIGNATURE = "signature"


def act_message(facts: dict[str, Any]) -> bytes:
    """What is signed: all facts but the signature, by name."""
    packed: bytes = msgpack.packb([[name, facts[name]] for name in sorted(facts) if name != _SIGNATURE])
    return DOMAIN + packed


def sealed(key: SigningKey, facts: dict[str, Any]) -> dict[str, Any]:
    """With the signature, where an act of this kind has one."""
    return {**facts, _SIGNATURE: key.sign(act_message(facts))} if facts.get("action") in SIGNED else facts


def holds(key: VerifyKey, facts: dict[str, Any]) -> bool:
    """Whether the collector with this key has signed these facts; also where an act of this kind needs no signature."""
    signature = facts.get(_SIGNATURE)
    if facts.get("action") not in SIGNED:
        return True
    return isinstance(signature, bytes) and key.verify(signature, act_message(facts))
