"""What a broker asks about terminals (RabbitMQ's HTTP backend): whether the one whom a certificate names may come in, and what it may do there: publish its
batches and life messages, hear what is for it, nothing else. Pure; what is known of terminals comes from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tillwatch.agent.wire import valid_terminal
from tillwatch.collector.intake.topology import DOWN, MQTT_EXCHANGE

UP = ("batch", "life")
ALLOW, DENY = "allow", "deny"


def answer(path: str, asked: Mapping[str, str], vhost: str, is_enrolled: Callable[[str], bool]) -> str:
    """`allow` or `deny`. path: last word of the address; is_enrolled: and not revoked."""
    terminal = asked.get("username", "")
    # Nobody takes another one's client id, which would end its connection. The broker tells it with some of its questions.
    if not valid_terminal(terminal) or asked.get("client_id", terminal) != terminal:
        return DENY
    match path:
        case "user":
            # A name with a password is what anybody may write into a CONNECT; the name of a certificate comes without.
            allowed = not asked.get("password") and is_enrolled(terminal)
        case "vhost":
            allowed = asked.get("vhost") == vhost
        case "resource":
            allowed = asked.get("vhost") == vhost and _may_touch(terminal, asked)
        case "topic":
            kinds = UP if asked.get("permission") == "write" else DOWN
            keys = {f"tw.1.{terminal}.{kind}" for kind in kinds}
            allowed = (
                asked.get("vhost") == vhost and asked.get("name") == MQTT_EXCHANGE and asked.get("routing_key") in keys
            )
        case _:
            allowed = False
    return ALLOW if allowed else DENY


def _may_touch(terminal: str, asked: Mapping[str, str]) -> bool:
    name, permission = asked.get("name"), asked.get("permission")
    if asked.get("resource") == "exchange":
        return name == MQTT_EXCHANGE and permission in ("read", "write")
    return asked.get("resource") == "queue" and name in {f"mqtt-subscription-{terminal}qos{n}" for n in (0, 1)}
