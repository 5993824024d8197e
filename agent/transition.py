"""What goes wrong is told twice: when it begins and when it ends, however often it is met in between."""

from __future__ import annotations

import logging


class Condition:
    """Something that may be wrong for a while. `ended`: the log line for its end."""

    def __init__(self, log: logging.Logger, ended: str) -> None:
        self._log, self._ended = log, ended
        self.text = ""
        """What is wrong now; empty while nothing is."""

    def begins(self, text: str) -> bool:
        """True if this is the transition."""
        begun = not self.text
        if begun:
            self._log.warning("%s", text)
        self.text = text
        return begun

    def ends(self) -> bool:
        ended = bool(self.text)
        if ended:
            self._log.info("%s", self._ended)
        self.text = ""
        return ended
