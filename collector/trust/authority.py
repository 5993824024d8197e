"""The collector's own certificate authority and its ack key: made at first start, kept in one folder that only the collector's user
reads. It vouches for the listeners of this collector and for the terminals that enrolled with it, and for nothing else.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import os
import shutil
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tillwatch.agent.wire import SigningKey, valid_terminal
from tillwatch.collector.trust.binding import binding_message

log = logging.getLogger(__name__)

CA_LIFE = timedelta(days=3653)
SERVER_LIFE = timedelta(days=365)
CLIENT_LIFE = timedelta(days=730)
RENEW_BEFORE = timedelta(days=30)
BACKDATED = timedelta(days=1)
"""A terminal whose clock is behind must still be able to enrol. All that the authority signs begins with the authority itself: what was made
while this machine's clock was years ahead would be good for nobody once it is right.
"""
COLLECTOR_NAME = "tillwatch.collector"
"""CN of the collector's own client certificate. The dot keeps it apart: no terminal id can hold one."""
DOCTOR_NAME = "tillwatch.doctor"
"""CN of the doctor's: where a broker makes the user its client id, one name for both would throw the running collector out."""
MAX_CSR = 8 * 1024
"""Bytes of a PEM request; one with a P-256 key takes about 500."""

_CA = "ca.pem"
_CA_KEY = "ca.key"
_ACK_SEED = "ack.seed"
_SERVER = "server.pem"
_CRL = "revoked.pem"
_CLIENTS = {COLLECTOR_NAME: "collector.pem", DOCTOR_NAME: "doctor.pem"}


@dataclass(frozen=True, slots=True)
class _Purpose:
    usage: x509.ObjectIdentifier
    life: timedelta


_LISTENER = _Purpose(ExtendedKeyUsageOID.SERVER_AUTH, SERVER_LIFE)
_PEER = _Purpose(ExtendedKeyUsageOID.CLIENT_AUTH, CLIENT_LIFE)


class AuthorityError(Exception):
    """The folder of keys cannot be used. The text names the file and the mend."""


