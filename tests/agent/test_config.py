import sys
from pathlib import Path

import pytest

from tillwatch.agent import config, device_settings
from tillwatch.agent.config import parse
from tillwatch.agent.settings import ConfigError, Intervals, loopback

PATH = Path("/etc/tillwatch/agent.toml")
WHOLE = """
[terminal]
state_dir = "/data/tillwatch"

[collector]
host = "collector.bank.example"
port = 8883
ca = "ca.pem"

[sampling]
fast = "5s"
normal = "1m"
slow = "2h"
seal = "30s"

[spool]
max_bytes = "64 MiB"
max_age = "7d"

[system]
name = "kiosk"
disable = ["net:docker*"]
fast = "20s"

[[snmp]]
name = "ups"
host = "192.0.2.10"
community_env = "UPS_COMMUNITY"
slow = "1d"

[[snmp]]
name = "printer"
host = "192.0.2.11"
version = "3"
user = "monitor"
auth_file = "auth"
priv_file = "priv"
profile = "printer-mib"

[[serial]]
name = "ups2"
port = "/dev/ttyS0"
shim = "megatec_q1"
baud = 2400

[[serial]]
name = "acceptor"
port = "tcp:127.0.0.1:4001"
shim = "ebds"
mode = "tap"
"""


def test_whole_file(tmp_path, monkeypatch):
    monkeypatch.setenv("UPS_COMMUNITY", "secret")
    (tmp_path / "auth").write_text("authphrase\n")
    (tmp_path / "priv").write_text("privphrase\n")
    found = parse(WHOLE, tmp_path / "agent.toml")
    assert found.state_dir == Path("/data/tillwatch")
    assert found.collector.ca == tmp_path / "ca.pem"
    assert (found.seal, found.spool.max_bytes, found.spool.max_age) == (30.0, 64 << 20, 7 * 86_400.0)
    assert found.system.intervals == Intervals(20.0, 60.0, 7_200.0)
    ups, printer = found.snmp
    assert (ups.community, ups.intervals.slow) == ("secret", 86_400.0)
    assert (printer.auth_secret, printer.priv_secret, printer.profile) == ("authphrase", "privphrase", "printer-mib")
    assert (found.serial[0].baud, found.serial[0].mode) == (2400, "")
    assert found.serial[1].mode == "tap"
    assert "secret" not in repr(found)
    assert "phrase" not in repr(found)


def test_a_dialogue_is_found_beside_the_configuration(tmp_path):
    text = '[[serial]]\nname = "{0}"\nport = "/dev/ttyS{0}"\nshim = "{1}"\n'
    found = parse(text.format(1, "own/acme.yaml") + text.format(2, "megatec_q1"), tmp_path / "agent.toml")
    assert [device.shim for device in found.serial] == [str(tmp_path / "own/acme.yaml"), "megatec_q1"]


