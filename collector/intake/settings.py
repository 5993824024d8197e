"""The section [amqp] of the configuration: the broker of a large installation."""
# ruff: noqa: RUF009 - setting() makes a dataclasses.field, which is what the rule wants to see

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tillwatch.collector import values
from tillwatch.collector.values import setting


@dataclass(frozen=True, slots=True)
class AmqpSection:
    """hosts: the broker's nodes, tried in turn, each "NAME" or "NAME:PORT"; password_file: whose first line is the user's password; ca_file: of the
    authority that vouches for the nodes, None for the collector's own; openers: processes beside this one that take messages from the broker and open
    them. access_host, access_port: where the first of them answers the broker's questions about terminals, the next ones on the ports that follow.
    """

    hosts: tuple[str, ...] = setting(values.nodes, ("localhost",))
    port: int = setting(values.port, 5671)
    vhost: str = setting(values.text, "tillwatch")
    user: str = setting(values.text, "tillwatch")
    password_file: Path | None = setting(values.path, None)
    tls: bool = setting(values.flag, True)
    ca_file: Path | None = setting(values.path, None)
    openers: int = setting(values.count, 1)
    access_host: str = setting(values.host, "127.0.0.1")
    access_port: int = setting(values.port, 8846)

    def problem(self, *, on_server: bool) -> tuple[str, str] | None:
        """(key or "", what to write instead) if this cannot work. on_server: whether the collector's state is in a database that all collectors reach."""
        if self.password_file is None:
            return "", "password_file is missing; `tillwatch-collector broker-config rabbitmq` writes one"
        if not on_server:
            return "", 'collectors behind one broker share their state: write postgres = "postgresql://..." in [store]'
        return None
