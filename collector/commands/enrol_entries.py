"""The commands that let terminals in, one at a time and by the thousand, as the command line knows them."""

from __future__ import annotations

from pathlib import Path

from tillwatch.collector.commands.entries import Command
from tillwatch.collector.commands.entries import option as _o
from tillwatch.collector.trust.registry import CLASSES

ENROL = (
    Command(
        "enrol-token", "commands.enrol_commands:run_enrol_token",
        "make a one-time token for one terminal, tokens for a list of them, or the token of an image; take a batch or an image back",
        "tillwatch-collector enrol-token --list terminals.csv --expires 14d -o tokens.csv",
        (
            _o("terminal", nargs="?", default="", help="its id: letters, digits, - and _, at most 64"),
            _o("--branch", default="", help="where it stands"),
            _o("--region", default="", help="what the branch belongs to"),
            _o("--class", dest="terminal_class", default="", choices=("", *CLASSES), help="what it is", metavar="CLASS"),
            _o("--ring", default="", metavar="NAME", help="of rollouts, which it is placed in"),
            _o("--list", type=Path, metavar="FILE", help="a CSV file with the columns terminal, branch, region, class, and ring if there are rings"),
            _o("-o", "--out", type=Path, metavar="FILE|DIR", help="of --list: where the tokens go, a new CSV file (.csv) or a new folder with one file a terminal; mode 0600"),
            _o("--image", default="", metavar="NAME", help="the token of an image: machines made from it enrol by their serial numbers"),
            _o("--for", dest="only", type=Path, metavar="FILE", help="of --image: a CSV file with the columns serial, terminal, branch, region, class, ring; only these (default: the list of `expect`)"),
            _o("--count", type=int, default=0, metavar="N", help="of --image: how many machines it may enrol (default: as many as --for names)"),
            _o("--from", dest="since", default="", metavar="TIME", help="of --image: not good before: ISO 8601, now (default), or +8h"),
            _o("--until", default="", metavar="TIME", help="of --image: not good from then on"),
            _o("--expires", default="", metavar="SPAN", help="for how long a token, or a batch, is good: 12h, 14d (default: 1d; at most 366d)"),
            _o("--name", default="", metavar="NAME", help="of --list: what the batch is called (default: after the day and the file)"),
            _o("--host", metavar="ADDRESS", help="where terminals reach this collector (default: address in [enrolment])"),
            _o("--revoke", default="", metavar="NAME", help="what is left of this batch or image is not good any more; who is enrolled stays it"),
        ),
        json=True,
        more="A list is taken whole or not at all: every error is said by line and column. A token is good once, and kept as its digest only: what is\n"
        "printed or written here is all there is of it. packaging/docs/enrolment.md.",
    ),
    Command(
        "enrol-status", "commands.enrol_commands:run_enrol_status", "say how far a batch or an image has come: who has enrolled, and who has not yet",
        "tillwatch-collector enrol-status rollout-north",
        (_o("name", nargs="?", default="", metavar="NAME", help="of a batch or an image: its terminals that have not enrolled yet; without it all of them in figures"),),
        json=True,
    ),
    Command(
        "expect", "commands.expect_commands:run_expect",
        "the list of machines that may become a terminal by their serial number: import, list, remove; settle claims that were refused",
        "tillwatch-collector expect import deliveries.csv --dry-run",
        (
            _o("action", choices=("import", "list", "remove", "refused", "release", "dismiss"),
               help="import a CSV file, all of it or nothing; list what is expected; remove serial numbers; refused: claims that wait for a person; release a "
               "serial number to be claimed once more (a new disk, a new board); dismiss refused claims: whoever is enrolled stays it"),
            _o("about", nargs="*", default=[], metavar="FILE|SERIAL", help="of import the file; of remove, release and dismiss the serial numbers"),
            _o("--image", default="", metavar="NAME", help="of import: only for machines of this image"),
            _o("--state", default="", choices=("", "expected", "claimed", "disputed"), metavar="STATE", help="of list: only these"),
            _o("--all", action="store_true", help="of dismiss: all that wait"),
            _o("--dry-run", action="store_true", help="of import: say what would be taken over, and change nothing"),
        ),
        json=True,
        more="A serial number is no secret: a machine needs the token of an image, too. Each is good once; a second claim raises an alarm and waits for a person.",
    ),
    Command(
        "new-authority", "commands.authority_command:run_new_authority",
        "give the state of a stopped collector the authority in its data directory, made where none is there: all terminals enrol again",
        'tillwatch-collector new-authority --reason "the collector was broken into, report 4712"',
        (_o("--reason", required=True, metavar="TEXT", help="why: for the record"),),
        json=True,
        more="Only where the old one is lost for good, or somebody else may have it. Otherwise restore the folder `authority` from a backup, or copy it from another\n"
        "collector of the installation. packaging/docs/product-incidents.md.",
    ),
)  # fmt: skip
