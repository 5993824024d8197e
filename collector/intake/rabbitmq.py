"""What a RabbitMQ needs to be told, written as files: its topology, one user for the collectors with the rights that they use, TLS with certificates of this
authority only, each terminal its own topics and nothing else, every queue bounded. `tillwatch-collector broker-config rabbitmq` writes them, the same for every
node of a cluster.

Terminals are no users of the broker: it asks a collector (opening/access.py) whether it may let in whom a certificate names, and to what.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tillwatch.collector.intake.mosquitto import publish
from tillwatch.collector.intake.topology import (
    BATCH_KEYS,
    DOWN,
    EXCHANGES,
    LIFE_KEYS,
    LIFE_QUEUE,
    MQTT_EXCHANGE,
    PART,
    PARTITION_QUEUES,
    PROBE,
    QUEUE_ARGUMENTS,
    QUEUES,
)
from tillwatch.collector.trust.authority import Authority

PARTITION_BYTES = 64 * 1024 * 1024
"""Of a partition, some 30,000 batches: with 64 of them 4 GiB of disk on a node at most. A terminal whose partition is full gets no PUBACK, and keeps all."""
MAX_ANSWERS = 1000
"""Messages that wait for one terminal that does not read; the oldest goes, and the next ack makes it good."""
AUTH_CACHE_MS = 15_000
"""So long the broker remembers what a collector said of a terminal: one connection asks a dozen times. A revoked terminal is refused after it."""
CONFIG, ADVANCED, PLUGINS, DEFINITIONS, PASSWORD = (
    "rabbitmq.conf",
    "advanced.config",
    "enabled_plugins",
    "definitions.json",
    "password",
)
CA, SERVER, CRL_DIR = "ca.pem", "server.pem", "crl"
_PLUGINS = (
    "rabbitmq_mqtt",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_auth_backend_http",
    "rabbitmq_auth_backend_cache",
)


def definitions(vhost: str, user: str, password: str) -> dict[str, Any]:
    """For `rabbitmqctl import_definitions`. Importing again changes nothing that is there."""
    own = r"amq\.gen-.*"
    queues = r"tw\.(p[0-9]+|life)"
    down = "|".join(DOWN)
    at = {"vhost": vhost}
    to_queue = {**at, "destination_type": "queue", "arguments": {}}
    return {
        "rabbit_version": "3.10.0",
        "vhosts": [{"name": vhost}],
        "users": [{**_hashed(password), "name": user, "tags": []}],
        # configure on the partitions is what comparing their arguments takes.
        "permissions": [
            {
                **at,
                "user": user,
                "configure": f"^({queues}|{own})$",
                "write": rf"^({queues}|{own}|amq\.(default|topic)|tw\.(part|fold|hello))$",
                "read": rf"^({queues}|{own}|tw\.(fold|hello))$",
            }
        ],
        "topic_permissions": [
            {
                **at,
                "user": user,
                "exchange": MQTT_EXCHANGE,
                "write": rf"^tw\.1\.([^.]+\.({down})|{PROBE}\.(batch|life))$",
                "read": "^$",
            }
        ],
        "policies": [
            {
                **at,
                "name": "tillwatch-partitions",
                "pattern": f"^{queues}$",
                "apply-to": "queues",
                "priority": 1,
                "definition": {"max-length-bytes": PARTITION_BYTES},
            },
            {
                **at,
                "name": "tillwatch-answers",
                "pattern": "^mqtt-subscription-",
                "apply-to": "queues",
                "priority": 1,
                "definition": {"max-length": MAX_ANSWERS},
            },
        ],
        "exchanges": [
            {
                **at,
                "name": name,
                "type": kind,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
            for name, kind in EXCHANGES.items()
        ],
        "queues": [
            {**at, "name": q, "durable": True, "auto_delete": False, "arguments": dict(QUEUE_ARGUMENTS)} for q in QUEUES
        ],
        "bindings": [
            {
                **at,
                "source": MQTT_EXCHANGE,
                "destination": PART,
                "destination_type": "exchange",
                "routing_key": BATCH_KEYS,
                "arguments": {},
            },
            {**to_queue, "source": MQTT_EXCHANGE, "destination": LIFE_QUEUE, "routing_key": LIFE_KEYS},
            *({**to_queue, "source": PART, "destination": q, "routing_key": "1"} for q in PARTITION_QUEUES),
        ],
    }


def configuration(
    folder: Path, vhost: str, access: str, ports: tuple[int, int], listen: str = "", *, alone: bool = False
) -> str:
    """The rabbitmq.conf. access: https address of a collector, as this node reaches it; ports: of AMQP and MQTT, both with TLS; alone: a cluster of one node,
    which takes the definitions by itself. A larger one must be told once all nodes are there: the first of them alone would make queues without a copy.
    """
    where = f"{listen}:" if listen else ""
    amqp, mqtt = (f"listeners.ssl.1 = {where}{ports[0]}", f"mqtt.listeners.ssl.1 = {where}{ports[1]}")
    return f"""\
# Written by `tillwatch-collector broker-config rabbitmq`, which writes it anew: keep changes of your own in conf.d.
listeners.tcp = none
{amqp}
mqtt.listeners.tcp = none
{mqtt}

