"""Keys: what a key is called, and what is none."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.agent.frames import KEY
from tillwatch.agent.keys import VerifyKey


def test_key_ids_and_public_keys() -> None:
    assert VerifyKey(KEY.public).key_id == KEY.key_id == sha256(KEY.public).digest()[:8]
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        VerifyKey(KEY.public[1:])
