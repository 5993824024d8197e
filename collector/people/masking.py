"""What of a terminal is shown in part only: serial numbers and addresses, whoever asks. Who may see them whole asks for it, and that look is record.
Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import replace

from tillwatch.agent.model import Value
from tillwatch.collector.read import AlarmView, ComponentView, SignalView
from tillwatch.collector.terminal.asset import MASK, mask

PROTECTED = frozenset({"identity.serial", "cell.imei"})
"""Signals of the catalogue that hold nothing but such a thing."""
PLAIN = frozenset({"identity.firmware", "monitor.profile", "acceptor.program"})
"""Texts that hold versions, some of which look like an IPv4 address."""
TAIL = 4
"""Characters that stay, and never more than half: with them somebody at the device can tell two apart."""

_IPV4 = r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\.?\d)"
_MAC = r"(?<![0-9A-Fa-f:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:-])|(?<![0-9A-Fa-f.])(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}(?![0-9A-Fa-f.])"
_IMEI = r"(?<!\d)\d{15}(?!\d)"
_FOUND = re.compile(f"{_MAC}|{_IPV4}|{_IMEI}")
_COLONS = re.compile(rf"(?<![\w:{MASK}])[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(?![\w:])")


def hidden(text: str) -> str:
    """The same text, with the addresses and IMEIs in it masked."""
    if len(text) < 3:
        return text
    text = _FOUND.sub(lambda found: _masked(found[0]), text)
    return _COLONS.sub(_ipv6, text) if text.count(":") > 1 else text


def _ipv6(found: re.Match[str]) -> str:
    """A time of day has colons, too."""
    try:
        ipaddress.IPv6Address(found[0])
    except ValueError:
        return found[0]
    return _masked(found[0]) if found[0] != "::" else found[0]


def _masked(said: str) -> str:
    return MASK * 4 + said[-min(TAIL, len(said) // 2) :]


def shown(signal: str, value: Value) -> Value:
    """A value of this signal as it is shown."""
    if not isinstance(value, str) or not value:
        return value if signal not in PROTECTED or value in (None, "") else str(mask(value))
    if signal in PROTECTED:
        return str(mask(value))
    return value if signal in PLAIN else hidden(value)


def names(components: Iterable[str]) -> dict[str, str]:
    """Real name -> the name that is shown; no two are shown alike."""
    found: dict[str, str] = {}
    taken: dict[str, int] = {}
    for name in sorted(components):
        said = hidden(name)
        if said != name:
            taken[said] = taken.get(said, 0) + 1
            said = said if taken[said] == 1 else f"{said}#{taken[said]}"
        found[name] = said
    return found


def component_shown(view: ComponentView, name: str) -> ComponentView:
    """name: of names()."""
    signals = tuple(signal_shown(each, name) for each in view.signals)
    return replace(view, name=name, reason=hidden(view.reason), signals=signals)


def signal_shown(view: SignalView, component: str) -> SignalView:
    value = shown(view.signal, view.value)
    if value is view.value and component == view.component:
        return view
    return replace(view, component=component, value=value)


def alarm_shown(view: AlarmView) -> AlarmView:
    component, text, value = hidden(view.component), hidden(view.text), shown(view.signal, view.value)
    if (component, text, value) == (view.component, view.text, view.value):
        return view
    return replace(view, component=component, text=text, value=value)


def secrets_of(components: Iterable[ComponentView]) -> dict[str, str]:
    """What of them is masked elsewhere, whole: by the component's shown name, and by `component signal`."""
    listed = list(components)
    shown_as, found = names(each.name for each in listed), {}
    for view in listed:
        name = shown_as[view.name]
        if name != view.name:
            found[name] = view.name
        for signal in view.signals:
            if signal.value is not None and shown(signal.signal, signal.value) != signal.value:
                found[f"{name} {signal.signal}"] = str(signal.value)
    return found
