"""What the doctor says of a broker outside: whether the access list that this program wrote for it is old, and holds back what goes to terminals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tillwatch.collector.config import Config
from tillwatch.collector.intake.mosquitto import ACL


def held_back(config: Config, subject: str, what: str) -> Iterator[tuple[str, str, str]]:
    """Subject, state, text where the list has no line for the topic `what` (command, bundle); nothing where it has, or is on another machine."""
    acl = _acl(config)
    if acl is not None and f"/{what}" not in acl.read_text(encoding="utf-8", errors="replace"):
        yield (
            subject,
            "fail",
            f"{acl} lets no {what} through: write it anew, tillwatch-collector broker-config mosquitto --out {acl.parent}, and reload the broker",
        )


def _acl(config: Config) -> Path | None:
    """The access list that `broker-config` wrote beside the list of revoked certificates, where it is on this machine."""
    if config.broker.embedded or config.broker.crl_file is None:
        return None
    beside = config.broker.crl_file.parent / ACL
    return beside if beside.is_file() else None
