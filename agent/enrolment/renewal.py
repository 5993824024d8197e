"""The running agent's half of a key rotation: it starts the command when the key is old, and takes up what the command has prepared. The old
key's last words are written down before the new one seals, so that a crash at any point leaves one of the two, and a statement that is true.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import random
import sys
from collections.abc import Callable
from pathlib import Path

from tillwatch.agent import clock, identity
from tillwatch.agent.identity import Identity
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.transition import Condition
from tillwatch.agent.wire import SigningKey, seal_rotation

log = logging.getLogger(__name__)

ROTATE_AFTER = 180 * 86_400
"""Seconds that a key signs (delivery.md 6.8)."""
RETRY = 86_400
"""Seconds, at most and at random, until the next try of an automatic rotation: a fleet enrolled in one night does not rotate in one."""
COMMAND_S = 300.0


class Renewal:
    """taken_up: called with the new identity, before anything is sealed with its key."""

    def __init__(
        self, who: Identity, spool: Spool, arguments: tuple[str, ...], taken_up: Callable[[Identity], None]
    ) -> None:
        self._who, self._spool, self._arguments, self._taken_up = who, spool, arguments, taken_up
        self._stuck = Condition(log, "the new key is in use")
        self._failing = Condition(log, "the key was rotated")

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(random.uniform(0, min(RETRY, max(_left(self._who), 60))))  # noqa: S311 - spreads load
        while True:
            if _left(self._who) <= 0:
                await self._rotate()
            await asyncio.sleep(random.uniform(RETRY / 2, RETRY))  # noqa: S311 - spreads load

    def look(self) -> None:
        """Whenever the agent is awake anyway: take up a prepared identity that waits. One stat(); a timer of its own would wake the machine for it."""
        if waiting(self._who.state_dir):
            self.take_up()

    def take_up(self) -> None:
        try:
            who = take_up(self._who, self._spool)
        except (OSError, SpoolFullError, identity.IdentityError) as error:
            self._stuck.begins(f"the new key cannot be taken up: {error}; the old one signs meanwhile")
            return
        self._stuck.ends()
        if who.key.public != self._who.key.public:
            log.info("key %s signs from now on, after %s", who.key.key_id.hex(), self._who.key.key_id.hex())
        self._who = who
        self._taken_up(who)

    async def _rotate(self) -> None:
        """A process of its own, since X.509 stays out of this one. It ends well only once its new key was taken up by a look."""
        command = (sys.executable, "-P", "-m", "tillwatch.agent", "rotate", *self._arguments)
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                _, said = await child.communicate()
        except BaseException as error:
            child.kill()
            await child.wait()
            if not isinstance(error, TimeoutError):
                raise
            said = b"no end"
        if child.returncode:
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            self._failing.begins(f"the key is due for rotation, which fails: {' '.join(last)}; it goes on being used")
        else:
            self._failing.ends()


def _left(who: Identity) -> float:
    return ROTATE_AFTER - (clock.now() - who.since) / 1e9


def waiting(state_dir: Path) -> bool:
    return (state_dir / identity.NEXT).exists()


def take_up(who: Identity, spool: Spool) -> Identity:
    """Make the prepared identity this terminal's own. The caller holds the state directory and has nothing half sealed.

    Raises OSError, SpoolFullError or IdentityError, and then `who` is still who signs. A file that cannot be used is removed.
    """
    file = who.state_dir / identity.NEXT
    try:
        prepared = json.loads(identity.read_private(file))
        seed = base64.b64decode(prepared["seed"], validate=True)
        new = SigningKey(seed)
        files = {
            name: prepared["files"][name].encode() for name in (identity.TLS_KEY, identity.TLS_CERT, identity.CA_CERT)
        }
        kept = dict(prepared["identity"])
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        file.unlink(missing_ok=True)
        raise identity.IdentityError(f"{file}: damaged and removed; rotate again: tillwatch-agent rotate") from None
    if new.public != who.key.public:
        statement = seal_rotation(
            who.key,
            new,
            terminal=who.terminal,
            epoch=spool.epoch,
            seq=spool.next_seq - 1,
            n=spool.lives,
            at=clock.now(),
        )
        identity.keep_rotation(who.state_dir, statement)
    identity.save(who.state_dir, kept, files)
    # The seed decides which key signs, so it comes last: whoever starts before finds the old one and begins anew.
    identity.write_private(who.state_dir / identity.SEED, seed)
    spool.change_key(new.public)
    file.unlink()
    return identity.load(who.state_dir)


def prepare(who: Identity, seed: bytes, kept: dict[str, object], files: dict[str, bytes]) -> None:
    """Leave a new identity for the agent to take up. files: TLS key, certificate and CA in PEM, by their names."""
    texts = {name: content.decode() for name, content in files.items()}
    prepared = {"seed": base64.b64encode(seed).decode(), "files": texts, "identity": kept}
    identity.write_private(who.state_dir / identity.NEXT, json.dumps(prepared).encode())
