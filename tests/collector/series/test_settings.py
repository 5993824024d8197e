"""[sinks.NAME]: every mistake is told with its line."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from tillwatch.collector.config import ConfigError, parse_config

GOOD = """
[sinks.analysts]
kind = "influxdb"
url = "https://influx.bank.example:8086"
org = "bank"
bucket = "tills"
token_file = "influx.token"
ca_file = "ca.pem"
timeout = "20s"

[sinks.victoriametrics]
url = "http://127.0.0.1:8428"
"""


def test_sinks_are_read(tmp_path: Path) -> None:
    config = parse_config(GOOD, tmp_path / "c.toml")
    one, two = config.sinks["analysts"], config.sinks["victoriametrics"]
    assert (one.kind, one.org, one.bucket, one.timeout, one.token_file) == (
        "influxdb",
        "bank",
        "tills",
        20.0,
        tmp_path / "influx.token",
    )
    assert (two.kind, two.token(), two.points) == ("victoriametrics", "", 5000)
    said = config.settings
    assert said["sinks.analysts.bucket"] == "tills"
    assert said["sinks.analysts.url"] == sha256(b"https://influx.bank.example:8086").hexdigest()


@pytest.mark.parametrize(
    ("text", "where", "mend"),
    [
        ('[sinks.x]\nurl = "http://a"\n', 1, "unknown kind of sink 'x'; known here: influxdb, victoriametrics"),
        ('[sinks.x]\nkind = "influx"\nurl = "http://a"\n', 2, "did you mean 'influxdb'?"),
        ('[sinks.influxdb]\nurl = "http://a"\n', 1, "bucket is missing"),
        ("[sinks.victoriametrics]\n", 1, "url is missing"),
        ('[sinks.victoriametrics]\nurl = "a"\n', 2, "write the whole address"),
        (
            '[sinks.victoriametrics]\nurl = "http://a"\ntoken = "x"\n',
            3,
            "no secrets in this file; use token_file or token_env",
        ),
        (
            '[sinks.victoriametrics]\nurl = "http://a"\ntoken_file = "x"\ntoken_env = "Y"\n',
            4,
            "either token_file or token_env",
        ),
        ('[sinks.victoriametrics]\nurl = "http://a"\ntimeout = "5m"\n', 3, 'write from "1s" to "60s"'),
        ('[sinks.victoriametrics]\nurl = "http://a"\npoints = 100000\n', 3, "write at most 50000"),
        ('[sinks.victoriametrics]\nurl = "http://a"\nbuckt = "x"\n', 3, "did you mean 'bucket'?"),
        ('[sinks."../x"]\nkind = "victoriametrics"\nurl = "http://a"\n', 0, "up to 40 letters"),
        ('[sinks]\nurl = "http://a"\n', 2, r"write it into a section \[sinks.NAME\]"),
    ],
)
def test_a_mistake_is_told_where_it_stands(text: str, where: int, mend: str) -> None:
    with pytest.raises(ConfigError, match=mend) as told:
        parse_config(text, Path("c.toml"))
    assert str(told.value).startswith(f"c.toml, line {where}:" if where else "c.toml:")
    assert "token_file" in str(told.value) or '"x"' not in str(told.value)
