"""The commands that run: `run` the collector, `console` its pages alone, and `doctor`, which looks whether they can."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tillwatch.collector.commands.output import DONE, FAILED, CommandError, coloured, print_json
from tillwatch.collector.config import Config
from tillwatch.collector.logs import to_stderr


def run_predict(config: Config, options: argparse.Namespace) -> int:
    from importlib.util import find_spec  # noqa: PLC0415 - as the next

    from tillwatch.collector.store.sqlite import StoreError  # noqa: PLC0415 - the other commands need none of it

    if find_spec("numpy") is None:
        msg = "predictions need numpy, which is not installed: pip install 'tillwatch[collector]'"
        raise CommandError(msg)
    from tillwatch.collector.predict.__main__ import main  # noqa: PLC0415

    to_stderr()
    try:
        return main(config, until_stdin_ends=options.until_stdin_ends)
    except (StoreError, OSError) as error:
        raise CommandError(str(error)) from None


def run_collector(config: Config, options: argparse.Namespace) -> int:
    from tillwatch.collector import service  # noqa: PLC0415 - the other commands need none of it
    from tillwatch.collector.intake.broker import BrokerStartError  # noqa: PLC0415
    from tillwatch.collector.store.lock import InUseError  # noqa: PLC0415
    from tillwatch.collector.store.sqlite import StoreError  # noqa: PLC0415

    to_stderr(options.log_level.upper())
    try:
        return service.main(config, console=not options.no_console)
    except (BrokerStartError, InUseError, StoreError, OSError) as error:
        raise CommandError(str(error)) from None


def run_console(config: Config, _: argparse.Namespace) -> int:
    from tillwatch.collector.web import __main__ as web  # noqa: PLC0415 - the other commands need none of it

    return web.main(console_arguments(config))


def console_arguments(config: Config) -> tuple[str, ...]:
    """What the console is told: where the store is, where it listens, the bank's own cards, and of the predictions."""
    from tillwatch.collector.store.whereabouts import as_text  # noqa: PLC0415 - the other commands need none of it

    own = ["--cards", str(config.cards.file)] if config.cards.file is not None else []
    own += ["--predictions", str(config.predictions.file)] if config.predictions.file is not None else []
    own += ["--no-predictions"] if not config.predictions.enabled else []
    own += ["--config", str(config.source.absolute())] if config.source is not None else []
    return ("--db", as_text(config.store), "--host", config.console.host, "--port", str(config.console.port), *own)


def run_doctor(config: Config, options: argparse.Namespace) -> int:
    from tillwatch.collector.doctor import examine  # noqa: PLC0415 - the other commands need none of it

    findings = list(examine(config))
    if options.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{coloured(finding.state.ljust(4))}  {finding.subject}: {finding.text}")
    return FAILED if any(finding.state == "fail" for finding in findings) else DONE
