"""An opener as a process of its own: `python -m tillwatch.collector.opening --config FILE --index N`. The collector starts as many as [amqp] says and ends them
with itself.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from tillwatch.collector.broker_settings import amqp_settings
from tillwatch.collector.config import Config, ConfigError, load_config
from tillwatch.collector.logs import to_stderr
from tillwatch.collector.opening.keys import KeyReader, Known
from tillwatch.collector.opening.listening import MAX_ASKING, Enrolled, Folding, opener_app, opener_listener
from tillwatch.collector.opening.opener import Opener
from tillwatch.collector.store.db import connect
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import AuthorityError
from tillwatch.collector.trust.pinned import own_authority

log = logging.getLogger(__name__)

READ_S = 5.0
"""For a query of the store."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tillwatch.collector.opening", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the collector's configuration file")
    parser.add_argument("--index", type=int, default=0, metavar="N", help="which of this collector's openers, from 0")
    parser.add_argument(
        "--until-stdin-ends", action="store_true", help="end when standard input does, with the process that holds it"
    )
    options = parser.parse_args(arguments)
    if options.until_stdin_ends:
        threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    to_stderr()
    _allow_connections()
    try:
        return asyncio.run(_serve(load_config(options.config), options.index))
    except (ConfigError, AuthorityError, StoreError, OSError) as error:
        print(f"opener {options.index}: {error}", file=sys.stderr)
        return 1


def _allow_connections() -> None:
    """As many files as questions that may be asked at a time, where the system's usual 1,024 would end it before."""
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_ASKING if most == resource.RLIM_INFINITY else min(2 * MAX_ASKING, most)
    if least < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _serve(config: Config, index: int) -> int:
    own = own_authority(config.authority, config.store)
    settings = amqp_settings(config, own, f"opener {index} of {config.collector.name}")
    assert config.amqp is not None
    read = partial(connect, config.store, read_only=True, timeout_s=READ_S)
    known = Known()
    opener = Opener(settings, _name(config.collector.name, index), known, KeyReader(known, read))
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with AsyncExitStack() as stack:
        app = opener_app(opener.figures, settings.vhost, Enrolled(known, read), Folding(read))
        chain = own.server_file(config.certificate_hosts)
        listener = opener_listener(app, config.amqp.access_host, config.amqp.access_port + index, chain)
        await listener.start()
        stack.push_async_callback(listener.stop)
        work = asyncio.create_task(opener.run(), name="opener")
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for task in (work, waiting):
            task.cancel()
        (failure, _) = await asyncio.gather(work, waiting, return_exceptions=True)
        if isinstance(failure, Exception):
            log.critical("the opener has ended: %s", failure, exc_info=failure)
            return 1
    return 0


def _name(collector: str, index: int) -> str:
    """Unlike that of any other process, at any time."""
    return f"{socket.gethostname()[:40]}/{collector[:40]}/{index}/{secrets.token_hex(4)}"


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    # At once: what was not stored is the broker's.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
