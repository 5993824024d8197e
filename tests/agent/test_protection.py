import base64

import pytest

from tillwatch.agent.protection import PASSPHRASE, FileMode, ProtectionError, new_passphrase, passphrase_of


class Reversed:
    """A Protector that one can follow by eye."""

    encrypts = True

    def protect(self, secret, use):
        return use.encode() + b":" + secret[::-1]

    def reveal(self, kept, use):
        name, _, secret = kept.partition(b":")
        if name.decode() != use:
            raise ProtectionError("of another use")
        return secret[::-1]

    def is_protected(self, kept):
        return b":" in kept


def test_on_posix_the_file_is_the_secret():
    mode = FileMode()
    assert mode.reveal(mode.protect(b"secret", "seed"), "seed") == b"secret"
    assert not mode.encrypts
    assert mode.is_protected(b"anything")


def test_a_pass_phrase_stands_before_the_key(tmp_path):
    phrase, line = new_passphrase(Reversed())
    assert new_passphrase(Reversed())[0] != phrase
    assert phrase not in line
    assert phrase not in base64.b64decode(line.removeprefix(PASSPHRASE))
    (tmp_path / "tls.key").write_bytes(line + b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert passphrase_of(tmp_path / "tls.key", Reversed()) == phrase


def test_a_key_without_one_is_open(tmp_path):
    (tmp_path / "tls.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    assert passphrase_of(tmp_path / "tls.key", Reversed()) is None


def test_where_nothing_is_encrypted_the_file_is_not_even_read(tmp_path):
    assert passphrase_of(tmp_path / "not there", FileMode()) is None


def test_a_damaged_line_says_what_to_do(tmp_path):
    (tmp_path / "tls.key").write_bytes(PASSPHRASE + b"!!\n")
    with pytest.raises(ProtectionError, match="damaged; enrol again"):
        passphrase_of(tmp_path / "tls.key", Reversed())
