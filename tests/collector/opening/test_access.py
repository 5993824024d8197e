"""What a broker is told of terminals."""

from __future__ import annotations

import pytest

from tillwatch.collector.opening.access import answer

VHOST = "tillwatch"


def ask(path: str, **asked: str) -> str:
    return answer(
        path, {"username": "t1", "vhost": VHOST, "client_id": "t1", **asked}, VHOST, {"t1", "t2"}.__contains__
    )


def test_who_comes_in():
    assert ask("user") == "allow"
    assert ask("user", username="t3", client_id="t3") == "deny"
    assert ask("user", password="guess") == "deny", "a name with a password is nobody's certificate"
    assert ask("user", client_id="t2") == "deny", "another one's session"
    assert ask("user", username="a/b", client_id="a/b") == "deny"
    assert ask("vhost") == "allow"
    assert ask("vhost", vhost="/") == "deny"
    assert ask("anything") == "deny"


@pytest.mark.parametrize("permission", ["configure", "read", "write"])
def test_what_it_may_touch(permission):
    queue = {"resource": "queue", "permission": permission}
    assert ask("resource", name="mqtt-subscription-t1qos0", **queue) == "allow"
    assert ask("resource", name="mqtt-subscription-t2qos0", **queue) == "deny"
    assert ask("resource", name="tw.p0", **queue) == "deny"
    exchange = {"resource": "exchange", "permission": permission}
    assert ask("resource", name="amq.topic", **exchange) == ("deny" if permission == "configure" else "allow")
    assert ask("resource", name="tw.fold", **exchange) == "deny"


def test_what_it_may_say_and_hear():
    topic = {"resource": "topic", "name": "amq.topic"}
    for key, write, read in (
        ("tw.1.t1.batch", "allow", "deny"),
        ("tw.1.t1.life", "allow", "deny"),
        ("tw.1.t1.ack", "deny", "allow"),
        ("tw.1.t1.command", "deny", "allow"),
        ("tw.1.t1.bundle", "deny", "allow"),
        ("tw.1.t2.batch", "deny", "deny"),
        ("tw.1.t2.ack", "deny", "deny"),
        ("tw.1.*.ack", "deny", "deny"),
        ("#", "deny", "deny"),
    ):
        assert ask("topic", permission="write", routing_key=key, **topic) == write
        assert ask("topic", permission="read", routing_key=key, **topic) == read
    assert ask("topic", permission="write", routing_key="tw.1.t1.batch", resource="topic", name="tw.part") == "deny"
