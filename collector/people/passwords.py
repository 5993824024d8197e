"""Passwords: kept as argon2id, and refused where somebody would guess them. A hash of other parameters than today's still holds and says that it
wants to be made anew.
"""

from __future__ import annotations

import os
import re
import unicodedata
from base64 import b64encode
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

MIN_LENGTH = 12
"""Characters. Below it a stolen hash is found within days on rented hardware, whatever the kind of characters."""
MAX_LENGTH = 256
"""Characters: a long sentence fits; a megabyte to hash would be an attack."""

TIME_COST, MEMORY_KIB, LANES = 3, 64 * 1024, 4
"""RFC 9106, section 4, the choice for where memory is shared: 64 MiB make a guess dear on a graphics card, and two at once fit beside the pages.
Some 100 ms on two cores.
"""

LEAST_OWN = 5
"""Characters that must be left of a password when names, common words and sequences are taken out: with fewer it is made of what lists hold."""

_SEQUENCES = (
    "abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm",
    "1q2w3e4r5t6y7u8i9o0p", "qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
)  # fmt: skip
_LONGEST = max(len(way) for way in _SEQUENCES)
_COMMON = (
    "password", "passwort", "passwd", "passphrase", "secret", "letmein", "welcome", "changeme", "administrator", "admin", "operator", "supervisor",
    "technician", "auditor", "viewer", "manager", "service", "support", "default", "system", "server", "computer", "internet", "network", "security",
    "monitoring", "tillwatch", "terminal", "branch", "bank", "banking", "money", "cash", "login", "signin", "access", "temp", "test", "testing", "demo",
    "guest", "user", "root", "iloveyou", "love", "princess", "sunshine", "monkey", "dragon", "football", "baseball", "basketball", "master", "superman",
    "batman", "shadow", "michael", "jordan", "michelle", "jessica", "charlie", "daniel", "thomas", "andrew", "ashley", "hello", "freedom", "whatever",
    "trustno1", "starwars", "pokemon", "naruto", "cheese", "computer", "summer", "winter", "spring", "autumn", "january", "february", "march", "april",
    "june", "july", "august", "september", "october", "november", "december", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
    "sunday", "correcthorsebatterystaple", "correct", "horse", "battery", "staple", "china", "beijing", "shanghai", "woaini", "aini", "mima", "nihao",
    "guanliyuan", "yinhang", "zhongguo", "the", "and", "my", "new", "old", "for", "is", "please", "company", "office", "work", "home",
)  # fmt: skip
"""What lists of stolen passwords begin with, as the words that they are made of; of this trade, too."""

_LEET = str.maketrans("@4301!$57", "aaeoiisst")


class Weak(StrEnum):
    """Why a new password is refused."""

    SHORT = "short"
    LONG = "long"
    NAME = "name"
    COMMON = "common"
    SAME = "same"


def weakness(password: str, *names: str) -> Weak | None:
    """Why nobody should take this one, or None. names: of whose it is, in any form."""
    if len(password) < MIN_LENGTH:
        return Weak.SHORT
    if len(password) > MAX_LENGTH:
        return Weak.LONG
    folded = unicodedata.normalize("NFKC", password).casefold()
    own = [part for name in names for part in re.split(r"[\W_]+", name.casefold()) if len(part) > 2]
    without = _without(folded, own)
    if without != folded and _rest(without) < LEAST_OWN:
        return Weak.NAME
    if min(_rest(folded), _rest(folded.translate(_LEET))) < LEAST_OWN:
        return Weak.COMMON
    return None


def _without(text: str, words: list[str]) -> str:
    """A space stands for what is taken out: what is left and right of it must not make another word."""
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, " ")
    return text


def _rest(text: str) -> int:
    """How many characters, each counted once, are left when common words and sequences are out."""
    text = _without(text, list(_COMMON))
    left, place = set(), 0
    while place < len(text):
        length = _run(text[place:])
        if length == 1 and text[place].isalnum():
            left.add(text[place])
        place += length
    return len(left)


def _run(text: str) -> int:
    """How many characters from the beginning on are one key over and over, or lie one after the other on a keyboard or in the alphabet; else 1."""
    length = 1
    for size in range(3, min(len(text), _LONGEST) + 1):
        part = text[:size]
        if len(set(part)) > 1 and not any(part in way or part[::-1] in way for way in _SEQUENCES):
            break
        length = size
    return length


class Passwords:
    """Hashes and verifies. Each takes its time and its memory: never call it on the event loop."""

    def __init__(self, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB, lanes: int = LANES) -> None:
        self._hasher = PasswordHasher(time_cost, memory_kib, lanes)
        # Drawn, not reckoned, which takes as long as a sign-in at each start: to verify against it costs the same, and no password has it.
        salt, digest = (
            b64encode(os.urandom(size)).decode().rstrip("=") for size in (self._hasher.salt_len, self._hasher.hash_len)
        )
        self._nobody = f"$argon2id$v={ARGON2_VERSION}$m={memory_kib},t={time_cost},p={lanes}${salt}${digest}"

    def hash(self, password: str) -> str:
        """In PHC form: the parameters stand in it."""
        return self._hasher.hash(unicodedata.normalize("NFKC", password))

    def verify(self, held: str, password: str) -> bool:
        """held: of hash(), or empty for nobody, which is never true and takes as long."""
        said = unicodedata.normalize("NFKC", password[:MAX_LENGTH])
        try:
            return self._hasher.verify(held or self._nobody, said) and bool(held)
        except (VerificationError, InvalidHashError):
            return False

    def aged(self, held: str) -> bool:
        """Whether it was made with other parameters: make it anew while the password is known."""
        return self._hasher.check_needs_rehash(held)
