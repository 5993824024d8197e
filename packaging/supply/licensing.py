"""Which licence a distribution has, and whether the product may carry it: packaging/supply/policy.toml decides, this only applies it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

POLICY = Path(__file__).with_name("policy.toml")
TOKEN = re.compile(r"\(|\)|[^\s()]+")


@dataclass(frozen=True, slots=True)
class Policy:
    """permitted, weak: SPDX identifiers, the latter with WITH where it belongs to them; said: what an unambiguous classifier means; reviewed: by
    name and version prefix, what was found in the texts; native: by name of a shared library.
    """

    permitted: frozenset[str]
    weak: frozenset[str]
    said: Mapping[str, str]
    reviewed: Mapping[str, Mapping[str, str]]
    native: Mapping[str, Mapping[str, str]]

    def allows(self, expression: str) -> bool:
        """One branch of OR is enough, every part of AND is needed. What is not on the list is not allowed."""
        return _either(iter([*TOKEN.findall(expression), ")"]), self.permitted | self.weak)


def read_policy(path: Path = POLICY) -> Policy:
    with path.open("rb") as file:
        table = tomllib.load(file)
    lists = table["licences"]
    return Policy(
        frozenset(lists["permitted"]), frozenset(lists["weak"]), table["said"], table["reviewed"], table["native"]
    )


def expression_of(name: str, about: Message, policy: Policy) -> str:
    """An SPDX expression; empty where nothing says it without doubt. A review counts for the licence words that it was made of: other words
    in a later version need another review.
    """
    words = said(about)
    review = policy.reviewed.get(name)
    if review is not None:
        return review["expression"] if review["said"] == words else ""
    for candidate in (about["License-Expression"], about["License"]):
        try:
            if candidate:
                return str(canonicalize_license_expression(candidate))
        except InvalidLicenseExpression:
            continue
    meant = {policy.said.get(one, "") for one in classifiers(about)}
    return meant.pop() if len(meant) == 1 else ""


def said(about: Message) -> str:
    """What the metadata says of the licence, in one line; without the texts that some put there whole."""
    if about["License-Expression"]:
        return str(about["License-Expression"])
    field = str(about["License"] or "").strip().partition("\n")[0][:60]
    return "; ".join(filter(None, (field, ", ".join(classifiers(about)))))


def classifiers(about: Message) -> list[str]:
    return [one.rpartition(" :: ")[2] for one in about.get_all("Classifier", []) if one.startswith("License ::")]


def _either(tokens: Iterator[str], allowed: frozenset[str]) -> bool:
    """Down to the closing parenthesis. AND binds closer than OR, WITH closer than both (SPDX 2.3, annex D)."""
    branch, result, one = True, False, ""
    for token in tokens:
        if token == "(":
            branch &= _either(tokens, allowed)
        elif token in {"AND", "OR", ")"}:
            branch &= not one or one in allowed
            one = ""
            if token != "AND":
                result, branch = result or branch, True
            if token == ")":
                break
        else:
            one = f"{one} {token}".strip()
    return result
