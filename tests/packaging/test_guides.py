"""The guides name what exists: each command has the options it is given, each unit, path, message and link is there."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from tests.packaging.guides import DOCS, FOLLOWED, GUIDES, commands, text_of

ROOT = DOCS.parents[1]
MACHINES = {"authority", "broker", "collector", "drill", "rollback", "terminal", "workstation"}
SYSTEM = {"apt-get", "chown", "df", "du", "install", "journalctl", "mv", "sed", "sh", "ssh", "systemctl", "timedatectl"}
"""Programs that Debian 12 has, or that the step itself is about."""
OTHERS = {"mosquitto"}
"""Units that are not ours."""
MADE = {"/etc/tillwatch/backup.passphrase", "/etc/tillwatch/image-token"}
"""By a command of the guides."""


def parse(argv: list[str]) -> None:
    from tillwatch.agent.command_line import parser_of as agent
    from tillwatch.collector.commands.command_line import parser_of as collector

    parser: argparse.ArgumentParser = agent(argv[1:]) if argv[0] == "tillwatch-agent" else collector()
    parser.parse_args(argv[1:])


def ours(line: str) -> list[list[str]]:
    argv = shlex.split(re.sub(r"\$\([^)]*\)", "X", line))
    if ">" in argv:
        argv = argv[: argv.index(">")]
    return [argv] if argv[0].startswith("tillwatch-") else []


@pytest.mark.parametrize("guide", FOLLOWED)
def test_each_command_exists_with_its_options(guide: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = list(commands(guide))
    assert given
    for machine, line in given:
        assert machine in MACHINES, line
        for argv in ours(line):
            try:
                parse(argv)
            except SystemExit:
                pytest.fail(f"{guide}.md: {line}\n{capsys.readouterr().err}")
        if not ours(line):
            assert shlex.split(line)[0] in SYSTEM, f"{guide}.md: {line}"


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_within_sentences_exist_too(guide: str, capsys: pytest.CaptureFixture[str]) -> None:
    for line in re.findall(r"`(tillwatch-(?:agent|collector) [^`]+)`", text_of(guide)):
        try:
            parse(ours(line)[0])
        except SystemExit:
            pytest.fail(f"{guide}.md: {line}\n{capsys.readouterr().err}")


def test_a_wrong_option_would_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(ours("tillwatch-collector backup --password-file FILE to")[0])
    with pytest.raises(SystemExit):
        parse(ours("tillwatch-agent enroll TOKEN")[0])
    assert "enroll" in capsys.readouterr().err


@pytest.mark.parametrize("guide", FOLLOWED)
def test_units_exist(guide: str) -> None:
    units = {path.stem for path in (ROOT / "packaging/systemd").glob("*.service")} | OTHERS
    for _, line in commands(guide):
        words = shlex.split(line)
        if words[0] == "systemctl":
            assert set(words[2:]) - {"--now"} <= units, line
        if words[0] == "journalctl":
            assert {words[at + 1] for at, word in enumerate(words) if word == "--unit"} <= units, line


@pytest.mark.parametrize("guide", GUIDES)
def test_paths_are_those_of_the_packages(guide: str) -> None:
    states = {f"/var/lib/{path.stem}" for path in (ROOT / "packaging/systemd").glob("*.sysusers")}
    for path in re.findall(r"(?<![\w.-])/(?:etc/tillwatch|var/lib|usr/share)[\w./-]*", text_of(guide)):
        place = path.rstrip("./")
        if place.startswith("/var/lib"):
            assert "/".join(place.split("/")[:4]) in states, f"{guide}.md: {path}"
        elif place.startswith("/usr/share"):
            kind = place.split("/")[3]
            assert kind in {"doc", "tillwatch-agent", "tillwatch-collector"}, f"{guide}.md: {path}"
        else:
            shipped = {"/etc/tillwatch", "/etc/tillwatch/agent.toml", "/etc/tillwatch/collector.toml"}
            assert place in shipped | MADE, f"{guide}.md: {path}"


def test_what_install_says_to_edit_is_there(tmp_path: Path) -> None:
    """The command changes one line of the example, and the collector then reads that address."""
    import subprocess

    from tillwatch.collector import config

    line = next(line for _, line in commands("install") if line.startswith("sed "))
    path = tmp_path / "collector.toml"
    before = (ROOT / "packaging/collector.example.toml").read_text("utf-8")
    path.write_text(before, "utf-8")
    subprocess.run(line.replace("/etc/tillwatch/collector.toml", str(path)), shell=True, check=True)
    changed = [
        one
        for one, other in zip(path.read_text("utf-8").splitlines(), before.splitlines(), strict=True)
        if one != other
    ]
    assert changed == ['address = "tills.bank.example"']
    assert config.load_config(path).enrolment.address == "tills.bank.example"


def test_messages_of_the_log_are_those_of_the_programs() -> None:
    """The longest run of fixed words of each stands in the code."""
    table = text_of("operate").partition("## The log")[2].partition("## Doctor")[0]
    messages = re.findall(r"^\| (?:agent: )?`([^`]+)` \|", table, re.MULTILINE)
    assert len(messages) > 10
    code = "\n".join(
        path.read_text("utf-8") for folder in ("agent", "collector") for path in (ROOT / folder).rglob("*.py")
    )
    for message in messages:
        runs = re.split(r"\.\.\.|\b[A-Z]+\b|[()]|: |;", message)
        assert max(runs, key=len).strip() in code, message


@pytest.mark.parametrize("guide", GUIDES)
def test_links_lead_somewhere(guide: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text_of(guide)):
        page, _, part = target.partition("#")
        path = DOCS / (page or f"{guide}.md")
        assert path.exists(), f"{guide}.md: {target}"
        heads = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
        assert not part or part in anchors, f"{guide}.md: {target}"


def test_what_the_security_page_points_at_exists() -> None:
    named = re.findall(
        r"`((?:agent|collector|device_profiles|firmware_shims|packaging|tests)/[\w./-]*)`", text_of("security")
    )
    assert len(named) > 30
    assert [one for one in named if not (ROOT / one).exists()] == []
