"""Every error names the file, the line and the mend; without a file the defaults work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tillwatch.collector.config import Config, ConfigError, load_config, parse_config
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.tickets.settings import SecretError

WHOLE = """\
[collector]
data_dir = "data"
name = "North"

[broker]
embedded = false
host = "mq.bank.example"
port = 8884
tls = true
address = "tills.bank.example"

[enrolment]
host = "10.1.2.3"
port = 9443
address = "enrol.bank.example"
hosts = ["10.9.9.9"]

[console]
host = "localhost"
port = 8081

[rules]
file = "/etc/tillwatch/rules.toml"

[policy]
file = "policy.toml"

[tickets.webhook]
url = "https://desk.bank.example/hook"
secret_env = "DESK_SECRET"

[intake]
queue = 100
queue_bytes = "8MiB"
group_messages = 64
group_wait = "2ms"
"""


def parse(text: str) -> Config:
    return parse_config(text, Path("/etc/tillwatch/collector.toml"))


def test_all_of_it_is_read():
    config = parse(WHOLE)
    assert config.collector.data_dir == Path("/etc/tillwatch/data")
    assert config.collector.name == "North"
    assert (config.broker.embedded, config.broker.host, config.broker.port) == (False, "mq.bank.example", 8884)
    assert config.certificate_hosts == (
        "enrol.bank.example",
        "tills.bank.example",
        "10.9.9.9",
        "localhost",
        "127.0.0.1",
        "10.1.2.3",
    )
    assert parse("[broker]\nhost = '10.4.4.4'").certificate_hosts[-1] == "10.4.4.4"
    assert (config.console.host, config.console.port) == ("localhost", 8081)
    assert config.rules.file == Path("/etc/tillwatch/rules.toml")
    assert config.policy.file == Path("/etc/tillwatch/policy.toml")
    assert (config.intake.queue_bytes, config.intake.group_wait) == (8 * 1024**2, 0.002)


def test_the_watchdogs_section_has_defaults_and_keeps_addresses_out_of_the_record():
    config = parse(
        "[watchdog]\nsecret_file = 'drill.secret'\ncomplain_url = 'https://desk/hidden'\ncomplain_secret_file = 'desk.secret'\n"
    )
    watchdog = config.watchdog
    assert watchdog is not None
    assert (watchdog.every, watchdog.late, watchdog.receiver) == (300.0, 120.0, "http://127.0.0.1:8853/drill")
    assert watchdog.secret_file == Path("/etc/tillwatch/drill.secret")
    assert config.settings["watchdog.receiver"] == watchdog.receiver
    assert "hidden" not in " ".join(config.settings.values())
    assert Config().watchdog is None


def test_defaults_need_no_file(monkeypatch, tmp_path):
    monkeypatch.setattr("tillwatch.collector.config.DEFAULT_FILE", tmp_path / "none.toml")
    config = load_config()
    assert config == Config()
    assert config.broker.embedded
    assert config.broker.tls
    assert config.console.host == "127.0.0.1"
    assert config.desks == config.channels == {}
    assert {"localhost", "127.0.0.1", config.address} <= set(config.certificate_hosts)
    assert "0.0.0.0" not in config.certificate_hosts


@pytest.mark.parametrize(
    ("text", "line", "mend"),
    [
        ("[broker]\nembeded = true\n", 2, "unknown key 'embeded'; did you mean 'embedded'?"),
        ("\n[brokr]\nport = 1\n", 2, "unknown section 'brokr'; did you mean 'broker'?"),
        ("[collector]\nzzz = 1\n", 2, "unknown key 'zzz'; known here: data_dir, name"),
        ("broker = 3\n", 1, "broker is a section; write [broker]"),
        ("[tickets.desk]\nkind = 'webhok'\n", 2, "unknown kind of receiver 'webhok'; did you mean 'webhook'?"),
        ("[tickets.desk]\nurl = 'x'\n", 1, "unknown kind of receiver 'desk'; known here: "),
        ("[tickets.webhook]\nurll = 'x'\n", 2, "unknown key 'urll'; did you mean 'url'?"),
        ("[tickets.webhook]\nstates = { Waiting = 'waiting' }\n", 2, "'waiting' is no state of a ticket"),
        ("[tickets]\nrouts = 'x'\n", 2, "did you mean 'routes'?"),
        ("[channels]\nsms = 'x'\n", 2, "write it into a section [channels.NAME]"),
        ("tickets = 3\n", 1, "write a section [tickets.NAME]"),
        ("[intake]\ngroup_wait = 10\n", 2, 'with its unit, for example "10s"'),
        ("[intake]\ngroup_wait = '10 weeks'\n", 2, 'with its unit, for example "10s"'),
        ("[intake]\n# a comment\nqueue_bytes = 12\n", 3, 'with its unit, for example "64MiB"'),
        ("[intake]\nqueue = 0\n", 2, "at least 1"),
        ("[intake]\nqueue = true\n", 2, "whole number"),
        ("[intake]\ngroup_wait = '1m'\n", 2, "at most 1s"),
        ("[broker]\nport = '8883'\n", 2, "a port from 1 to 65535, without quotes"),
        ("[broker]\nport = 70000\n", 2, "a port from 1 to 65535"),
        ("[broker]\ntls = 'yes'\n", 2, "true or false, without quotes"),
        ("[broker]\nhost = 'mqtt://x:1883'\n", 2, "without scheme or port"),
        ("[broker]\ntls = false\n", 2, 'write tls = true, or host = "127.0.0.1"'),
        ("[broker]\nembedded = false\n", 2, "needs the broker's host"),
        ("[broker]\naddress = '0.0.0.0'\n", 2, "terminals cannot connect to this"),
        ("[enrolment]\nhosts = 'one'\n", 2, "a list of host names"),
        (
            "[console]\nport = 1\nhost = '0.0.0.0'\n",
            3,
            'passwords never cross a network in the clear: write certificate = "..." and key = "..."',
        ),
        ("[console]\nhost = '10.1.2.3'\ncertificate = 'a'\nkey = 'b'\n", 2, 'write names = ["..."]'),
        ("[console]\ncertificate = 'a'\n", 2, "certificate and key belong together"),
        ("[console]\nnames = ['x']\nanonymous = true\n", 3, "write anonymous = false"),
        ("[console]\nsession_idle = '13h'\n", 2, "at most what session_length is"),
        ("[console]\nsession_length = '30d'\n", 2, 'from "1m" to "7d"'),
        ("[console]\ntotp = ['boss']\n", 2, "write a list of roles"),
        ("[oidc]\nissuer = 'https://idp'\n", 1, "client_id is missing"),
        ("[oidc]\nroles = [{ claim = 'g', value = 'v', role = 'boss' }]\n", 2, "'boss' is no role"),
        ("[oidc]\nroles = [{ claim = 'g', role = 'viewer' }]\n", 2, "write a list of tables"),
        ("[tickets.webhook]\nurl = 'desk'\nsecret_env = 'A'\n", 2, "the whole address"),
        ("[tickets.webhook]\nsecret_env = 'A'\n", 1, "url is missing"),
        ("[tickets.webhook]\nurl = 'http://x'\n", 1, "either secret_file or secret_env"),
        ("[watchdog]\nevery = '5m'\n", 1, "secret_file is missing"),
        ("[watchdog]\nsecret_file = 'x'\nevery = '5m'\nlate = '3m'\n", 3, "write every as twice late or more"),
        ("[watchdog]\nsecret_file = 'x'\nlate = '0s'\n", 1, "at least 0.5s"),
        ("[watchdog]\nsecret_file = 'x'\nreceiver = 'http://10.1.2.3:8853/drill'\n", 3, "listens on its own machine"),
        ("[watchdog]\nsecret_file = 'x'\nreceiver = 'http://127.0.0.1:99999/'\n", 3, "listens on its own machine"),
        ("[watchdog]\nsecret_file = 'x'\ncomplain_url = 'https://desk'\n", 3, "complain_secret_file belong together"),
        ("[watchdog]\nsecret_file = 'x'\ncomplain_secret_file = 'y'\n", 1, "complain_secret_file belong together"),
        ("[collector]\nname = \n", 2, "not TOML"),
        ("[broker]\nport = 1\nport = 2\n", 3, "not TOML"),
        ("broker.prt = 1\n", 1, "did you mean 'port'?"),
        ("broker = { prt = 1 }\n", 1, "did you mean 'port'?"),
    ],
)
def test_errors_name_file_line_and_mend(text, line, mend):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"/etc/tillwatch/collector.toml, line {line}: ")
    assert mend in str(caught.value)


@pytest.mark.parametrize("key", ["secret", "secret_env"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(key):
    with pytest.raises(ConfigError) as caught:
        parse(f"[tickets.webhook]\nurl = 'https://x'\n{key} = 'hunter 2'\n")
    assert "line 3" in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_the_secret_comes_from_file_or_environment(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("from-file\n")
    path = tmp_path / "collector.toml"
    path.write_text("[tickets.webhook]\nurl = 'https://x'\nsecret_file = 'secret'\n")
    webhook = load_config(path).desks["webhook"]
    assert webhook.secret() == "from-file"
    (tmp_path / "secret").unlink()
    with pytest.raises(SecretError, match="secret_file: cannot read"):
        webhook.secret()
    monkeypatch.setenv("DESK_SECRET", "from-environment")
    webhook = parse(WHOLE).desks["webhook"]
    assert webhook.secret() == "from-environment"
    monkeypatch.setenv("DESK_SECRET", " ")
    with pytest.raises(SecretError, match="environment variable DESK_SECRET holds no secret"):
        webhook.secret()


def test_files_that_cannot_be_configuration(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.toml: cannot read the configuration: No such file"):
        load_config(tmp_path / "nothing.toml")
    (tmp_path / "latin.toml").write_bytes(b"[collector]\nname = 'Z\xfcrich'\n")
    with pytest.raises(ConfigError, match=r"latin\.toml, line 2: a byte that is not UTF-8"):
        load_config(tmp_path / "latin.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load_config(tmp_path / "huge.toml")


def test_the_state_is_in_a_file_or_in_a_database(tmp_path: Path) -> None:
    source = tmp_path / "collector.toml"
    assert Config().store == Config().database
    text = '[collector]\ndata_dir = "data"\n[store]\npostgres = "postgresql://tw@db1,db2:5433/tillwatch"\npassword_file = "secret"\nca_file = "ca.pem"\n'
    found = parse_config(text, source).store
    assert found == Postgres(
        "postgresql://tw@db1,db2:5433/tillwatch", tmp_path / "secret", tmp_path / "ca.pem", tmp_path / "data"
    )


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ('postgres = "postgresql://tw:hunter2@db/tillwatch"', "no secrets in this file"),
        ('postgres = "postgresql://tw@db/tillwatch?password=hunter2"', "no secrets in this file"),
        ('postgres = "postgresql://db/tillwatch"', "the user and the database are missing"),
        ('postgres = "postgresql://tw@db/"', "the user and the database are missing"),
        ('postgres = "mysql://tw@db/tillwatch"', "write such as"),
        ('password_file = "secret"', "password_file is of a server"),
    ],
)
def test_an_address_of_a_database_is_whole_and_holds_no_secret(line: str, mend: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=mend) as raised:
        parse_config(f"[store]\n{line}\n", tmp_path / "collector.toml")
    assert "line 2" in str(raised.value)
    assert "hunter2" not in str(raised.value)
