"""TLS certificates of simulated terminals, from the collector's own authority, as an enrolment would give them. One TLS key serves all of them: it is the
name in the certificate that the broker goes by, and making a key for each takes longer than the run.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tillwatch.collector.trust.authority import Authority

CA, KEY = "ca.pem", "key.pem"


def write_certificates(folder: Path, authority: Authority, names: Iterable[str]) -> None:
    """Into `folder`, which is there and for this user alone. Raises OSError."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(folder / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
    (folder / CA).write_bytes(authority.ca_file.read_bytes())
    for name in names:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        certificate = authority.issue(request, name, x509.random_serial_number())
        (folder / f"{name}.pem").write_text(certificate)


def context_of(folder: Path, name: str) -> ssl.SSLContext:
    """Believes the collector's authority alone and shows the certificate of this terminal. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(folder / CA)
    context.load_cert_chain(folder / f"{name}.pem", folder / KEY)
    return context
