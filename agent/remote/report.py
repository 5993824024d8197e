"""A device's own account of itself, read and not caused: the result of its last self-test, its fault registers, its alert table. A serial device is
asked what its shim lists as such (`Shim.report`, part of the shim's whitelist); of any other its ordinary answers are searched for signals
that are such an account. No self-test is started by it, nothing is printed, no battery is loaded.
"""

from __future__ import annotations

from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.sources import SelfReporting, Source

OWN_ACCOUNT = frozenset(
    {
        *("ups.test.result", "ups.alarm.all", "ups.calibration.result", "gen.test.result"),
        *("printer.error.all", "printer.alert.text", "drive.selftest"),
    }
)
"""What a device says of itself as a whole, by its own judgement: tests that it ran, alarms that it lists."""


class NoReportError(Exception):
    """The device has none. The text says so to a person."""


async def self_report(source: Source) -> list[Sample]:
    """Called in the place of a poll, by the one task that polls the source. Raises SourceError as a poll does, and NoReportError."""
    if isinstance(source, SelfReporting):
        if (samples := await source.self_report()) is None:
            raise NoReportError(f"the protocol of {source.name} has no self-report that only reads")
        return samples
    found = [sample for wanted in PollClass if wanted in source.classes for sample in await source.poll(wanted)]
    if not (own := [sample for sample in found if sample.signal in OWN_ACCOUNT]):
        raise NoReportError(f"{source.name} gives no account of itself that can be read")
    return own
