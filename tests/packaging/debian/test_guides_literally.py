"""The guides of installation, backup, operation and upgrade, followed word by word on a fresh Debian 12 by somebody who knows nothing else: from an empty system to
an alarm on the page, to a restore, to nothing left. One system is collector and terminal, and knows the collector's name as the bank's
network would. A step that fails is a fault of the guide.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.debian.conftest import Debs
from tests.packaging.debian.tree import Tree, until
from tests.packaging.guides import commands

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

PASSWORD = "Oyster-Harbour-4711-plum"
ALARM = "The UPS runs on battery"


class Administrator:
    """Types what the guide says, with the token that the last command printed in the place of TOKEN."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._token = ""

    def follow(self, guide: str, *machines: str, after: str = "", until_line: str = "", without: str = "") -> str:
        """The lines for these machines, from the one with `after` to the one with `until_line`. Returns what was seen. without: what is not set up
        here.
        """
        seen, going = "", not after
        for machine, line in commands(guide):
            going = going or after in line
            if going and machine in machines and not (without and without in line):
                seen += self.types(line)
            if going and until_line and until_line in line:
                break
        return seen

    def types(self, line: str) -> str:
        line = line.replace("TOKEN", self._token) if self._token else line
        done = self._tree.call("sh", "-c", f"cd /packages && {line}", check=False, feed=f"{PASSWORD}\n")
        said = f"# {line}\n{done.stdout}{done.stderr}"
        print(said)
        assert done.returncode == 0, said
        token = re.search(r"^tw1\.\S+", done.stdout, re.MULTILINE)
        self._token = token[0] if token else self._token
        return done.stdout


@pytest.fixture
def tree(base: Path, tmp_path: Path) -> Tree:
    folder = tmp_path / "tree"
    subprocess.run(("cp", "--archive", "--reflink=auto", base, folder), check=True)
    return Tree(folder)


def test_from_an_empty_system_to_an_alarm_on_the_page_and_back(tree: Tree, debs: Debs, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in (debs.agent, debs.collector):
        shutil.copy(debs.folder / name, packages)
    with tree.booted(packages, network=False):
        (tree.folder / "etc/hosts").write_text("127.0.0.1 localhost tills.bank.example\n")
        before = tree.files()
        administrator = Administrator(tree)

        seen = administrator.follow("install", "collector", until_line="is-active")
        assert seen.endswith("active\nactive\n")
        seen = administrator.follow(
            "install", "collector", "terminal", after="sed -i", until_line="tillwatch-agent doctor"
        )
        assert "for tills.bank.example" in seen
        assert "li.na is added as administrator." in seen
        assert "enrolled: terminal ATM-0417, branch Harbour; keys in /var/lib/tillwatch-agent" in seen
        assert not re.search(r"^fail", seen, re.MULTILINE)
        until(lambda: "online" in tree.call("tillwatch-collector", "terminals").stdout, 120, "the terminal is seen")
        seen = administrator.follow("install", "collector", after="terminals", until_line="tillwatch-collector alarms")
        assert "alarm 1 on ATM-0417, level 3: a drill for 20 minutes" in seen
        assert ALARM in seen
        on_the_page(tree)
        administrator.follow("install", "collector", after="--end", until_line="--end")

        seen = administrator.follow("backup", "collector", until_line="tillwatch-collector doctor")
        assert "proven; with the collector's keys and 2 accounts of the console, sealed by the passphrase" in seen
        assert "what was there is in /var/lib/tillwatch-collector/before-restore-" in seen
        assert not re.search(r"^fail", seen, re.MULTILINE)

        seen = administrator.follow("operate", "collector", "terminal", without="watchdog")
        assert "wang.lei cannot sign in any more" in seen
        administrator.follow("upgrade", "collector", "terminal", until_line="tillwatch-agent doctor")
        seen = administrator.follow("product-incidents", "authority")
        assert not re.search(r"^fail", seen, re.MULTILINE)

        administrator.follow("install", "terminal", after="purge")
        seen = administrator.follow("backup", "drill")
        assert "ATM-0417" in seen
        assert "wang.lei" in seen
        left = {path for path in tree.files() - before if "tillwatch" in path}
        assert {path for path in left if not path.startswith(("var/backups/tillwatch", "etc/tillwatch"))} == set()


def on_the_page(tree: Tree) -> None:
    """As the supervisor's browser asks for it, over the console's own port."""
    made = json.loads(
        tree.call("tillwatch-collector", "people", "token", "wang.lei", "--label", "page", "--json").stdout
    )
    code = (
        "import sys, urllib.request as r; print(r.urlopen(r.Request('http://127.0.0.1:8080' + sys.argv[2], "
        "headers={'Authorization': 'Bearer ' + sys.argv[1]}), timeout=20).read().decode())"
    )

    def shown(path: str) -> str:
        return tree.call("python3", "-I", "-c", code, made["token"], path, check=False).stdout

    until(lambda: ALARM in shown("/api/v1/alarms"), 60, "the alarm at the console")
    until(lambda: "</html>" in shown("/alarms"), 60, "the page of alarms")
