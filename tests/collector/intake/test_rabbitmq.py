"""What is written for a RabbitMQ. That it does what it says on a real node is in tests/scale/test_rabbitmq.py."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tillwatch.collector.intake.rabbitmq import (
    ADVANCED,
    CONFIG,
    CRL_DIR,
    DEFINITIONS,
    PASSWORD,
    PLUGINS,
    SERVER,
    crl_name,
    definitions,
    write_rabbitmq,
)
from tillwatch.collector.intake.topology import PARTITIONS, QUEUES, terminal_of


def write(folder, authority, **more):
    how = {
        "hosts": ("mq1", "127.0.0.1"),
        "vhost": "v",
        "broker_user": "u",
        "access": "https://c1:8846",
        "ports": (5671, 8883),
    }
    return write_rabbitmq(folder, authority, {}, user="root", **{**how, **more})


def test_the_list_of_revoked_certificates_has_the_name_that_openssl_gives_it(authority, tmp_path):
    said = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash", "-in", authority.ca_file],
        capture_output=True,
        text=True,
        check=True,
    )
    assert crl_name(authority) == f"{said.stdout.strip()}.r0"


def test_what_is_written_again_keeps_the_password_and_is_the_same(authority, tmp_path):
    path = write(tmp_path / "mq", authority)
    assert path == tmp_path / "mq" / CONFIG
    first = {one.name: one.read_bytes() for one in (tmp_path / "mq").iterdir() if one.is_file()}
    write(tmp_path / "mq", authority)
    again = {one.name: one.read_bytes() for one in (tmp_path / "mq").iterdir() if one.is_file()}
    assert again == first
    assert set(first) == {CONFIG, ADVANCED, PLUGINS, DEFINITIONS, PASSWORD, SERVER, "ca.pem"}
    assert (tmp_path / "mq" / CRL_DIR / crl_name(authority)).is_file()
    for name in (PASSWORD, DEFINITIONS, SERVER):
        assert (tmp_path / "mq" / name).stat().st_mode & 0o077 == 0, name
    password = (tmp_path / "mq" / PASSWORD).read_text().strip()
    assert password not in (tmp_path / "mq" / DEFINITIONS).read_text()


def test_one_node_takes_the_definitions_by_itself_and_a_cluster_is_told(authority, tmp_path):
    assert "load_definitions" not in write(tmp_path / "three", authority).read_text()
    alone = write(tmp_path / "one", authority, alone=True, listen="10.0.0.1").read_text()
    assert f"load_definitions = {tmp_path / 'one' / DEFINITIONS}" in alone
    assert "listeners.ssl.1 = 10.0.0.1:5671" in alone


def test_every_queue_is_bounded_and_every_partition_bound():
    said = definitions("v", "u", "secret")
    names = [queue["name"] for queue in said["queues"]]
    assert tuple(names) == QUEUES
    assert len(names) == PARTITIONS + 1
    bounded = [p for p in said["policies"] if "max-length-bytes" in p["definition"]]
    assert all(any(re.search(p["pattern"], name) for p in bounded) for name in names)
    assert {b["destination"] for b in said["bindings"] if b["source"] == "tw.part"} == set(names) - {"tw.life"}
    assert json.loads(json.dumps(said)) == said


@pytest.mark.parametrize(
    ("right", "may", "may_not"),
    [
        (
            "configure",
            ["tw.p0", "tw.p63", "tw.life", "amq.gen-x"],
            ["tw.part", "amq.topic", "mqtt-subscription-t1qos0", "xtw.p0"],
        ),
        (
            "write",
            ["tw.part", "tw.fold", "tw.hello", "amq.topic", "amq.default", "amq.gen-x"],
            ["tw.other", "amq.direct", "mqtt-subscription-t1qos0"],
        ),
        ("read", ["tw.p0", "tw.life", "tw.fold", "amq.gen-x"], ["amq.topic", "tw.part", "mqtt-subscription-t1qos0"]),
    ],
)
def test_the_collectors_may_do_what_they_do_and_no_more(right, may, may_not):
    (rights,) = definitions("v", "u", "secret")["permissions"]
    assert [name for name in may if not re.search(rights[right], name)] == []
    assert [name for name in may_not if re.search(rights[right], name)] == []


def test_the_collectors_publish_what_terminals_hear():
    (rights,) = definitions("v", "u", "secret")["topic_permissions"]
    for key in ("tw.1.t1.ack", "tw.1.t1.command", "tw.1.t1.bundle", "tw.1.tillwatch-probe.life"):
        assert re.search(rights["write"], key)
    for key in ("tw.1.t1.batch", "tw.1.t1.life", "tw.1.t1.x.ack", "other"):
        assert not re.search(rights["write"], key)


def test_the_terminal_of_a_key():
    assert terminal_of("tw.1.t1.batch") == "t1"
    assert terminal_of("tw.1.t1") is None
    assert terminal_of("tw.2.t1.batch") is None
    assert terminal_of("tw.1..batch") is None
