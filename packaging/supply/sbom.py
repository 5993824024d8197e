"""Software bills of materials of both packages, CycloneDX 1.6 as JSON: `make sbom`.

The components are the pins of packaging/locks with the hashes of their files, their licences from the metadata of exactly those wheels, and
what a wheel brings along: shared libraries by their digest, and the parts that its authors' own bill names. Nothing in it is random: the
serial number follows from the content, the time is that of the source (SOURCE_DATE_EPOCH, else the last commit).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from licensing import Policy, expression_of, read_policy
from locked import OWN, ROOT, TREES, Part, SupplyError, library_name, parts, sha256, site_of


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="default: dist")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for tree in TREES:
            lock = ROOT / "packaging/locks" / f"{tree}.txt"
            bill = bill_of(tree, version(), moment(), lock, parts(lock, site_of(tree)), read_policy())
            path = options.out / f"tillwatch-{tree}.cdx.json"
            path.write_text(json.dumps(bill, indent=2, ensure_ascii=False) + "\n", "utf-8")
            print(f"{path}: {len(bill['components'])} components")
    except SupplyError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return 1
    return 0


def version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def moment() -> datetime:
    """Of the source: what is built of it does not depend on when."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        command = ("git", "log", "-1", "--format=%ct")
        epoch = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return datetime.fromtimestamp(int(epoch), UTC)


def bill_of(tree: str, own: str, at: datetime, lock: Path, found: list[Part], policy: Policy) -> dict[str, Any]:
    """A document after the schema of CycloneDX 1.6. own: the project's version."""
    program = f"tillwatch-{tree}"
    top = f"pkg:generic/{program}@{own}"
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "packaging/supply/sbom.py", "version": own}]},
            "component": {
                "type": "application",
                "bom-ref": top,
                "name": program,
                "version": own,
                "licenses": [{"expression": "Apache-2.0"}],
                "purl": top,
                "properties": [{"name": "tillwatch:lock:sha256", "value": sha256(lock)}],
            },
        },
        "components": [_component(part, policy) for part in found],
        "dependencies": _dependencies(top, found),
    }
    text = json.dumps(bill, sort_keys=True, ensure_ascii=False)
    return {**bill, "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, text).urn}


def _component(part: Part, policy: Policy) -> dict[str, Any]:
    purl = _purl(part)
    expression = expression_of(part.pin.name, part.about, policy)
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": part.pin.name,
        "version": part.pin.version,
        "scope": "required",
        **({"licenses": [{"expression": expression}]} if expression else {}),
        "purl": purl,
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{part.pin.name}/{part.pin.version}/#files",
                "comment": "the lock takes these files and no others",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in part.pin.hashes],
            }
        ],
    }
    inner = [*_natives(part, purl, policy), *_stated(part, purl)]
    return {**component, "components": inner} if inner else component


def _natives(part: Part, outer: str, policy: Policy) -> list[dict[str, Any]]:
    return [
        {
            "type": "library",
            "bom-ref": f"{outer}#{path.name}",
            "name": library_name(path),
            "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
            **({"licenses": [{"expression": known["expression"]}]} if known else {}),
            "properties": [{"name": "tillwatch:file", "value": f"{path.parent.name}/{path.name}"}],
        }
        for path in part.natives
        for known in (policy.native.get(library_name(path), {}),)
    ]


def _stated(part: Part, outer: str) -> list[dict[str, Any]]:
    """What the wheel's own bills name (PEP 770): names, versions and addresses, in our order, each once."""
    found = {}
    for path in part.boms:
        for each in json.loads(path.read_text("utf-8")).get("components", []):
            name, number = str(each.get("name", "")), str(each.get("version", ""))
            if name and name.lower().replace("_", "-") != part.pin.name:
                purl = {"purl": str(each["purl"])} if each.get("purl") else {}
                ref = f"{outer}#{name}@{number}"
                found[ref] = {"type": "library", "bom-ref": ref, "name": name, "version": number, **purl}
    return [found[ref] for ref in sorted(found)]


def _dependencies(top: str, found: list[Part]) -> list[dict[str, Any]]:
    of: dict[str, set[str]] = {top: set(), **{_purl(part): set() for part in found}}
    refs = {OWN: top, **{part.pin.name: _purl(part) for part in found}}
    for part in found:
        for name in part.pin.needed_by:
            if name in refs:
                of[refs[name]].add(_purl(part))
    return [{"ref": ref, "dependsOn": sorted(needs)} for ref, needs in sorted(of.items())]


def _purl(part: Part) -> str:
    return f"pkg:pypi/{part.pin.name}@{part.pin.version}"


if __name__ == "__main__":
    sys.exit(main())
