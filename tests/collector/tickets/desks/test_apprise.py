"""The library's own plugins against servers on this machine: a mail server, and a web server in place of the services."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

import pytest

from tests.collector.tickets.desks.listening import listening
from tests.collector.tickets.desks.mailbox import mailbox
from tillwatch.collector.config import ConfigError, parse_config
from tillwatch.collector.tickets.delivery import IN_FLIGHT
from tillwatch.collector.tickets.desks import apprise as desk
from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.port import Barred, Dead, Done, Leg, Retry, Uncertain
from tillwatch.collector.tickets.text import SHORT_WIDE

# The library imports `imghdr` where it still exists.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

LI = Leg(channel="sms", contact="+86 138/0000?0000&x=1")


@pytest.fixture
def listener():
    with listening() as listener:
        yield listener


@pytest.fixture
def mail():
    with mailbox() as mail:
        yield mail


@pytest.fixture
async def channel(tmp_path):
    made = []

    def connected(url, **settings):
        path = tmp_path / "channel.url"
        path.write_text(f"# the duty desk's\n{url}\n")
        given = {"timeout": 10.0} | settings
        made.append(desk.connect("duty", desk.Settings(url_file=path, **given)))
        return made[-1]

    yield connected
    for each in made:
        await each.close()


async def test_a_mail_reaches_the_person(mail, channel, message) -> None:
    port = channel(f"mailto://127.0.0.1:{mail.port}?from=watch@bank.example&to={{contact}}&mode=insecure")
    assert await port.preflight() == []
    leg = Leg(channel="mail", contact="li.wei+duty@bank.example")
    told = message(what="UPS 由电池供电 {{ braces }}")
    assert await port.deliver(told, None, doubtful=False, leg=leg) == Done()
    [(recipients, sent)] = mail.mails
    assert recipients == ["li.wei+duty@bank.example"]
    assert "UPS 由电池供电 {{ braces }}" in sent["subject"]
    body = sent.get_body(("plain", "html"))
    assert body is not None
    assert "check the mains" in body.get_content()


async def test_a_mail_server_that_refuses_is_asked_again(mail, channel, message) -> None:
    mail.refuses = 450
    port = channel(f"mailto://127.0.0.1:{mail.port}?from=watch@bank.example&to={{contact}}&mode=insecure")
    outcome = await port.deliver(message(), None, doubtful=False, leg=Leg(contact="li.wei@bank.example"))
    assert outcome == Retry("the service could not be reached, or did not take it")
    assert mail.mails == []


async def test_a_contact_cannot_change_the_address(listener, channel, message) -> None:
    port = channel(f"json://127.0.0.1:{listener.port}/send/{{contact}}")
    assert await port.deliver(message(), None, doubtful=False, leg=LI) == Done()
    [got] = listener.got
    assert got.path.startswith("/send/+86")
    assert "x=1" not in got.path.partition("?")[2]
    said = got.json()
    assert "UPS runs on battery" in said["title"]
    assert said["type"] == "warning"


@pytest.mark.parametrize(
    ("plugin", "url", "said"),
    [
        ("dingtalk.NotifyDingTalk", "dingtalk://token123456/{contact}", lambda body: body["text"]["content"]),
        ("wecombot.NotifyWeComBot", "wecombot://token123456", lambda body: body["text"]["content"]),
        ("feishu.NotifyFeishu", "feishu://token123456", lambda body: body["content"]["text"]),
    ],
)
async def test_the_services_of_the_country_are_spoken_to(
    listener, channel, message, monkeypatch, plugin, url, said
) -> None:
    """Their plugins know no other address: that is bent to this machine, all else is the library's."""
    monkeypatch.setattr(
        f"apprise.plugins.{plugin}.notify_url", f"{listener.address}/robot/send?token={{token}}".replace("{token}", "t")
    )
    port = channel(url, language="zh")
    leg = Leg(channel="dingtalk", contact="13800000000")
    assert await port.preflight() == []
    assert await port.deliver(message(what="UPS 由电池供电"), None, doubtful=False, leg=leg) == Done()
    [got] = listener.got
    assert "UPS 由电池供电" in said(json.loads(got.body))


