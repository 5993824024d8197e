"""The collector's certificates, as ssl and openssl see them."""

from __future__ import annotations

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from tillwatch.collector.trust.authority import (
    AuthorityError,
    RequestError,
    certificate_ends,
    open_authority,
    open_request,
    request_terminal,
)

HOSTS = ("tills.bank.example", "10.1.2.3", "localhost")


def csr(name: str = "till-1", key=None, *, algorithm=hashes.SHA256(), more=()) -> str:  # noqa: B008 - a constant
    names = [x509.NameAttribute(NameOID.COMMON_NAME, one) for one in (name, *more)]
    key = key or ec.generate_private_key(ec.SECP256R1())
    built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, algorithm)
    return built.public_bytes(serialization.Encoding.PEM).decode()


def openssl(*arguments: object) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_openssl_accepts_the_chain_for_its_purpose_only(tmp_path):
    authority = open_authority(tmp_path / "a")
    server = authority.server_file(HOSTS)
    terminal = tmp_path / "terminal.pem"
    terminal.write_text(authority.issue(open_request(csr()), "till-1", x509.random_serial_number()))
    strict = ("verify", "-x509_strict", "-CAfile", authority.ca_file)
    assert openssl(*strict, "-purpose", "sslserver", "-verify_hostname", HOSTS[0], server).endswith("OK\n")
    assert openssl(*strict, "-purpose", "sslserver", "-verify_ip", HOSTS[1], server).endswith("OK\n")
    assert "mismatch" in openssl(*strict, "-verify_hostname", "other.example", server)
    assert openssl(*strict, "-purpose", "sslclient", terminal).endswith("OK\n")
    assert "purpose" in openssl(*strict, "-purpose", "sslclient", server)
    assert "purpose" in openssl(*strict, "-purpose", "sslserver", terminal)
    text = openssl("x509", "-in", terminal, "-noout", "-subject", "-ext", "basicConstraints,keyUsage")
    assert "CN = till-1" in text
    assert "CA:FALSE" in text
    assert "pathlen:0" in openssl("x509", "-in", authority.ca_file, "-noout", "-ext", "basicConstraints")


def test_only_name_and_key_of_a_request_are_taken(tmp_path):
    authority = open_authority(tmp_path / "a")
    key = ec.generate_private_key(ec.SECP256R1())
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, "till-1"),
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Head office"),
                ]
            )
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("tills.bank.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    request = open_request(greedy.public_bytes(serialization.Encoding.PEM).decode())
    issued = x509.load_pem_x509_certificate(authority.issue(request, "till-1", 77).encode())
    assert issued.subject.rfc4514_string() == "CN=till-1"
    assert issued.public_key() == key.public_key()
    assert issued.serial_number == 77
    assert issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    with pytest.raises(x509.ExtensionNotFound):
        issued.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        ("", "cannot be read"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "cannot be read"),
        ("x" * 9000, "longer than"),
        ("\ud800", "cannot be read"),
        (csr(key=rsa.generate_private_key(65537, 2048)), "P-256"),
        (csr(key=ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (csr(key=ed25519.Ed25519PrivateKey.generate(), algorithm=None), "P-256"),
        (csr("till/1"), "one terminal id"),
        (csr("tillwatch.collector"), "one terminal id"),
        (csr("till-1", more=("till-2",)), "one terminal id"),
    ],
)
def test_requests_that_are_refused(pem, reason):
    with pytest.raises(RequestError, match=reason):
        open_request(pem)


def test_a_request_for_somebody_elses_key_is_refused():
    good = x509.load_pem_x509_csr(csr().encode())
    der = bytearray(good.public_bytes(serialization.Encoding.DER))
    place = der.index(b"till-1")
    der[place : place + 6] = b"till-2"
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(RequestError, match="not signed by the key"):
        open_request(forged)
    assert request_terminal(open_request(csr("till_9"))) == "till_9"


def test_keys_are_the_collectors_own_and_stay(tmp_path):
    first = open_authority(tmp_path / "a")
    first.server_file(HOSTS)
    first.client_file()
    for path in (tmp_path / "a").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    again = open_authority(tmp_path / "a")
    assert again.fingerprint == first.fingerprint
    assert again.ack_key.public == first.ack_key.public
    other = open_authority(tmp_path / "b")
    assert other.fingerprint != first.fingerprint
    assert other.certificate.subject != first.certificate.subject
    assert other.ack_key.public != first.ack_key.public


def test_two_first_starts_at_once_agree(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: open_authority(tmp_path / "data" / "a").fingerprint, range(16)))
    assert len(set(made)) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["a"]


