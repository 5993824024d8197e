"""How a command of the agent is told which SNMP device to ask, and how. Secrets come from the environment, never from the command line."""

from __future__ import annotations

import argparse
import os

from tillwatch.agent.sources.snmp_client import AUTHS, PRIVS, VERSIONS, SnmpTarget

PORT = 161
SECRET_VARIABLES = {"auth_key": "TILLWATCH_SNMP_AUTH_KEY", "priv_key": "TILLWATCH_SNMP_PRIV_KEY"}
"""Where pass phrases come from: on the command line every user of the machine could read them."""


def add_snmp_arguments(parser: argparse.ArgumentParser) -> None:
    """Version, community or user, and the time to wait."""
    parser.add_argument("--snmp-version", choices=VERSIONS, help="3 where --v3-user is given, else 2c")
    parser.add_argument("--community", default="public")
    parser.add_argument(
        "--v3-user",
        default="",
        metavar="USER",
        help="SNMPv3; pass phrases come from " + ", ".join(SECRET_VARIABLES.values()),
    )
    parser.add_argument("--v3-auth", choices=AUTHS[1:], default="sha256")
    parser.add_argument("--v3-priv", choices=PRIVS[1:], default="aes")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS")


def split_address(address: str, default: int = PORT) -> tuple[str, int]:
    """HOST, HOST:PORT, [ADDRESS]:PORT. Raises ValueError."""
    if address.startswith("["):
        host, closed, rest = address[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"{address!r}: write [ADDRESS]:PORT")
        port = rest[1:]
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
    else:
        host, port = address, ""
    if port and not port.isdigit():
        raise ValueError(f"{address!r}: the port {port!r} is not a number")
    return host, int(port) if port else default


def target_of(args: argparse.Namespace, address: str) -> SnmpTarget:
    """The device at `address`. Raises ValueError, whose text names what is wrong."""
    host, port = split_address(address)
    version = args.snmp_version or ("3" if args.v3_user else "2c")
    if version != "3":
        return SnmpTarget(host, port, version, args.community, timeout=args.timeout)
    keys = {name: os.environ.get(variable, "") for name, variable in SECRET_VARIABLES.items()}
    return SnmpTarget(
        host,
        port,
        version,
        "",
        args.v3_user,
        args.v3_auth,
        keys["auth_key"],
        args.v3_priv,
        keys["priv_key"],
        args.timeout,
    )
