"""Parts of the standard library that others import for something the resident agent does not do: they are loaded when somebody looks into them,
which nobody does, and whoever does finds them whole. 0.7 MiB of resident memory. importlib's own LazyLoader does not serve: before Python 3.12 the
import statement itself looks into the module.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

UNUSED = (
    "ipaddress",  # urllib.parse, which pathlib imports: hosts in brackets
    "linecache",  # inspect and tracebacks: lines of source
    "locale",  # subprocess: pipes of text
    "textwrap",  # traceback: groups of exceptions
    "tokenize",  # linecache and inspect: lines of source
    "uuid",  # gmqtt: clients that have no name
)


def defer(names: Iterable[str] = UNUSED) -> None:
    """Before anything else is imported; what is loaded already, or is not there, stays as it is."""
    for name in names:
        spec = importlib.util.find_spec(name) if name not in sys.modules else None
        if spec is not None and spec.loader is not None:
            sys.modules[name] = _stand_in(spec)


def _stand_in(spec: ModuleSpec) -> ModuleType:
    """The module itself, empty, until an attribute is missed (PEP 562)."""
    module = importlib.util.module_from_spec(spec)
    loading = threading.RLock()
    begun = False

    def load(attribute: str) -> Any:
        nonlocal begun
        with loading:  # of two threads that come at once the second finds what the first has loaded
            if not begun:
                begun = True
                assert spec.loader is not None
                spec.loader.exec_module(module)
                if vars(module).get("__getattr__") is load:
                    del vars(module)["__getattr__"]
            if attribute in vars(module):
                return vars(module)[attribute]
            if "__getattr__" in vars(module) and vars(module)["__getattr__"] is not load:
                return vars(module)["__getattr__"](attribute)
            raise AttributeError(f"module {spec.name!r} has no attribute {attribute!r}")

    vars(module)["__getattr__"] = load
    return module
