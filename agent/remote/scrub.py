"""Takes out of texts what must not leave a terminal: the secrets that it was configured with, whatever looks like a secret, card numbers, private
keys, and mail addresses. Pure. A log line is other people's text: an exception may repeat what somebody typed in the wrong place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from typing import Any

from tillwatch.agent.card_numbers import MAX_PAN, MIN_PAN, luhn

REMOVED = "[removed]"
WELL_KNOWN = frozenset({"public", "private"})
"""The default communities of half the devices there are: words, not secrets, and they would be torn out of every text."""
MIN_SECRET = 4
"""Characters of a secret that is looked for inside other texts; a shorter one would be found everywhere."""

_DIGITS = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,}")
_TRACK = re.compile(r"[%;][A-Za-z]?\d{13,19}[\^=][^?\s]{0,100}\??")
_KEY = re.compile(r"-----BEGIN [A-Z ]{0,40}-----.*?(?:-----END [A-Z ]{0,40}-----|\Z)", re.DOTALL)
_NAMED = re.compile(
    r"(?i)\b(pass(?:word|wd|phrase)?|secret|token|api[_-]?key|community|authorization|pin)\b(\s*[=:]\s*|\s+is\s+)"
    # The doctor's own "with a new token: tillwatch-agent enrol" names none.
    r"(?!tillwatch-)(?:(?:basic|bearer)\s+)?(\"[^\"]*\"|'[^']*'|[^\s,;]+)"
)
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@]+@")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


class Scrubber:
    """secrets: texts that must not stay wherever they stand. removed: what was taken out, by kind, so far."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        wanted = {secret for secret in secrets if len(secret) >= MIN_SECRET and secret.casefold() not in WELL_KNOWN}
        self._secrets = sorted(wanted, key=len, reverse=True)
        self.removed: Counter[str] = Counter()

    def text(self, text: str) -> str:
        for secret in self._secrets:
            self.removed["secrets"] += text.count(secret)
            text = text.replace(secret, REMOVED)
        for pattern, instead, what in (
            (_KEY, REMOVED, "keys"),
            (_TRACK, REMOVED, "card data"),
            (_NAMED, rf"\1\2{REMOVED}", "secrets"),
            (_USERINFO, rf"\1{REMOVED}@", "secrets"),
            (_MAIL, REMOVED, "mail addresses"),
        ):
            text, found = pattern.subn(instead, text)
            self.removed[what] += found
        return _DIGITS.sub(self._number, text)

    def anything(self, value: Any) -> Any:
        """The same of every text in what JSON can say, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.anything(each) for key, each in value.items()}
        return [self.anything(each) for each in value] if isinstance(value, list | tuple) else value

    def _number(self, found: re.Match[str]) -> str:
        """A run of digits goes where any card number may stand in it: cut off too much is better than one left."""
        digits = re.sub(r"\D", "", found[0])
        lengths = range(MIN_PAN, min(MAX_PAN, len(digits)) + 1)
        if any(luhn(digits[at : at + n]) for n in lengths for at in range(len(digits) - n + 1)):
            self.removed["card numbers"] += 1
            return REMOVED
        return found[0]
