"""What the doctor says of this machine itself: whether it can enrol by its serial number, and whether it is the one that was enrolled."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tillwatch.agent.enrolment.claim import read_token
from tillwatch.agent.enrolment.enrol import EnrolError
from tillwatch.agent.enrolment.first_boot import folder_of, token_file
from tillwatch.agent.enrolment.machine import OVERRIDE, Machine, here, serial_of
from tillwatch.agent.enrolment.serials import SerialError
from tillwatch.agent.identity import Identity
from tillwatch.agent.settings import Config

Said = tuple[str, str, str, str]
"""(check, result, text, mend) of a finding."""


def of_image(settings: Config) -> Iterator[Said]:
    """Of a machine without an identity that has an image's token."""
    file = token_file(settings)
    if not file.exists():
        return
    try:
        token = read_token(file)
    except EnrolError as error:
        yield "image token", "fail", str(error), "copy it into the image again: tillwatch-collector enrol-token --image"
        return
    yield "image token", "ok", f"{token.image}, for the collector at {token.host}:{token.port}", ""
    folder = folder_of(settings)
    try:
        told = serial_of(folder)
    except SerialError as error:
        mend = f"write the serial number of the label into {folder / OVERRIDE}; where the firmware has one, the unit must hand it over: LoadCredential="
        yield "serial number", "fail", str(error), mend
        return
    yield "serial number", "ok", f"{told.serial} ({told.source}): start the agent, it enrols itself", ""


def of_copy(settings: Config, who: Identity) -> Iterator[Said]:
    """Of a terminal: whether its disk was copied from another one, and who may read what is left of the image."""
    file = token_file(settings)
    if sys.platform != "win32" and file.exists() and file.stat().st_mode & 0o007:
        yield (
            "image token",
            "warn",
            f"every user can read {file}",
            f"remove it: it is not needed any more, or chmod 640 {file}",
        )
    if not any(who.machine):
        return
    if what := Machine(*who.machine).differs(here(folder_of(settings))):
        yield (
            "machine",
            "warn",
            f"this is not the machine that was enrolled as {who.terminal}: {what}",
            "of a copied disk: tillwatch-agent prepare-image --remove, then enrol it as a terminal of its own; of new parts: tillwatch-agent enrol --force TOKEN",
        )
    else:
        yield "machine", "ok", f"the one that was enrolled{', serial ' + who.machine[0] if who.machine[0] else ''}", ""
