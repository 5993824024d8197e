"""The licence report of both packages: `make licences`. Exit code 1 where a licence is unknown or not allowed by policy.toml."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from licensing import Policy, expression_of, read_policy
from locked import ROOT, TREES, Part, SupplyError, library_name, parts, site_of

TEXTS = Path(__file__).with_name("texts")
"""Of distributions whose wheels leave theirs out."""
MENDS = {
    "unknown": "read its text, and say what it is in packaging/supply/policy.toml ([reviewed] or [native])",
    "without its text": "put the text of its source archive into packaging/supply/texts/NAME.txt; the copyright files take it from there",
    "not allowed": "do without it, or decide on its licence in packaging/supply/policy.toml",
}


@dataclass(frozen=True, slots=True)
class Row:
    """text: where the licence's words stand in the package, below site-packages; fault: a key of MENDS, or empty."""

    name: str
    version: str
    expression: str
    text: str
    fault: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist" / "LICENCES.md", metavar="FILE", help="default: dist/LICENCES.md"
    )
    options = parser.parse_args()
    try:
        report, faults = written(
            {tree: parts(ROOT / "packaging/locks" / f"{tree}.txt", site_of(tree)) for tree in TREES}
        )
    except SupplyError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(report, "utf-8")
    print("\n".join(faults) or f"{options.out}: every licence is known and allowed")
    return 1 if faults else 0


def written(trees: dict[str, list[Part]]) -> tuple[str, list[str]]:
    """The report, and one line for each fault."""
    policy = read_policy()
    lines = [
        "# Licences",
        "",
        "tillwatch itself: Apache-2.0. Below, what its packages carry; the texts are whole in /usr/share/doc/PACKAGE/copyright.",
    ]
    faults = []
    for tree, found in trees.items():
        lines += [
            "",
            f"## tillwatch-{tree}",
            "",
            "| distribution | version | SPDX expression | text |",
            "|---|---|---|---|",
        ]
        for row in rows(found, policy):
            lines.append(f"| {row.name} | {row.version} | {row.expression or '?'} | {row.text} |")
            if row.fault:
                faults.append(
                    f"tillwatch-{tree}: {row.name} {row.version}: {row.expression or 'licence'} {row.fault}: {MENDS[row.fault]}"
                )
    return "\n".join(lines) + "\n", faults


def rows(found: Iterable[Part], policy: Policy) -> list[Row]:
    table = []
    for part in found:
        expression = expression_of(part.pin.name, part.about, policy)
        kept = TEXTS / f"{part.pin.name}.txt"
        where = ", ".join(_below(path) for path in part.texts)
        fault = _fault(expression, policy)
        if not where and kept.exists():
            where = kept.relative_to(ROOT).as_posix()
        elif not where:
            fault = fault or "without its text"
        table.append(Row(part.pin.name, part.pin.version, expression, where, fault))
        for library in part.natives:
            known = policy.native.get(library_name(library), {})
            expression = known.get("expression", "")
            table.append(
                Row(
                    f"{part.pin.name}: {library.name}", "", expression, known.get("why", ""), _fault(expression, policy)
                )
            )
    return table


def _below(path: Path) -> str:
    at = next(index for index, name in enumerate(path.parts) if name.endswith(".dist-info"))
    return "/".join(path.parts[at:])


def _fault(expression: str, policy: Policy) -> str:
    if not expression:
        return "unknown"
    return "" if policy.allows(expression) else "not allowed"


if __name__ == "__main__":
    sys.exit(main())