def test_the_server_certificate_is_renewed_when_it_must(tmp_path):
    now = datetime.now(UTC)
    authority = open_authority(tmp_path / "a", now)
    path = authority.server_file(HOSTS, now)
    first = path.read_bytes()
    assert authority.server_file(HOSTS, now + timedelta(days=334)).read_bytes() == first
    renewed = authority.server_file(HOSTS, now + timedelta(days=336)).read_bytes()
    assert renewed != first
    assert certificate_ends(path) > now + timedelta(days=690)
    assert authority.server_file((*HOSTS, "127.0.0.1"), now + timedelta(days=337)).read_bytes() != renewed
    path.write_bytes(open_authority(tmp_path / "b").server_file(HOSTS).read_bytes())
    authority.server_file(HOSTS)
    assert openssl("verify", "-CAfile", authority.ca_file, path).endswith("OK\n")
    path.write_text("rubbish")
    authority.server_file(HOSTS)
    assert openssl("verify", "-CAfile", authority.ca_file, path).endswith("OK\n")


def test_no_certificate_outlives_the_authority(tmp_path):
    now = datetime.now(UTC)
    authority = open_authority(tmp_path / "a", now)
    late = now + timedelta(days=3650)
    path = authority.server_file(HOSTS, late)
    assert certificate_ends(path) == authority.certificate.not_valid_after_utc
    written = path.read_bytes()
    assert authority.server_file(HOSTS, late).read_bytes() == written


@pytest.mark.parametrize("off_days", [-4000, 400, 3000, 11000])
def test_what_is_made_while_the_clock_is_wrong_serves_when_it_is_right_again(tmp_path, off_days):
    """Nobody is to be locked out for the years by which it was wrong."""
    authority = open_authority(tmp_path / "a")
    authority.server_file(HOSTS)
    wrong = datetime.now(UTC) + timedelta(days=off_days)
    authority.server_file(HOSTS, wrong)
    client = authority.client_file(now=wrong)
    crl, terminal = tmp_path / "crl.pem", tmp_path / "terminal.pem"
    terminal.write_text(authority.issue(open_request(csr()), "till-1", x509.random_serial_number(), wrong))
    crl.write_bytes(authority.crl({}, wrong))
    for certificate in (authority.server_file(HOSTS), client, terminal):
        said = openssl("verify", "-crl_check", "-CRLfile", crl, "-CAfile", authority.ca_file, certificate)
        assert said.endswith("OK\n"), said


@pytest.mark.parametrize("missing", ["ca.pem", "ca.key", "ack.seed"])
def test_lost_keys_are_told_with_the_mend(tmp_path, missing):
    open_authority(tmp_path / "a")
    (tmp_path / "a" / missing).unlink()
    with pytest.raises(AuthorityError, match="restore this folder from a backup"):
        open_authority(tmp_path / "a")


def test_keys_that_do_not_belong_together(tmp_path):
    open_authority(tmp_path / "a")
    open_authority(tmp_path / "b")
    (tmp_path / "b" / "ca.key").rename(tmp_path / "a" / "ca.key")
    with pytest.raises(AuthorityError, match="do not belong together"):
        open_authority(tmp_path / "a")


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AuthorityError, match=r"set data_dir in \[collector\]"):
        open_authority(tmp_path / "file" / "authority")
