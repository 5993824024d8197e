"""What the configuration of a receiver says about its calls to us."""

from __future__ import annotations

import pytest

from tillwatch.collector.config import ConfigError, parse_config
from tillwatch.collector.tickets.settings import LEAST_HOOK_SECRET, SecretError
from tillwatch.collector.tickets.two_way.hook_schemes import Scheme

ROUNDUP = '[tickets.desk]\nkind = "roundup"\nurl = "https://desk.invalid"\nsecret_env = "S"\nuser = "hwmon"\n'
WEBHOOK = '[tickets.webhook]\nurl = "https://desk.invalid"\nsecret_env = "S"\n'


def test_calls_are_not_taken_unless_there_is_a_secret(tmp_path) -> None:
    settings = parse_config(ROUNDUP, tmp_path / "collector.toml").desks["desk"]
    assert not settings.takes_hooks
    settings = parse_config(ROUNDUP + 'hook_secret_file = "hook.secret"', tmp_path / "collector.toml").desks["desk"]
    assert settings.takes_hooks
    assert settings.hook_scheme == Scheme.STANDARD


@pytest.mark.parametrize(
    ("text", "line", "mend"),
    [
        (ROUNDUP + 'hook_scheme = "md5"', 6, "standard, pagerduty, hub, token"),
        (ROUNDUP + 'hook_secret_env = "A"\nhook_secret_file = "b"', 6, "not both"),
        (WEBHOOK + 'hook_secret_env = "A"\nhook_scheme = "token"', 5, "only the scheme standard"),
    ],
)
def test_what_cannot_work_is_said_with_its_line(tmp_path, text, line, mend) -> None:
    with pytest.raises(ConfigError, match=f"line {line}.*{mend}"):
        parse_config(text, tmp_path / "collector.toml")


def test_secrets_are_read_when_they_are_needed(tmp_path) -> None:
    settings = parse_config(ROUNDUP + 'hook_secret_file = "hook.secret"', tmp_path / "collector.toml").desks["desk"]
    file = tmp_path / "hook.secret"
    for content in ("", "# nothing\n", "x" * (LEAST_HOOK_SECRET - 1), "x" * 30 + "\nshort"):
        file.write_text(content)
        with pytest.raises(SecretError) as caught:
            settings.hook_secrets()
        assert "xxx" not in str(caught.value)
    file.write_text("# since June\n" + "n" * 32 + "\n" + "o" * 32 + "\n")
    assert settings.hook_secrets() == ("n" * 32, "o" * 32)


def test_listener_is_named_in_the_certificate(tmp_path) -> None:
    off = parse_config('[tickets]\nhost = "10.1.2.3"', tmp_path / "collector.toml")
    assert "10.1.2.3" not in off.certificate_hosts
    on = parse_config('[tickets]\nhost = "10.1.2.3"\nport = 8853', tmp_path / "collector.toml")
    assert "10.1.2.3" in on.certificate_hosts
