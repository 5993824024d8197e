"""The commands of the predictions, as the command line lists them."""

from __future__ import annotations

from pathlib import Path

from tillwatch.collector.commands.entries import Command
from tillwatch.collector.commands.entries import option as _o

FORESEE: tuple[str, tuple[Command, ...]] = ("Foresee", (
    Command(
        "risk", "commands.prediction_commands:run_risk",
        "list the terminals at risk, the highest first, each with why, when and how far to believe it; or all that is foreseen of one",
        "tillwatch-collector risk --grade high --branch Harbour",
        (
            _o("terminal", nargs="?", metavar="TERMINAL", help="only this one, with its findings and their evidence"),
            _o("--grade", choices=("low", "medium", "high"), help="from this grade on (default: all that have a reason)"),
            _o("--branch", metavar="B", help="only this branch"),
        ),
        json=True,
    ),
    Command(
        "inspections", "commands.prediction_commands:run_inspections",
        "list the visits that are due: branch by branch, where an hour of work avoids the most faults first",
        "tillwatch-collector inspections --branch Harbour",
        (_o("--branch", metavar="B", help="only this branch"),),
        json=True,
    ),
    Command(
        "predictions", "commands.prediction_commands:run_predictions",
        "show the detectors with how often they were right, those that lost the right to raise alarms, the model and whether the fleet is still its own",
        "tillwatch-collector predictions --json", json=True,
    ),
    Command(
        "train", "commands.train_command:run_train",
        "learn from this collector's own alarms, incidents and verdicts which parts fail next; judge it on what came last, and save it with its card",
        "tillwatch-collector train --until 2026-11-01",
        (
            _o("--until", metavar="DATE", help="learn from what was before this day or time, ISO 8601 (default: all)"),
            _o("--horizon", metavar="SPAN", help="how far ahead a failure is told, such as 14d (default: that of the predictions' table)"),
            _o("--component", nargs="+", metavar="KIND", help="only parts of these kinds, such as atm/CashDispenser* host/disk"),
            _o("--out", type=Path, metavar="FILE", help="where to (default: where the predictions look for it)"),
        ),
        json=True,
        more="With too few failures nothing is saved, what is missing is said, the fixed rule goes on, and the exit code is 1. It reads beside a running\n"
        "collector, whose predictions go on with the new model within some minutes. packaging/docs/predictions.md explains the card.",
    ),
    Command(
        "lifetimes", "commands.lifetimes_command:run_lifetimes",
        "say how long the parts of a kind still have, by those that ran to their end, and how well that can be told",
        "tillwatch-collector lifetimes --component atm/CardReader",
        (
            _o("--component", metavar="KIND", help="a kind of part, such as host/disk; * stands for anything"),
            _o("--csv", type=Path, metavar="FILE", help="histories from elsewhere instead: columns unit, age, the signals, and if wanted ended (1 on the last line)"),
            _o("--signal", nargs="+", metavar="S", help="learn from these only (default: what most of these parts measure)"),
            _o("--until", metavar="DATE", help="as if it were this day or time, ISO 8601 (default: all)"),
        ),
        json=True,
        more="It takes 20 lives that ended; with fewer it says how many there are, and the exit code is 1. A life begins when the part was first seen or replaced,\n"
        "and ends with an alarm of hardware that no verdict took back. packaging/docs/predictions.md explains the columns.",
    ),
    Command(
        "backtest", "commands.backtest_command:run_backtest",
        "run a rule, a detector or a model over the stored history without writing anything: what it would have raised, against what happened",
        "tillwatch-collector backtest disk.full --from 2026-10-01 --to 2026-11-01 --rules trial.toml",
        (
            _o("rule", metavar="RULE", help="the id of an alarm rule, predicted.FAMILY, a detector such as trend/host.disk.percent, or model:FILE"),
            _o("--from", dest="since", metavar="DATE", help="from this day or time on, ISO 8601 (needed, but for --csv)"),
            _o("--to", dest="until", metavar="DATE", help="up to this day or time (default: now)"),
            _o("--rules", type=Path, metavar="FILE", help="a table of rules to try, laid over the one in force"),
            _o("--predictions", type=Path, metavar="FILE", help="a table of predictions to try, in place of the site's own"),
            _o("--model", type=Path, metavar="FILE", help="a model to try, in place of the one in use"),
            _o("--terminal", metavar="T", help="only this one"),
            _o("--csv", type=Path, metavar="FILE", help="try it on these readings instead: columns time, value, and if wanted terminal, component, fault"),
            _o("--signal", metavar="S", help="of --csv: what the values are, a name of the catalogue"),
        ),
        json=True,
        more="It judges with the collector's own code. Where sealed readings were retired it goes by the last reading of each hour, and says so.",
    ),
))  # fmt: skip