# The name of a terminal is the CN of its certificate; who shows none does not come in. TLS itself stands in advanced.config.
ssl_cert_login_from = common_name
mqtt.ssl_cert_login = true
mqtt.allow_anonymous = false
mqtt.vhost = {vhost}
mqtt.exchange = {MQTT_EXCHANGE}

# The collectors are users of the broker, terminals are what a collector says of them.
auth_backends.1 = internal
auth_backends.2 = cache
auth_cache.cached_backend = http
auth_cache.cache_ttl = {AUTH_CACHE_MS}
auth_http.http_method = post
auth_http.user_path = {access}/access/user
auth_http.vhost_path = {access}/access/vhost
auth_http.resource_path = {access}/access/resource
auth_http.topic_path = {access}/access/topic
{f"{chr(10)}load_definitions = {folder / DEFINITIONS}{chr(10)}" if alone else ""}"""


def advanced(folder: Path) -> str:
    """TLS of both listeners and towards the collector. It stands here and not in rabbitmq.conf, since the list of revoked certificates has no setting there,
    and what stands in both is taken from here alone.
    """
    return f"""\
%% Written by `tillwatch-collector broker-config rabbitmq`.
[
 {{rabbit, [
   {{ssl_options, [
     {{cacertfile, "{folder / CA}"}},
     {{certfile, "{folder / SERVER}"}},
     {{keyfile, "{folder / SERVER}"}},
     {{verify, verify_peer}},
     {{fail_if_no_peer_cert, true}},
     {{versions, ['tlsv1.3', 'tlsv1.2']}},
     %% Read at each handshake: a new list works at once. Connections that stand are not closed by it, but collectors take nothing of a
     %% revoked terminal.
     {{crl_check, peer}},
     {{crl_cache, {{ssl_crl_hash_dir, {{internal, [{{dir, "{folder / CRL_DIR}"}}]}}}}}}
   ]}}
 ]}},
 {{rabbitmq_auth_backend_http, [
   {{ssl_options, [{{cacertfile, "{folder / CA}"}}, {{verify, verify_peer}}, {{depth, 2}}]}}
 ]}}
].
"""


def plugins() -> str:
    return f"[{','.join(_PLUGINS)}].\n"


def crl_name(authority: Authority) -> str:
    """Under which Erlang, as OpenSSL, looks for the list of an authority in a folder: the hash of its name as X509_NAME_hash makes it, and `.r0`. The
    authority's name is one CN (trust/authority.py).
    """
    (name,) = authority.certificate.subject
    # Canonical: the set of its one pair, the text in UTF-8, lower case, spaces single.
    text = " ".join(str(name.value).lower().split()).encode()
    oid = b"\x06\x03\x55\x04\x03"
    pair = oid + _der(0x0C, text)
    digest = hashlib.sha1(_der(0x31, _der(0x30, pair)), usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}.r0"


def write_rabbitmq(
    folder: Path,
    authority: Authority,
    revoked: Mapping[str, int],
    *,
    hosts: Sequence[str],
    vhost: str,
    broker_user: str,
    access: str,
    ports: tuple[int, int],
    listen: str = "",
    alone: bool = False,
    user: str = "rabbitmq",
) -> Path:
    """Write all of it into `folder`; the path of rabbitmq.conf. Run again it renews what is old and keeps the collectors' password. Raises OSError.

    hosts: names under which terminals and collectors reach the nodes; user: whom the broker runs as, who then owns the files.
    """
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    (folder / CRL_DIR).mkdir(mode=0o750, exist_ok=True)
    authority.server_file(hosts, path=folder / SERVER)
    password = folder / PASSWORD
    if not password.exists():
        _private(password, secrets.token_urlsafe(24).encode() + b"\n")
    said = definitions(vhost, broker_user, password.read_text().strip())
    publish(folder / CA, authority.ca_file.read_bytes())
    publish(folder / CRL_DIR / crl_name(authority), authority.crl(revoked))
    publish(folder / PLUGINS, plugins().encode())
    publish(folder / ADVANCED, advanced(folder).encode())
    publish(folder / CONFIG, configuration(folder, vhost, access, ports, listen, alone=alone).encode())
    _private(folder / DEFINITIONS, (json.dumps(said, indent=1) + "\n").encode())
    if os.name == "posix" and os.geteuid() == 0:
        for path in (folder, *(each for each in folder.rglob("*") if each != password)):
            shutil.chown(path, user)
    return folder / CONFIG


def _hashed(password: str) -> dict[str, str]:
    """As rabbit_password_hashing_sha256 keeps it: four bytes of salt, and SHA-256 over them and the password, which is random itself."""
    salt = hashlib.sha256(password.encode()).digest()[
        :4
    ]  # the same at each writing, so that a change of the file is a change
    digest = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    return {"password_hash": digest, "hashing_algorithm": "rabbit_password_hashing_sha256"}


def _private(path: Path, content: bytes) -> None:
    making = path.with_name(f"{path.name}.new")
    making.unlink(missing_ok=True)
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    making.replace(path)


def _der(tag: int, content: bytes) -> bytes:
    assert len(content) < 128, "the authority's name is short"
    return bytes((tag, len(content))) + content