async def test_a_short_message_fits_and_names_the_incident(listener, channel, message) -> None:
    port = channel(f"json://127.0.0.1:{listener.port}/", form="short", language="zh")
    await port.deliver(message(what="柜员机电源故障" * 30), None, doubtful=False, leg=LI)
    await port.deliver(message(op=Op.RESOLVE, seq=2), None, doubtful=False, leg=LI)
    long, end = (got.json()["message"] for got in listener.got)
    assert len(long) == SHORT_WIDE
    assert long.endswith("… HWM-0011-1")
    assert end.startswith("已恢复：")
    assert len(end) <= SHORT_WIDE


def test_the_words_of_each_change(message) -> None:
    opened, body = desk.words(message(), "en", "full")
    assert "UPS runs on battery" in opened
    assert "check the mains" in body
    changed, note = desk.words(message(op=Op.UPDATE, seq=2, note="li.wei is at work on it"), "en", "full")
    assert changed == opened
    assert note.startswith("li.wei is at work on it")
    assert "check the mains" in note
    assert desk.words(message(op=Op.RESOLVE, seq=3), "en", "full")[0] == f"Over: {opened}"
    title, line = desk.words(message(op=Op.UPDATE, seq=2, note="li.wei is at work on it"), "en", "short")
    assert title == ""
    assert "li.wei is at work on it" in line
    assert line.endswith(" HWM-0011-1")


@pytest.mark.parametrize(
    ("status", "refused"), [(500, False), (429, False), (408, False), (401, True), (404, True), (302, False)]
)
async def test_the_status_of_an_answer_decides_how_soon_it_is_tried_again(
    listener, channel, message, status, refused
) -> None:
    listener.answers = [(status, {"location": listener.address}, b"no")]
    port = channel(f"json://127.0.0.1:{listener.port}/")
    outcome = await port.deliver(message(), None, doubtful=False, leg=LI)
    assert outcome == Retry(f"the service answered {status}", refused=refused)
    assert len(listener.got) == 1, "a redirect is not followed"


async def test_a_status_is_of_its_own_message(listener, channel, message) -> None:
    """The threads are used again, and what one of them heard before is over."""
    port = channel(f"json://127.0.0.1:{listener.port}/")
    listener.answers = [(401, {}, b"no")] * IN_FLIGHT
    for _ in range(IN_FLIGHT):
        assert "401" in (await port.deliver(message(), None, doubtful=False, leg=LI)).reason
    assert await port.deliver(message(), None, doubtful=False, leg=LI) == Done()


async def test_nobody_there_is_a_reason_to_try_again(channel, message) -> None:
    outcome = await channel("json://127.0.0.1:1/").deliver(message(), None, doubtful=False, leg=LI)
    assert outcome == Retry("the service could not be reached, or did not take it")


async def test_a_time_out_is_doubtful_and_told_again(listener, channel, message, until) -> None:
    listener.hold.clear()
    port = channel(f"json://127.0.0.1:{listener.port}/", timeout=0.5)
    assert await port.deliver(message(), None, doubtful=False, leg=LI) == Uncertain("no answer within 0.5 s")
    for _ in range(IN_FLIGHT - 1):
        await port.deliver(message(), None, doubtful=False, leg=LI)
    waits = await port.deliver(message(), None, doubtful=False, leg=LI)
    assert waits == Retry("earlier messages of this channel are still on their way")
    listener.hold.set()
    await until(lambda: len(listener.got) == IN_FLIGHT)
    # Until the threads have heard their answers.
    async with asyncio.timeout(60):
        while await port.deliver(message(), None, doubtful=True, leg=LI) != Done():
            pass


async def test_who_has_no_contact_is_not_told(listener, channel, message) -> None:
    port = channel(f"json://127.0.0.1:{listener.port}/{{contact}}")
    outcome = await port.deliver(message(), None, doubtful=False, leg=Leg(channel="sms"))
    assert isinstance(outcome, Dead)
    assert "sms" in outcome.reason
    assert listener.got == []


@pytest.mark.parametrize(
    ("url", "good", "bad"),
    [
        ("twilio://AC0123456789abcdef0123456789abcdef:0123456789abcdef0123456789abcdef@15550001111/{contact}", "+86 138-0000-0000", "li.wei"),
        ("mailto://127.0.0.1:1?from=watch@bank.example&to={contact}&mode=insecure", "li.wei@bank.example", "138"),
    ],
)  # fmt: skip
async def test_a_contact_of_another_kind_is_not_sent_to_somebody_else(channel, message, monkeypatch, url, good, bad):
    """Left to itself the one tells the sender instead and says that all is well, the other tries nobody again and again."""
    monkeypatch.setattr("apprise.plugins.twilio.NotifyTwilio.notify_sms_url", "http://127.0.0.1:1/{sid}")
    port = channel(url)
    assert await port.preflight() == []
    outcome = await port.deliver(message(), None, doubtful=False, leg=Leg(contact=bad))
    assert outcome == Dead("apprise does not take the contact: no number or address of this channel")
    outcome = await port.deliver(message(), None, doubtful=False, leg=Leg(contact=good))
    assert outcome == Retry("the service could not be reached, or did not take it")


