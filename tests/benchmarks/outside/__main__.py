"""`python -m tests.benchmarks nab --data DIR --out DIR`: the product's own detectors against data that nobody here made. Prints one JSON object."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

SETS = ("nab", "cmapss", "azure", "skab", "backblaze")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=SETS, help="the data set; any folder of its format will do")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where it lies")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where scores and predictions of each row are written"
    )
    given = parser.parse_args(argv)
    given.out.mkdir(parents=True, exist_ok=True)
    adapter = importlib.import_module(f"tests.benchmarks.outside.{given.set}")
    try:
        found = adapter.run(given.data, given.out)
    except (OSError, ValueError) as error:
        print(f"{given.set}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=1, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
