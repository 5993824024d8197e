"""What a broker outside the collector needs to be told, written as files: TLS with certificates of this authority only, each terminal its own
topics and nothing else, every queue bounded. `tillwatch-collector broker-config` writes them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tillwatch.agent.wire import MAX_PAYLOAD, TOPIC_ROOT
from tillwatch.collector.trust.authority import COLLECTOR_NAME, DOCTOR_NAME, Authority

MAX_CONNECTIONS = 10_000
"""Of one mosquitto: it was measured with 5,000 clients at 15 MiB. Raise LimitNOFILE of its service above it."""
MAX_PACKET = MAX_PAYLOAD + 256
"""Bytes: the largest sealed batch with its topic and packet id."""
MAX_INFLIGHT = 256
"""Messages sent to the collector before it has answered the first: one group of its pipeline."""
MAX_QUEUED = 10_000
"""Messages that wait for the collector; terminals send again what is dropped beyond it."""
MAX_QUEUED_BYTES = 64 * 1024 * 1024
CONFIG, ACL, CA, SERVER, CRL = "mosquitto.conf", "acl", "ca.pem", "server.pem", "revoked.pem"


def acl() -> str:
    """Terminals first, by pattern: %u is the CN of the certificate."""
    up, down = ("batch", "life"), ("ack", "command", "bundle")
    lines = ["# Each terminal speaks and hears on its own topics only; %u is the CN of its certificate."]
    lines += [f"pattern write {TOPIC_ROOT}/%u/{kind}" for kind in up]
    lines += [f"pattern read {TOPIC_ROOT}/%u/{kind}" for kind in down]
    lines += ["", f"user {COLLECTOR_NAME}"]
    lines += [f"topic read {TOPIC_ROOT}/+/{kind}" for kind in up]
    lines += [f"topic write {TOPIC_ROOT}/+/{kind}" for kind in down]
    lines += ["", "# tillwatch-collector doctor, beside the running collector.", f"user {DOCTOR_NAME}"]
    lines += [f"topic read {TOPIC_ROOT}/+/{kind}" for kind in up]
    return "\n".join(lines) + "\n"


def configuration(folder: Path, port: int, listen: str, user: str) -> str:
    """The whole mosquitto.conf: for `mosquitto -c`, or in place of /etc/mosquitto/mosquitto.conf."""
    return f"""\
# Written by `tillwatch-collector broker-config mosquitto`, which writes it anew: keep changes of your own elsewhere.
user {user}
per_listener_settings false

listener {port}{f" {listen}" if listen else ""}
cafile {folder / CA}
certfile {folder / SERVER}
keyfile {folder / SERVER}
# The collector's list of revoked certificates. SIGHUP (systemctl reload mosquitto) reads it again; connections that stand are not
# closed by that, but the collector takes no message of a revoked terminal.
crlfile {folder / CRL}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
# The client id is the certificate's name, too: nobody pushes another one out.
use_username_as_clientid true
allow_anonymous false
acl_file {folder / ACL}
max_connections {MAX_CONNECTIONS}

# A terminal keeps every batch until the collector has stored it: the broker is a wire. What it would keep on disk it may lose
# at a crash all the same.
persistence false
retain_available false
queue_qos0_messages false
max_packet_size {MAX_PACKET}
message_size_limit {MAX_PAYLOAD}
max_inflight_messages {MAX_INFLIGHT}
max_queued_messages {MAX_QUEUED}
max_queued_bytes {MAX_QUEUED_BYTES}

log_dest stderr
"""


def write_mosquitto(
    folder: Path,
    authority: Authority,
    revoked: Mapping[str, int],
    *,
    hosts: Sequence[str],
    port: int,
    listen: str = "",
    user: str = "mosquitto",
) -> Path:
    """Write all of it into `folder`; the path of mosquitto.conf. Run again it renews what is old. Raises OSError.

    hosts: names under which terminals and the collector reach the broker; listen: address, empty for all; user: whom mosquitto becomes when
    root starts it, and who then owns the files.
    """
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    authority.server_file(hosts, path=folder / SERVER)
    publish(folder / CA, authority.ca_file.read_bytes())
    publish(folder / CRL, authority.crl(revoked))
    publish(folder / ACL, acl().encode())
    publish(folder / CONFIG, configuration(folder, port, listen, user).encode())
    if os.name == "posix" and os.geteuid() == 0:
        for path in (folder, *(folder / name for name in (CONFIG, ACL, CA, SERVER, CRL))):
            shutil.chown(path, user)
    return folder / CONFIG


def publish(path: Path, content: bytes) -> None:
    """Replace a file that others may read, whole or not at all, for the owner of its folder. Raises OSError."""
    descriptor, making = tempfile.mkstemp(prefix=f"{path.name}.new-", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(making).chmod(0o644)
    if os.name == "posix" and os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(making, owner.st_uid, owner.st_gid)
    Path(making).replace(path)
