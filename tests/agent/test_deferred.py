"""In processes of their own: what is deferred must not be loaded before."""

import subprocess
import sys

from tillwatch.agent.deferred import UNUSED


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_is_loaded_whole_by_whoever_looks_into_it():
    told = python(
        "import sys; from tillwatch.agent.deferred import defer; defer(); import uuid, textwrap\n"
        "print('platform' in sys.modules, uuid.UUID(int=1), 'platform' in sys.modules, textwrap.dedent(' x'), '__getattr__' in vars(uuid))\n"
        "from ipaddress import ip_address; print(ip_address('192.0.2.1'), hasattr(uuid, 'nothing'))"
    )
    assert told == ["False", "00000000-0000-0000-0000-000000000001", "True", "x", "False", "192.0.2.1", "False"]


def test_nothing_of_it_is_loaded_by_what_imports_it():
    told = python(
        # An editable install is found by a hook that loads some of them before anything else runs.
        "import sys; before = {*sys.modules}; from tillwatch.agent.deferred import defer, UNUSED; defer()\n"
        "import asyncio, pathlib, subprocess, traceback, gmqtt\n"
        "print(*(name for name in UNUSED if name in before or '__getattr__' in vars(sys.modules[name])))"
    )
    assert tuple(told) == UNUSED


def test_what_is_loaded_or_not_there_stays_as_it_is():
    told = python(
        "import sys, uuid; from tillwatch.agent.deferred import defer; defer(['uuid', 'no_such_module'])\n"
        "print(sys.modules['uuid'] is uuid, '__getattr__' in vars(uuid), 'no_such_module' in sys.modules)"
    )
    assert told == ["True", "False", "False"]


def test_a_module_with_its_own_getattr_keeps_it(tmp_path):
    (tmp_path / "late.py").write_text("here = 1\ndef __getattr__(name):\n    return 'own ' + name\n")
    told = python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from tillwatch.agent.deferred import defer; defer(['late'])\n"
        "import late; print(late.other, late.here, late.more)"
    )
    assert told == ["own", "other", "1", "own", "more"]


def test_threads_that_come_at_once_all_find_it_whole(tmp_path):
    (tmp_path / "slow.py").write_text("import threading\nopen_ = threading.Event()\nopen_.wait(0.3)\nlast = 1\n")
    told = python(
        f"import sys, threading; sys.path.insert(0, {str(tmp_path)!r}); from tillwatch.agent.deferred import defer; defer(['slow'])\n"
        "import slow; found = []\n"
        "threads = [threading.Thread(target=lambda: found.append(slow.last)) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]; print(*found)"
    )
    assert told == ["1"] * 4