async def test_a_wrong_url_bars_all(channel, message) -> None:
    for wrong in ("nonsense://t0k3n", "t0k3n"):
        port = channel(wrong)
        [problem] = await port.preflight()
        outcome = await port.deliver(message(), None, doubtful=False, leg=LI)
        assert isinstance(outcome, Barred)
        assert "t0k3n" not in repr((problem, outcome))


async def test_a_missing_url_is_said_with_its_place(tmp_path, message, monkeypatch) -> None:
    port = desk.connect("duty", desk.Settings(url_env="DUTY_URL"))
    [problem] = await port.preflight()
    assert "DUTY_URL" in problem.what
    monkeypatch.setenv("DUTY_URL", "json://a\njson://b")
    assert "2 URLs" in (await port.deliver(message(), None, doubtful=False, leg=LI)).reason
    monkeypatch.setenv("DUTY_URL", "json://127.0.0.1:1/")
    assert await port.preflight() == []
    await port.close()


async def test_nothing_secret_is_logged_or_kept(listener, channel, message, caplog) -> None:
    """Also where somebody looks for a fault, and logs everything."""
    caplog.set_level(1)
    logging.getLogger("apprise").setLevel(1)
    listener.answers = [(401, {}, b"no")]
    port = channel(f"json://us3r:s3cr3t@127.0.0.1:{listener.port}/t0k3n/{{contact}}")
    refused = await port.deliver(message(), None, doubtful=False, leg=LI)
    unreached = await channel("json://us3r:s3cr3t@127.0.0.1:1/t0k3n/").deliver(message(), None, doubtful=False, leg=LI)
    wrong = await channel("json://us3r:s3cr3t@:99999999/t0k3n").deliver(message(), None, doubtful=False, leg=LI)
    assert listener.got[0].path.startswith("/t0k3n")
    mail = channel("mailto://127.0.0.1:1?from=watch@bank.example&to={contact}&mode=insecure")
    dead = await mail.deliver(message(), None, doubtful=False, leg=Leg(contact="li.wei138"))
    assert not [each for each in caplog.records if each.name.startswith(("apprise", "urllib3"))]
    everything = caplog.text + repr([refused, unreached, wrong, dead, port, port._settings])
    assert not any(word in everything for word in ("s3cr3t", "t0k3n", "us3r", "138"))


async def test_a_plugin_that_fails_says_no_more_than_what_it_was(channel, message, monkeypatch) -> None:
    def burst(*_):
        raise RuntimeError("json://t0k3n")

    monkeypatch.setattr(desk, "_tell", burst)
    outcome = await channel("json://127.0.0.1:1/").deliver(message(), None, doubtful=False, leg=LI)
    assert outcome == Retry("apprise failed (RuntimeError)")


def test_without_the_library_the_kind_says_how_to_get_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ValueError, match="notify"):
        desk.connect("duty", desk.Settings(url_env="DUTY_URL"))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("", "write either url_file or url_env"),
        ('url_env = "A"\nurl_file = "b"', "write either url_file or url_env"),
        ('url = "https://hooks.bank.example/t0k3n"', "is its secret"),
        ('url_env = "A"\nsecret_env = "B"', "is its secret"),
        ('url_env = "A"\nform = "tiny"', 'write "full" or "short"'),
    ],
)
def test_mistakes_in_its_table_are_named(tmp_path, table, reason) -> None:
    with pytest.raises(ConfigError, match=reason) as error:
        parse_config(f'[channels.duty]\nkind = "apprise"\n{table}\n', tmp_path / "collector.toml")
    assert "t0k3n" not in str(error.value)


def test_its_table_is_read(tmp_path) -> None:
    table = '[channels.sms]\nkind = "apprise"\nurl_file = "sms.url"\nform = "short"\nlanguage = "zh"\n'
    settings = parse_config(table, tmp_path / "collector.toml").channels["sms"]
    assert isinstance(settings, desk.Settings)
    assert (settings.url_file, settings.form) == (tmp_path / "sms.url", "short")
