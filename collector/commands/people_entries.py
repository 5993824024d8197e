"""The command about the accounts of the console, as the command line knows it."""

from __future__ import annotations

from tillwatch.collector.commands.entries import Command, Option
from tillwatch.collector.commands.entries import option as _o

ROLES = ("viewer", "technician", "supervisor", "administrator", "auditor")
DOINGS = ("list", "add", "passwd", "invite", "role", "disable", "enable", "reset-totp", "token", "revoke-token")
_OPTIONS: tuple[Option, ...] = (
    _o("do", choices=DOINGS, metavar="WHAT", help=", ".join(DOINGS)),
    _o("name", nargs="?", default="", metavar="NAME", help="whose account; all but list need it"),
    _o("--role", choices=ROLES, help="of add, role and token"),
    _o("--region", action="append", default=[], metavar="REGION", help="only this region; may be repeated"),
    _o("--branch", action="append", default=[], metavar="BRANCH", help="only this branch; may be repeated"),
    _o("--full-name", default="", metavar="TEXT", help="as the name is shown"),
    _o("--board", action="store_true", help="add: a wall-board, a viewer whose session lasts"),
    _o("--invite", action="store_true", help="add: print a link to choose a password with, instead of asking for one"),
    _o("--label", default="", metavar="TEXT", help="token: what uses it"),
    _o("--days", type=int, default=90, help="token: how long it holds (default: %(default)s)"),
    _o("--number", type=int, default=0, help="revoke-token: which; list --json has them"),
)
PEOPLE = Command(
    "people", "commands.people_commands:run_people",
    "accounts of the console: list, add, passwd, invite, role, disable, enable, reset-totp, token, revoke-token",
    "tillwatch-collector people add li.wei --role supervisor --region North",
    _OPTIONS,
    json=True,
    more="A password is asked for, or is the first line of standard input; never an argument, which every user of the machine can see. What is done here is\n"
    "journaled. passwd also ends the wait after wrong passwords: the way back in for who is locked out.",
)  # fmt: skip
