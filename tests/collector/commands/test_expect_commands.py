"""The list of expected machines at the command line: taken over whole or not at all, and what is refused is settled by a person."""

from __future__ import annotations

from pathlib import Path

from tests.collector.conftest import World
from tests.collector.desk import Desk

HEAD = "serial,terminal,branch,region,class,ring\n"


def write(folder: Path, rows: str) -> str:
    path = folder / "machines.csv"
    path.write_text(HEAD + rows, encoding="utf-8")
    return str(path)


def refuse(desk: Desk, serial: str, reason: str, terminal: str = "") -> None:
    async def work(world: World) -> None:
        facts = {"action": "claim-refused", "actor": "collector", "serial": serial, "reason": reason, "image": "", "address": "192.0.2.7", "terminal": terminal}  # fmt: skip
        await world.pipeline.operate(facts)

    desk.feed(work)


def test_a_list_is_tried_imported_changed_and_removed(desk: Desk, tmp_path: Path) -> None:
    path = write(tmp_path, "5cg9231x4k,t-8,Harbour,North,atm,first\nNCR-0042,t-9,Harbour,North,atm,\n")
    assert "2 machines would be expected" in desk.done("expect", "import", path, "--dry-run")
    assert desk.json("expect", "list") == []
    assert "2 machines are expected" in desk.done("expect", "import", path)
    desk.done("expect", "import", write(tmp_path, "5CG9231X4K,t-8,Hill,North,atm,\n"))
    kept = {one["serial"]: one for one in desk.json("expect", "list")}
    assert (kept["5CG9231X4K"]["branch"], kept["5CG9231X4K"]["ring"]) == ("Hill", "")
    assert "not expected any more" in desk.done("expect", "remove", "ncr-0042")
    assert [one["serial"] for one in desk.json("expect", "list", "--state", "expected")] == ["5CG9231X4K"]
    assert "nothing is expected with serial number NCR-0042" in desk.refused("expect", "remove", "NCR-0042")
    assert desk.acts()[-1] == ("expect-remove", "", {"serials": ["NCR-0042"]})


def test_placeholders_and_doubles_are_said_by_line(desk: Desk, tmp_path: Path) -> None:
    path = write(tmp_path, "Default string,t-1,H,N,atm,\nAB-0001,t-2,H,N,atm,\nab-0001,t-3,H,N,atm,\n")
    said = desk.refused("expect", "import", path)
    assert f"{path}:2: column serial 'Default string' is what makers leave" in said
    assert f"{path}:4: column serial AB-0001 stands in line 3, too" in said
    assert desk.json("expect", "list") == []
    assert "no image with a list of its own" in desk.refused("expect", "import", write(tmp_path, "AB-0001,t-2,H,N,atm,\n"), "--image", "x", status=2)  # fmt: skip


def test_refused_claims_are_settled(desk: Desk, tmp_path: Path) -> None:
    desk.done("expect", "import", write(tmp_path, "AB-0001,atm-1,hill,north,atm,\n"))
    refuse(desk, "ZZ-0001", "the serial number is not expected")
    refuse(desk, "AB-0001", "the terminal is enrolled already", "atm-1")
    code, out, _ = desk.call("expect", "refused")
    assert code == 1
    assert "ZZ-0001" in out
    assert [one["state"] for one in desk.json("expect", "list")] == ["disputed"]
    assert any(alarm["rule"] == "delivery.fork" for alarm in desk.json("alarms"))
    desk.done("expect", "dismiss", "ab-0001")
    assert [one["state"] for one in desk.json("expect", "list")] == ["expected"]
    assert not any(alarm["rule"] == "delivery.fork" and alarm["condition"] != "normal" for alarm in desk.json("alarms"))
    # Who should be expected is put on the list, and waits no longer.
    desk.done("expect", "import", write(tmp_path, "ZZ-0001,t-5,hill,north,atm,\n"))
    assert "no claim was refused" in desk.call("expect", "refused")[2]
    refuse(desk, "ZZ-0002", "the serial number is not expected")
    desk.done("expect", "dismiss", "--all")
    assert desk.call("expect", "refused")[0] == 0
    assert "no refused claim waits" in desk.refused("expect", "dismiss", "ZZ-0002")
