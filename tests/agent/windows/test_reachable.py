"""No call that only POSIX has can be reached on Windows. mypy's `--platform win32` finds what typeshed knows; this finds the methods of event loops, keywords of
processes, formats of dates and encodings that types do not tell, and it does not rely on ignores.
"""

import ast
from pathlib import Path

import pytest

from tests.agent.windows.reachable import missing, modules, reached

ROOT = Path(__file__).resolve().parents[3]


def found(**sources):
    trees = {name: ast.parse(text) for name, text in sources.items()}
    return [each.what for name, nodes in reached(trees).items() for each in missing(nodes, name)]


def test_nothing_that_only_posix_has_can_be_reached():
    trees = modules(ROOT, "agent", "device_profiles", "firmware_shims")
    assert len(trees) > 150
    running = reached(trees)
    assert sorted(each for name, nodes in running.items() for each in missing(nodes, name)) == []


def test_what_is_left_out_is_what_other_systems_have():
    """The other way round: without the guards it would be found, so that the guards are what keeps it away."""
    trees = modules(ROOT, "agent", "device_profiles", "firmware_shims")
    plain = {each.what for name, tree in trees.items() for each in missing([tree], name)}
    assert {"fcntl", "os.geteuid", "os.statvfs", "os.memfd_create", "os.O_NOCTTY", "loop.add_reader"} <= plain


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import fcntl", "fcntl"),
        ("from os import fork", "os.fork"),
        ("def run():\n    os.getuid()", "os.getuid"),
        ("async def run(loop):\n    loop.add_signal_handler(15, f)", "loop.add_signal_handler"),
        ("def run():\n    asyncio.get_running_loop().add_reader(0, f)", "asyncio.get_running_loop().add_reader"),
        ("def run():\n    signal.signal(signal.SIGHUP, f)", "signal.SIGHUP"),
        ("def run():\n    subprocess.Popen(['x'], preexec_fn=f)", "Popen(preexec_fn=)"),
        ("def run():\n    at.strftime('%-d.%m.')", "strftime('%-d.%m.')"),
        ("def run():\n    open('x')", "open() without an encoding"),
        ("def run():\n    path.read_text()", "read_text() without an encoding"),
        ("def run():\n    path.open('w')", "open() without an encoding"),
        ("def run():\n    if sys.platform == 'win32':\n        os.sync()", "os.sync"),
        ("def run():\n    if sys.platform != 'win32' or x:\n        os.sync()", "os.sync"),
        ("def run():\n    return os.sync() if x else 1", "os.sync"),
        ("def run():\n    if sys.platform == 'linux':\n        return 1\n    os.sync()", "os.sync"),
        ("class A:\n    def f(self):\n        os.sync()\ndef run():\n    A()", "os.sync"),
        (
            "class A:\n    def f(self):\n        self._g()\n    def _g(self):\n        os.sync()\ndef run():\n    A()",
            "os.sync",
        ),
    ],
)
def test_it_finds_what_can_be_reached(text, what):
    assert found(module=text) == [what]


@pytest.mark.parametrize(
    "text",
    [
        "def run():\n    if sys.platform != 'win32':\n        import fcntl",
        "def run():\n    if sys.platform == 'linux' and x:\n        os.sync()",
        "def run():\n    if x and sys.platform != 'win32':\n        os.sync()",
        "def run():\n    return 1 if sys.platform == 'win32' else os.sync()",
        "def run():\n    if sys.platform == 'win32':\n        return 1\n    os.sync()",
        "def run():\n    if not sys.platform == 'win32':\n        os.sync()",
        "def run():\n    while x:\n        if sys.platform == 'win32':\n            raise E\n        else:\n            os.sync()",
        "def run():\n    return hasattr(os, 'sync') and os.sync()",
        "def run():\n    open('x', 'rb'), open('x', encoding='utf-8'), path.read_text('utf-8'), path.open('wb'), os.open('x', 0)",
        "def posix_only():\n    os.sync()\ndef run():\n    posix_only() if sys.platform == 'linux' else 0",
        "class A:\n    def f(self):\n        if sys.platform == 'linux':\n            self._g()\n    def _g(self):\n        os.sync()\ndef run():\n    A()",
        "class Posix:\n    def f(self):\n        os.sync()\ndef run():\n    return 0 if sys.platform == 'win32' else Posix()",
        "import os\ndef run():\n    os.fsync(1), os.replace('a', 'b'), signal.SIGTERM, at.strftime('%Y-%m-%d')",
    ],
)
def test_it_leaves_what_cannot(text):
    assert found(module=text) == []


def test_names_are_followed_from_one_module_to_another():
    assert found(
        one="from two import f\ndef run():\n    f()", two="def f():\n    os.sync()\ndef g():\n    os.fork()"
    ) == ["os.sync"]


def test_the_loop_is_the_platform_s_own():
    """Proactor on Windows: it has processes and datagrams; the selector loop has no processes."""
    chosen = {"set_event_loop_policy", "set_event_loop", "loop_factory", "new_event_loop", "uvloop"}
    used = {
        node.attr if isinstance(node, ast.Attribute) else node.arg
        for tree in modules(ROOT, "agent", "firmware_shims").values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.keyword)
    }
    assert used & chosen == set()
