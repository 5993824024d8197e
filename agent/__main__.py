"""Where the agent starts."""

from __future__ import annotations

import sys

from tillwatch.agent.deferred import defer


def main(argv: list[str] | None = None) -> int:
    """argv: None takes this process's own command line."""
    defer()
    from tillwatch.agent import commands  # noqa: PLC0415 - what is deferred must not be loaded before

    return commands.main(argv)


if __name__ == "__main__":
    sys.exit(main())