def test_nothing_is_needed(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "default_path", lambda: tmp_path / "none.toml")
    found = config.load(None, tmp_path)
    assert found.state_dir == tmp_path
    assert found.system.enabled
    assert parse("", PATH).seal == 60.0


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[sampling]\n\nfast = "5s"\nintervall = "3s"\n', 4, "unknown key `intervall` in [sampling]"),
        ('[sampling]\nnormall = "3s"\n', 2, "did you mean `normal`?"),
        ("[sampling]\nfast = 5\n", 2, 'a time with its unit: "10s"'),
        ('[sampling]\nfast = "1ms"\n', 2, "from 0.5 s"),
        ('\n[samplng]\nfast = "5s"\n', 2, "did you mean `sampling`?"),
        ('quux = "5s"\n', 1, "unknown key `quux`; known are terminal"),
        ("[spool]\nmax_bytes = 3\n", 2, "at least"),
        ('[system]\nenabled = "yes"\n', 2, "true or false, without quotes"),
        ('[[snmp]]\nname = "a"\nhost = "h"\n[[snmp]]\nname = "b"\nhots = "h"\n', 4, "needs `host`"),
        ('[[snmp]]\nname = "a"\nhost = "h"\n\n[[snmp]]\nname = "a"\nhost = "h"\n', 5, "belongs to"),
        ('[[snmp]]\nname = "a/b"\nhost = "h"\n', 2, "without a slash"),
        ('[[snmp]]\nname = "agent"\nhost = "h"\n', 1, "the agent itself"),
        ('[[snmp]]\nname = "host"\nhost = "h"\n', 1, "the machine itself"),
        ('[[snmp]]\nname = "a"\nhost = "h"\nport = 70000\n', 4, "from 1 to 65535"),
        ('[[snmp]]\nname = "a"\nhost = "h"\nversion = "4"\n', 4, "one of 1, 2c, 3"),
        ('[[snmp]]\nname = "a"\nhost = "h"\nversion = "3"\nuser = "u"\n', 1, "auth_file and priv_file"),
        ('[[snmp]]\nname = "a"\nhost = "h"\ncommunity_env = "NOT_SET_ANYWHERE"\n', 4, "is not set"),
        ('[[snmp]]\nname = "a"\nhost = "h"\ncommunity_file = "nowhere"\n', 4, "cannot be read"),
        ('[snmp]\nname = "a"\n', 1, "write [[snmp]]"),
        ('[[serial]]\nname = "a"\nport = "/dev/ttyS0"\n', 1, "needs `shim`"),
        (
            '[[serial]]\nname = "a"\nport = "x"\nshim = "ebds"\nmode = "listen"\n',
            5,
            "is one of exclusive, tap, hosted",
        ),
        ('[collector]\nhost = "far.example"\ntls = false\n', 3, "this machine itself only"),
        ('[terminal]\nstate_dir = "/a"\nid = "x"\n', 3, "unknown key `id`"),
        ("[sampling]\nfast = 5s\n", 2, "a value is written key ="),
        ('[smart]\ndrives = ["/dev/sda", "-d sat /dev/sdb"]\n', 2, "as smartctl --scan prints them"),
        ('[smart]\ndrives = ["/dev/sda; rm x"]\n', 2, "not '/dev/sda; rm x'"),
        ('[smart]\ndrive = ["/dev/sda"]\n', 2, "did you mean `drives`?"),
        ('[smart]\nenabled = true\nname = "host"\n', 1, "the machine itself"),
        ('[ipmi]\nname = "a"\n[smart]\nname = "a"\n', 1, "belongs to"),
        ("[ipmi]\nprogram = 3\n", 2, "is text"),
        ('[[nut]]\nhost = "h"\n', 1, "needs `name`"),
        ('[[nut]]\nname = "a"\nups = "a b"\n', 3, "upsc -l lists them"),
        ('[[nut]]\nname = "a"\nlogin = "x"\n', 3, "unknown key `login`"),
        ('[[xfs]]\nname = "a"\nhost = "192.0.2.7"\ntls = false\n', 4, "this machine itself only"),
        ('[[xfs]]\nname = "a"\nnormal = "5s"\n', 3, "at least 30 s"),
        ('[[xfs]]\nname = "a"\n[[nut]]\nname = "a"\n', 1, "belongs to"),
        ("[traps]\nenabled = true\n", 1, "[[snmp]] only, and there are none"),
        ('[traps]\nport = "162"\n', 2, "without quotes"),
        ('[windows]\nparts = ["disk"]\n', 2, "storage, devices, events, pos, not 'disk'"),
        ('[windows]\nenabled = false\nname = "' + "w" * 41 + '"\n', 3, "at most 40 characters"),
        ('[windows]\nexpected = "reader"\n', 2, "is a table of at most"),
        ("[windows.expected]\nreader = 7\n", 1, "is text"),
    ],
)
def test_errors_name_file_line_and_mend(text, line, said):
    with pytest.raises(ConfigError) as error:
        parse(text, PATH)
    assert str(error.value).startswith(f"{PATH}:{line}: ")
    assert said in str(error.value)


