"""The licence report: what it finds, and that it fails where nobody has decided."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

from tests.packaging.supply.conftest import Supply


def report(supply: Supply) -> tuple[str, list[str]]:
    from licences import written
    from locked import parts

    return written({"agent": parts(supply.lock, supply.site)})


def test_each_distribution_is_a_row_with_its_licence_and_where_its_text_is(supply: Supply) -> None:
    text, faults = report(supply)
    assert faults == []
    assert "| plain | 1.2 | MIT | plain-1.2.dist-info/licenses/LICENSE |" in text
    assert "| old-style | 0.9 | Apache-2.0 | Old.Style-0.9.dist-info/COPYING |" in text
    assert "| native: libgfortran-040039e1-0352e75f.so.5.0.0 |  | GPL-3.0-or-later WITH GCC-exception-3.1 |" in text


@pytest.mark.parametrize(
    ("licence", "fault"),
    [
        ("License-Expression: AGPL-3.0-only\n", "AGPL-3.0-only not allowed"),
        ("License-Expression: MIT AND GPL-3.0-only\n", "MIT AND GPL-3.0-only not allowed"),
        ("Classifier: License :: OSI Approved :: BSD License\n", "licence unknown"),
        ("Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: Other/Proprietary License\n", "licence unknown"),
        ("License: see the file\n", "licence unknown"),
        ("", "licence unknown"),
    ],
)  # fmt: skip
def test_what_is_unknown_or_forbidden_fails(supply: Supply, licence: str, fault: str) -> None:
    supply.describe("plain", "1.2", licence)
    _, faults = report(supply)
    assert [line for line in faults if fault in line] == faults != []


def test_a_text_that_is_nowhere_fails_and_one_that_we_keep_does_not(
    supply: Supply, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import licences

    (supply.site / "Old.Style-0.9.dist-info" / "COPYING").unlink()
    _, faults = report(supply)
    assert [line for line in faults if "old-style 0.9: Apache-2.0 without its text" in line] == faults != []
    monkeypatch.setattr(licences, "TEXTS", tmp_path)
    monkeypatch.setattr(licences, "ROOT", tmp_path)
    (tmp_path / "old-style.txt").write_text("You may.\n")
    text, faults = report(supply)
    assert faults == []
    assert "| old-style | 0.9 | Apache-2.0 | old-style.txt |" in text


def test_a_native_library_that_nobody_looked_at_fails(supply: Supply) -> None:
    (supply.site / "native.libs" / "libmystery-0352e75f.so.1").write_bytes(b"\x7fELF")
    _, faults = report(supply)
    assert len(faults) == 1
    assert "libmystery-0352e75f.so.1" in faults[0]


def test_a_review_holds_for_the_words_that_it_was_made_of(supply: Supply) -> None:
    from email.parser import HeaderParser

    from licensing import expression_of, read_policy

    about = HeaderParser().parsestr("Classifier: License :: OSI Approved :: BSD License\n")
    assert expression_of("jinja2", about, read_policy()) == "BSD-3-Clause"
    changed = HeaderParser().parsestr("Classifier: License :: Other/Proprietary License\n")
    assert expression_of("jinja2", changed, read_policy()) == ""


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-2.0-only", False),
        ("MIT OR GPL-2.0-only", True),
        ("GPL-2.0-only OR MIT AND ISC", True),
        ("MIT AND GPL-2.0-only OR AGPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only) AND (ISC OR AGPL-3.0-only)", True),
        ("(MIT AND GPL-2.0-only) OR (ISC AND AGPL-3.0-only)", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("GPL-3.0-or-later", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
    ],
)
def test_expressions_are_judged_by_their_branches(expression: str, allowed: bool) -> None:
    from licensing import read_policy

    assert read_policy().allows(expression) is allowed


def test_policy_permits_no_strong_copyleft_and_says_why_of_each_decision() -> None:
    from licensing import read_policy

    policy = read_policy()
    assert not [
        one for one in policy.permitted | policy.weak if one.startswith(("GPL", "AGPL", "SSPL")) and "WITH" not in one
    ]
    for decided in (*policy.reviewed.values(), *policy.native.values()):
        assert decided["why"]
        assert policy.allows(decided["expression"])


def test_what_our_locks_pin_is_allowed() -> None:
    """As far as this environment has the very versions; `make licences` looks at all of them."""
    from licensing import expression_of, read_policy
    from locked import ROOT, TREES, read_lock

    policy, seen = read_policy(), 0
    for tree in TREES:
        for pin in read_lock(ROOT / "packaging/locks" / f"{tree}.txt"):
            try:
                about = metadata(pin.name)
            except PackageNotFoundError:
                continue
            if about["Version"] == pin.version:
                seen += 1
                assert policy.allows(expression_of(pin.name, about, policy)), pin
    if not seen:
        pytest.skip("no distribution has the version of its lock")