class RequestError(Exception):
    """A certificate request that is not honoured, with the reason."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Certificates in PEM and DER, and where the combined key and chain files are. The ack key signs what the collector has stored."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    ack_key: SigningKey

    @property
    def ca_file(self) -> Path:
        return self.folder / _CA

    @property
    def ca_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over the CA certificate in DER: what a token carries and a terminal pins."""
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).digest()

    @property
    def crl_file(self) -> Path:
        return self.folder / _CRL

    def server_file(self, hosts: Sequence[str], now: datetime | None = None, path: Path | None = None) -> Path:
        """Key, certificate and CA in one PEM file for the listeners; made anew when it ends soon or names other hosts. path: another
        place for it, where a broker of its own reads it.
        """
        now = now or datetime.now(UTC)
        path = path or self.folder / _SERVER
        if _current(path, self.certificate, now, hosts):
            return path
        self._write_identity(path, hosts[0][:64], _LISTENER, now, hosts)
        log.info("new server certificate for %s", ", ".join(hosts))
        return path

    def client_file(self, name: str = COLLECTOR_NAME, now: datetime | None = None) -> Path:
        """A key and client certificate of the collector's own, for a broker that runs outside."""
        now = now or datetime.now(UTC)
        path = self.folder / _CLIENTS[name]
        if not _current(path, self.certificate, now, ()):
            self._write_identity(path, name, _PEER, now)
        return path

    def client_context(self, name: str = COLLECTOR_NAME) -> ssl.SSLContext:
        """TLS towards an outside broker: it must hold a certificate of this authority, and is shown the collector's own."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(str(self.client_file(name)))
        return context

    def crl(self, revoked: Mapping[str, int], now: datetime | None = None) -> bytes:
        """The list of revoked certificates in PEM. revoked: serial number in hex -> UTC ns.

        It never ends before the authority does: a broker whose list has ended takes nobody, and who revokes writes a new one at once.
        """
        now = now or datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(self.certificate.not_valid_before_utc)
            .next_update(self.certificate.not_valid_after_utc)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        )
        for serial, at in sorted(revoked.items()):
            one = x509.RevokedCertificateBuilder().serial_number(int(serial, 16))
            builder = builder.add_revoked_certificate(
                one.revocation_date(datetime.fromtimestamp(at // 10**9, UTC)).build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def write_crl(self, revoked: Mapping[str, int]) -> Path:
        """Keep the list beside the authority. Raises OSError."""
        _write_private(self.crl_file, self.crl(revoked))
        return self.crl_file

    def terminal_context(self, hosts: Sequence[str]) -> ssl.SSLContext:
        """TLS for the broker's listener: takes nobody without a client certificate of this authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca_file))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(str(self.server_file(hosts)))
        return context

    def issue(
        self, request: x509.CertificateSigningRequest, terminal: str, serial: int, now: datetime | None = None
    ) -> str:
        """The terminal's client certificate in PEM. Of the request only the public key is taken; open_request() has checked it."""
        now = now or datetime.now(UTC)
        public = request.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        certificate = self._issue(public, terminal, _PEER, now, serial=serial)
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def bind(self, action: str, terminal: str, public: bytes, at: int) -> bytes:
        """The authority's word that this signing key became the terminal's at this time (UTC ns)."""
        return self.key.sign(binding_message(action, terminal, public, at), ec.ECDSA(hashes.SHA256()))

    def _issue(
        self,
        public: ec.EllipticCurvePublicKey,
        name: str,
        purpose: _Purpose,
        now: datetime,
        *,
        serial: int,
        hosts: Sequence[str] = (),
    ) -> x509.Certificate:
        begins = self.certificate.not_valid_before_utc
        ends = min(max(now, begins) + purpose.life, self.certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(serial)
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose.usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(h) for h in hosts]), critical=False
            )
        return builder.sign(self.key, hashes.SHA256())

    def _write_identity(
        self, path: Path, name: str, purpose: _Purpose, now: datetime, hosts: Sequence[str] = ()
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        certificate = self._issue(key.public_key(), name, purpose, now, serial=serial, hosts=hosts)
        chain = certificate.public_bytes(serialization.Encoding.PEM)
        # One file for key, leaf and CA: it is replaced in one step, so no crash leaves a key beside another's certificate. The CA
        # travels in the handshake, where a terminal finds it by the fingerprint of its token.
        _write_private(path, _key_pem(key) + chain + self.ca_file.read_bytes())


def open_authority(folder: Path, now: datetime | None = None) -> Authority:
    """The authority in `folder`, made there if the folder does not exist. Raises AuthorityError.

    Two processes may do this at once: the folder appears whole, by one rename, and the later one takes what it finds.
    """
    if not folder.exists():
        _create(folder, now or datetime.now(UTC))
    try:
        certificate = x509.load_pem_x509_certificate((folder / _CA).read_bytes())
        key = serialization.load_pem_private_key((folder / _CA_KEY).read_bytes(), None)
        seed = (folder / _ACK_SEED).read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise AuthorityError(
            f"{folder}: cannot read the collector's keys ({error}); run as the collector's user, or restore this folder from "
            "a backup: without it every terminal has to enrol again"
        ) from None
    if (
        not isinstance(key, ec.EllipticCurvePrivateKey)
        or key.public_key() != certificate.public_key()
        or len(seed) != 32
    ):
        raise AuthorityError(
            f"{folder}: {_CA}, {_CA_KEY} and {_ACK_SEED} do not belong together; restore the folder from a backup"
        )
    return Authority(folder, certificate, key, SigningKey(seed))


def open_request(pem: str) -> x509.CertificateSigningRequest:
    """A terminal's request: P-256, signed by the key it asks for, one CN that is a terminal id. Raises RequestError."""
    if len(pem) > MAX_CSR:
        raise RequestError(f"the certificate request is longer than {MAX_CSR} bytes")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        public = request.public_key()
        signed = request.is_signature_valid
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError, InvalidSignature, UnicodeEncodeError):
        raise RequestError("the certificate request cannot be read") from None
    except Exception as error:  # the parser names further types for keys that it does not support
        raise RequestError(f"the certificate request cannot be used: {type(error).__name__}") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise RequestError("the certificate request must carry a P-256 key")
    if not signed:
        raise RequestError("the certificate request is not signed by the key that it carries")
    if len(names) != 1 or not isinstance(names[0].value, str) or not valid_terminal(names[0].value):
        raise RequestError("the certificate request must name one terminal id as its CN")
    return request


def request_terminal(request: x509.CertificateSigningRequest) -> str:
    return str(request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def certificate_ends(path: Path) -> datetime:
    """When the first certificate in a PEM file ends. Raises OSError or ValueError."""
    return _leaf(path).not_valid_after_utc


def certificate_hosts(path: Path) -> list[str]:
    """The names in the first certificate of a PEM file. Raises OSError or ValueError."""
    try:
        named = _leaf(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in named]


def _create(folder: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    # The name tells authorities apart in a browser or a log; two collectors of one bank would share a plain one.
    subject = _name(f"tillwatch authority {identifier.digest.hex()[:8]}")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f"{folder.name}.new-", dir=folder.parent))
        _write_private(making / _CA_KEY, _key_pem(key))
        _write_private(making / _ACK_SEED, os.urandom(32))
        _write_private(making / _CA, certificate.public_bytes(serialization.Encoding.PEM))
        try:
            making.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(making)
    except OSError as error:
        raise AuthorityError(
            f"{folder}: cannot make the collector's keys here: {error.strerror}; make {folder.parent} writable for the "
            "collector's user, or set data_dir in [collector]"
        ) from None


def _current(path: Path, issuer: x509.Certificate, now: datetime, hosts: Sequence[str]) -> bool:
    try:
        leaf = _leaf(path)
        leaf.verify_directly_issued_by(issuer)
        named = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value if hosts else ()
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    # The authority's own end bounds every certificate: then making a new one gains nothing.
    soon = leaf.not_valid_after_utc - now < RENEW_BEFORE and leaf.not_valid_after_utc < issuer.not_valid_after_utc
    return not soon and list(named) == [_alternative(host) for host in hosts]


def _leaf(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def _write_private(path: Path, content: bytes) -> None:
    descriptor, making = tempfile.mkstemp(prefix=f"{path.name}.new-", dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(making).replace(path)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
