from __future__ import annotations

import pytest

from tillwatch.agent.axes import by_axis
from tillwatch.agent.model import Sample, State
from tillwatch.device_profiles.catalogue import load_catalogue
from tillwatch.device_profiles.model import Axis

SIGNALS = load_catalogue().signals
FITNESS, SUPPLY, SECURITY = Axis.FITNESS, Axis.SUPPLY, Axis.SECURITY
OK, WARN, CRIT, UNKNOWN = State.OK, State.WARN, State.CRIT, State.UNKNOWN


@pytest.mark.parametrize(
    ("samples", "axes"),
    [
        ([Sample("p", "printer.error", "noPaper", CRIT)], {SUPPLY: CRIT}),
        ([Sample("p", "printer.error", "none", OK)], {FITNESS: OK}),
        (
            [
                Sample("p", "printer.error", "jammed", CRIT),
                Sample("p", "printer.error.all", "lowToner,jammed"),
                Sample("p", "printer.status", "idle", OK),
            ],
            {FITNESS: CRIT, SUPPLY: WARN},
        ),
        ([Sample("p", "env.door", "open", WARN), Sample("p", "env.temperature", 21, OK)], {FITNESS: OK, SECURITY: WARN}),
        ([Sample("p", "camera.video", "covered", CRIT)], {SECURITY: CRIT}),
        ([Sample("p", "camera.video", "lost", CRIT)], {FITNESS: CRIT}),
        ([Sample("p", "printer.supply.level", None, UNKNOWN), Sample("p", "printer.supply.state", "some", OK)], {SUPPLY: UNKNOWN}),
        ([Sample("p", "experimental.squeak", 7, WARN)], {FITNESS: WARN}),
        ([Sample("p", "identity.serial", "A1"), Sample("p", "printer.alert.text", "a,b")], None),
    ],
)  # fmt: skip
def test_each_axis_has_the_worst_that_is_said_on_it(samples: list[Sample], axes: dict[Axis, State] | None) -> None:
    assert by_axis(samples, SIGNALS) == ({"p": axes} if axes else {})


def test_components_are_apart() -> None:
    found = by_axis([Sample("a", "env.door", "open", WARN), Sample("b", "env.door", "closed", OK)], SIGNALS)
    assert found == {"a": {SECURITY: WARN}, "b": {SECURITY: OK}}
