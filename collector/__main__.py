"""The command line of the collector. It opens the same configuration and database as the service, and works beside it and without it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tillwatch.collector.commands.command_line import parser_of
from tillwatch.collector.commands.output import FAILED, USAGE, CommandError
from tillwatch.collector.config import ConfigError, load_config
from tillwatch.collector.trust.authority import AuthorityError


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser_of().parse_args(arguments)
    try:
        return int(options.command(load_config(options.config), options))
    except ConfigError as error:
        print(f"tillwatch-collector: {error}", file=sys.stderr)
        return USAGE
    except (CommandError, AuthorityError) as error:
        print(f"tillwatch-collector: {error}", file=sys.stderr)
        return error.status if isinstance(error, CommandError) else FAILED
    except BrokenPipeError:
        # The reader of a pipe has seen enough (`| head`); Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
