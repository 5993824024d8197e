"""The bill of materials: sound by the official schema, the lock's pins and no others, the same twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.packaging.supply.conftest import Supply

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def bill(supply: Supply) -> dict[str, Any]:
    from licensing import read_policy
    from locked import parts
    from sbom import bill_of

    return bill_of("agent", "0.1.0", AT, supply.lock, parts(supply.lock, supply.site), read_policy())


def faults(document: object) -> list[str]:
    """By the schema of CycloneDX 1.6 and those that it refers to."""
    import cyclonedx.schema
    import jsonschema_rs

    folder = Path(cyclonedx.schema.__file__).parent / "_res"
    names = [f"{name}.SNAPSHOT.schema.json" for name in ("bom-1.6", "spdx", "jsf-0.82")]
    schemas = {name: json.loads((folder / name).read_text("utf-8")) for name in names}
    schema = schemas[names[0]]
    registry = jsonschema_rs.Registry([(urljoin(schema["$id"], name), each) for name, each in schemas.items()])
    validator = jsonschema_rs.Draft7Validator(schema, registry=registry)
    return [f"{list(error.instance_path)}: {error.message[:200]}" for error in validator.iter_errors(document)]


def test_it_fits_the_schema_of_cyclonedx_1_6(supply: Supply) -> None:
    made = bill(supply)
    assert faults(made) == []
    assert faults({**made, "specVersion": 1.6}), "the schema is in force"
    assert faults({**made, "components": [{"type": "library"}]})


def test_it_names_every_pin_with_the_hashes_of_the_lock_and_who_needs_it(supply: Supply) -> None:
    made = bill(supply)
    named = {one["name"]: one for one in made["components"]}
    assert list(named) == ["native", "old-style", "plain"], "what does not hold for this platform is not in the package"
    assert [each["content"][0] for each in named["native"]["externalReferences"][0]["hashes"]] == ["a", "b"]
    assert named["old-style"]["licenses"] == [{"expression": "Apache-2.0"}]
    needs = {one["ref"]: one["dependsOn"] for one in made["dependencies"]}
    assert needs["pkg:generic/tillwatch-agent@0.1.0"] == ["pkg:pypi/native@3.0", "pkg:pypi/plain@1.2"]
    assert needs["pkg:pypi/plain@1.2"] == ["pkg:pypi/old-style@0.9"]


def test_it_names_what_a_wheel_brings_along(supply: Supply) -> None:
    inner = {one["name"]: one for one in bill(supply)["components"][0]["components"]}
    assert set(inner) == {"libgfortran", "openssl"}
    assert inner["libgfortran"]["licenses"] == [{"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}]
    assert inner["openssl"]["purl"] == "pkg:generic/openssl@3.5.0"


def test_it_is_the_same_twice_and_another_for_another_content(supply: Supply) -> None:
    first = bill(supply)
    assert json.dumps(bill(supply)) == json.dumps(first)
    supply.describe("plain", "1.2", "License-Expression: ISC\n")
    assert bill(supply)["serialNumber"] != first["serialNumber"]


def test_a_tree_that_differs_from_its_lock_is_refused(supply: Supply) -> None:
    from locked import SupplyError, parts

    supply.describe("stray", "1", "License-Expression: MIT\n")
    with pytest.raises(SupplyError, match="no lock names: stray"):
        parts(supply.lock, supply.site)
    supply.describe("plain", "1.2", "")
    (supply.site / "plain-1.2.dist-info" / "METADATA").write_text("Name: plain\nVersion: 1.3\n")
    with pytest.raises(SupplyError, match=r"the lock says plain 1\.2, here is 1\.3"):
        parts(supply.lock, supply.site)


def test_a_pin_without_a_hash_is_refused(supply: Supply) -> None:
    from locked import SupplyError, read_lock

    supply.lock.write_text("plain==1.2\n    # via tillwatch (pyproject.toml)\n")
    with pytest.raises(SupplyError, match="plain is not pinned to one version with hashes"):
        read_lock(supply.lock)


def test_our_own_locks_can_be_read() -> None:
    from locked import ROOT, TREES, read_lock

    for tree in TREES:
        pins = read_lock(ROOT / "packaging/locks" / f"{tree}.txt")
        assert {"msgpack", "pynacl", "cryptography"} <= {pin.name for pin in pins}
        assert all(pin.needed_by for pin in pins), tree


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_real_ones_fit_the_schema_and_leave_no_licence_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `make sbom` writes them, of the wheels that the locks name."""
    import sbom

    monkeypatch.setattr("sys.argv", ["sbom.py", "--out", str(tmp_path)])
    assert sbom.main() == 0
    for tree in sbom.TREES:
        made = json.loads((tmp_path / f"tillwatch-{tree}.cdx.json").read_text("utf-8"))
        assert faults(made) == []
        assert [one["name"] for one in made["components"] if "licenses" not in one] == []
