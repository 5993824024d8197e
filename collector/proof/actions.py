"""What acts in the log are called, by the groups in which people look for them: the one list of them. An act that is in no group of it is of a later version."""

from __future__ import annotations

from collections.abc import Container

HANDLING = "handling"
GROUPS: dict[str, frozenset[str]] = {
    HANDLING: frozenset({
        "acknowledge", "alert", "assign", "close", "command", "command-sent", "drill", "hold", "in-repair", "merge", "note", "resolve", "resume", "shelve",
        "split", "ticket-link", "ticket-retry", "unshelve",
    }),
    "planning": frozenset({"asset", "life-cycle", "terminal-note", "window", "window-cancel"}),
    "correction": frozenset({"correct"}),
    "rule": frozenset({"configure", "rules"}),
    "key": frozenset({
        "certify", "claim-refused", "conflict", "enrol", "expect", "expect-dismiss", "expect-release", "expect-remove", "grant-revoke", "image-token",
        "new-authority", "revoke", "rotate", "token", "token-batch",
    }),
    "rollout": frozenset({"bundle", "rollout", "rollout-halt", "rollout-return", "terminal-ring"}),
    "sign_in": frozenset({"sign-in", "sign-in-refused", "sign-out"}),
    "look": frozenset({"export", "look", "prove"}),
    "people": frozenset({"person"}),
    "collector": frozenset({"retire", "started", "stopped"}),
}  # fmt: skip
_GROUP = {action: group for group, actions in GROUPS.items() for action in actions}
TOKEN, PEOPLE = "token", "people"
DID = "did"


def group_of(action: str, facts: Container[str] = ()) -> str:
    """facts: of the act: a token of a person says what was done to it, one with which a terminal enrols does not."""
    if action == TOKEN and DID in facts:
        return PEOPLE
    return _GROUP.get(action, HANDLING)