@pytest.mark.skipif(sys.platform == "win32", reason="there it is right")
@pytest.mark.parametrize(("text", "line"), [("[windows]\nenabled = true\n", 2), ("\n[windows]\nname = 'w'\n", 2)])
def test_windows_elsewhere_is_one_clear_error(text, line):
    with pytest.raises(ConfigError) as error:
        parse(text, PATH)
    assert str(error.value).startswith(f"{PATH}:{line}: `enabled` in [windows] is for Windows only")
    assert not parse("[windows]\nenabled = false\nparts = ['pos']\n", PATH).windows.enabled


def test_windows(monkeypatch):
    monkeypatch.setattr(device_settings, "PLATFORM", "win32")
    assert not parse("", PATH).windows.enabled
    text = "[windows]\nname = 'pc'\nparts = ['devices', 'pos', 'pos']\nignore = ['SWD*']\n[windows.expected]\nreader = 'USB*'\n"
    found = parse(text, PATH).windows
    assert found.names() == {"devices": "pc-devices", "pos": "pc-pos"}
    assert (found.expected, found.ignore) == ((("reader", "USB*"),), ("SWD*",))
    assert (found.intervals.normal, found.intervals.slow) == (300.0, 3_600.0)
    assert parse("[windows]\nnormal = '1m'\n", PATH).windows.intervals.normal == 60.0
    with pytest.raises(ConfigError, match=r":1: the name `pc-pos` belongs to .*:7"):
        parse(text + "[[nut]]\nname = 'pc-pos'\n", PATH)


def test_drives_and_bmc():
    found = parse("", PATH)
    assert not found.smart.enabled
    assert not found.ipmi.enabled
    found = parse('[smart]\ndrives = ["/dev/sda", "/dev/bus/0 -d megaraid,8 # bay 3"]\n[ipmi]\nenabled = true\n', PATH)
    assert found.smart.drives == (("/dev/sda", ""), ("/dev/bus/0", "megaraid,8"))
    assert (found.smart.enabled, found.smart.name, found.smart.intervals) == (True, "drives", Intervals())
    assert (found.ipmi.enabled, found.ipmi.name, found.ipmi.intervals.normal) == (True, "bmc", 300.0)
    assert not parse('[smart]\nenabled = false\nprogram = "smartctl7"\n', PATH).smart.enabled


def test_upsd_xfs4iot_and_traps():
    found = parse("", PATH)
    assert (found.nut, found.xfs, found.traps.enabled) == ((), (), False)
    text = """
[sampling]
normal = "10s"
[[nut]]
name = "ups"
[[xfs]]
name = "atm"
[[xfs]]
name = "other"
enabled = false
host = "192.0.2.7"
ca = "ca.pem"
[[snmp]]
name = "card"
host = "192.0.2.8"
[traps]
community = "branch-7"
"""
    found = parse(text, PATH)
    assert (found.nut[0].host, found.nut[0].port, found.nut[0].ups) == ("127.0.0.1", 3493, "")
    here, other = found.xfs
    assert (here.enabled, here.tls, here.port, here.intervals.normal) == (True, False, 0, 30.0)
    assert (other.enabled, other.tls, other.ca) == (False, True, PATH.parent / "ca.pem")
    assert (found.traps.enabled, found.traps.port, found.traps.community) == (True, 162, "branch-7")
    assert "branch-7" not in repr(found)


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("127.0.0.1.example", False),
        ("localhost.example", False),
        ("192.0.2.1", False),
    ],
)
def test_loopback(host, is_one):
    assert loopback(host) is is_one


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="--config"):
        config.load(tmp_path / "none.toml")


def test_file_that_is_not_text(tmp_path):
    (tmp_path / "agent.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load(tmp_path / "agent.toml")
