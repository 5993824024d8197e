"""What of the agent can run on Windows, by reading it: code behind a guard on `sys.platform` for other systems is left out, and a function or class counts only if
code that can run names it. Names are followed wherever they lead, so that too much is looked at and never too little, but for names that are made at run time.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WINDOWS = "win32"

MODULES = frozenset(
    ["fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty", "crypt", "spwd", "nis"]
)
OS = frozenset(
    [
        "fork",
        "forkpty",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "getgroups",
        "setuid",
        "setgid",
        "seteuid",
        "setegid",
        "setsid",
        "getsid",
        "setpgid",
        "getpgid",
        "getpgrp",
        "killpg",
        "getppriority",
        "setpriority",
        "sync",
        "fdatasync",
        "statvfs",
        "fstatvfs",
        "chown",
        "lchown",
        "fchown",
        "mkfifo",
        "mknod",
        "nice",
        "getloadavg",
        "sysconf",
        "confstr",
        "pathconf",
        "uname",
        "wait",
        "wait3",
        "wait4",
        "waitid",
        "WNOHANG",
        "WIFEXITED",
        "WEXITSTATUS",
        "memfd_create",
        "sendfile",
        "pread",
        "pwrite",
        "preadv",
        "pwritev",
        "openpty",
        "posix_fallocate",
        "posix_fadvise",
        "posix_spawn",
        "sched_getaffinity",
        "sched_setaffinity",
        "eventfd",
        "pipe2",
        "chroot",
        "fchdir",
        "lockf",
        "ttyname",
        "tcgetpgrp",
        "ctermid",
        "mkfifoat",
        "major",
        "minor",
        "makedev",
        "ST_RDONLY",
        "O_NONBLOCK",
        "O_NOCTTY",
        "O_CLOEXEC",
        "O_DIRECTORY",
        "O_NOFOLLOW",
        "O_SYNC",
        "O_DSYNC",
        "getxattr",
        "setxattr",
        "listxattr",
        "initgroups",
        "umount",
        "splice",
    ]
)
SIGNAL = frozenset(
    [
        "SIGHUP",
        "SIGKILL",
        "SIGUSR1",
        "SIGUSR2",
        "SIGALRM",
        "SIGCHLD",
        "SIGPIPE",
        "SIGQUIT",
        "SIGTSTP",
        "SIGCONT",
        "SIGSTOP",
        "SIGWINCH",
        "SIGIO",
        "alarm",
        "setitimer",
        "getitimer",
        "pause",
        "sigwait",
        "sigwaitinfo",
        "sigtimedwait",
        "sigpending",
        "pthread_kill",
        "pthread_sigmask",
        "siginterrupt",
    ]
)
TIME = frozenset(
    [
        "clock_gettime",
        "clock_gettime_ns",
        "clock_settime",
        "clock_getres",
        "CLOCK_BOOTTIME",
        "CLOCK_MONOTONIC",
        "CLOCK_REALTIME",
        "tzset",
        "pthread_getcpuclockid",
    ]
)
SOCKET = frozenset(
    [
        "AF_UNIX",
        "AF_NETLINK",
        "AF_PACKET",
        "SO_REUSEPORT",
        "SO_PEERCRED",
        "SO_BINDTODEVICE",
        "MSG_DONTWAIT",
        "MSG_NOSIGNAL",
        "socketpair_unix",
        "if_indextoname_unix",
        "send_fds",
        "recv_fds",
    ]
)
OF_MODULES = {"os": OS, "signal": SIGNAL, "time": TIME, "socket": SOCKET}
LOOP = frozenset(
    [
        "add_reader",
        "remove_reader",
        "add_writer",
        "remove_writer",
        "add_signal_handler",
        "remove_signal_handler",
        "create_unix_connection",
        "create_unix_server",
        "open_unix_connection",
        "start_unix_server",
        "ThreadedChildWatcher",
        "PidfdChildWatcher",
        "WindowsSelectorEventLoopPolicy",
        "SelectorEventLoop",
    ]
)
"""Methods of event loops and functions of asyncio that the Proactor loop, which is Windows' default, does not have; and the other loop, which has no subprocesses."""
SUBPROCESS = frozenset(
    ["preexec_fn", "start_new_session", "pass_fds", "user", "group", "extra_groups", "umask", "process_group"]
)
TEXT = {"open": 1, "read_text": 0, "write_text": 1, "fdopen": 1}
"""Functions that take a text's encoding from the machine, and the place of the mode or of the encoding among their arguments."""


@dataclass(frozen=True, order=True)
class Found:
    """Something that Windows does not have."""

    module: str
    line: int
    what: str


def platform_says(test: ast.expr) -> bool | None:
    """What a condition is on Windows; None where it depends on more."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and ast.unparse(test.left) in {"sys.platform", "os.name"}:
        right = test.comparators[0]
        if not isinstance(right, ast.Constant):
            return None
        mine = WINDOWS if ast.unparse(test.left) == "sys.platform" else "nt"
        if isinstance(test.ops[0], ast.Eq):
            return right.value == mine
        if isinstance(test.ops[0], ast.NotEq):
            return right.value != mine
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = platform_says(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        said = [platform_says(value) for value in test.values]
        if isinstance(test.op, ast.And):
            return False if False in said else True if set(said) == {True} else None
        return True if True in said else False if set(said) == {False} else None
    return None


class OnWindows(ast.NodeTransformer):
    """Leaves what can run there. After a block that ends in `return` or `raise` and always runs there, nothing follows."""

    def visit_If(self, node: ast.If) -> object:
        said = platform_says(node.test)
        if said is None:
            return self.generic_visit(node)
        kept = self.block(node.body if said else node.orelse)
        return ast.If(ast.Constant(True), kept, []) if kept and ends(kept) else kept

    def visit_IfExp(self, node: ast.IfExp) -> object:
        said = platform_says(node.test)
        if said is None:
            return self.generic_visit(node)
        return self.visit(node.body if said else node.orelse)

    def visit_BoolOp(self, node: ast.BoolOp) -> object:
        said = platform_says(node)
        if said is None and isinstance(node.op, ast.And):
            return self.generic_visit(node)
        return self.generic_visit(node) if said is None else ast.Constant(said)

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        kept: list[ast.stmt] = []
        for statement in body:
            found = self.visit(statement)
            kept += found if isinstance(found, list) else [found]
            if kept and isinstance(kept[-1], ast.If) and ast.unparse(kept[-1].test) == "True":
                break
        return kept

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                setattr(node, field, self.block(body))
        for field, value in ast.iter_fields(node):
            if field in {"body", "orelse", "finalbody"} and isinstance(value, list):
                continue
            if isinstance(value, list):
                setattr(node, field, [self.visit(each) if isinstance(each, ast.AST) else each for each in value])
            elif isinstance(value, ast.AST):
                setattr(node, field, self.visit(value))
        return node


def ends(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Return | ast.Raise)


def names(nodes: list[ast.AST]) -> set[str]:
    found = set()
    for root in nodes:
        for node in ast.walk(root):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    return found


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def parts(node: Definition) -> tuple[list[ast.AST], list[Definition]]:
    """What comes with a definition, and what must be named to count: the private methods of a class. Its public ones may be called by a library."""
    if not isinstance(node, ast.ClassDef):
        return [node], []
    private = [
        each
        for each in node.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and each.name.startswith("_")
        and not each.name.endswith("__")
    ]
    return [*node.bases, *node.decorator_list, *(each for each in node.body if each not in private)], list(private)


def reached(trees: dict[str, ast.Module]) -> dict[str, list[ast.AST]]:
    """Of each module what can run: its own statements, and of its definitions those that something that can run names."""
    trees = {name: OnWindows().visit(tree) for name, tree in trees.items()}
    running: dict[str, list[ast.AST]] = {}
    waiting: list[tuple[str, Definition]] = []
    for name, tree in trees.items():
        running[name] = [node for node in tree.body if not isinstance(node, Definition)]
        waiting += [(name, node) for node in tree.body if isinstance(node, Definition)]
    # Entry points: the program's own, and what modules are asked for by name.
    known = {"main", "run", "add_arguments", "__getattr__"} | names(
        [node for nodes in running.values() for node in nodes]
    )
    while True:
        new = [(name, node) for name, node in waiting if node.name in known]
        if not new:
            return running
        waiting = [pair for pair in waiting if pair not in new]
        for name, node in new:
            come, wait = parts(node)
            running[name] += come
            waiting += [(name, each) for each in wait]
            known |= names(come)


def missing(nodes: list[ast.AST], module: str) -> Iterator[Found]:
    """What Windows does not have. `hasattr(os, "sync")` in the same function is a guard too."""
    for root in nodes:
        asked = {
            node.args[1].value
            for node in ast.walk(root)
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) == "hasattr"
            and isinstance(node.args[1], ast.Constant)
        }
        for node in ast.walk(root):
            for what in of(node):
                if what.rpartition(".")[2] not in asked:
                    yield Found(module, getattr(node, "lineno", 0), what)


def of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names if name.name.partition(".")[0] in MODULES)
    elif isinstance(node, ast.ImportFrom):
        if (node.module or "").partition(".")[0] in MODULES:
            yield node.module or ""
        yield from (
            f"{node.module}.{name.name}" for name in node.names if name.name in OF_MODULES.get(node.module or "", ())
        )
    elif isinstance(node, ast.Attribute):
        base = ast.unparse(node.value)
        if node.attr in OF_MODULES.get(base, ()) or node.attr in LOOP:
            yield f"{base}.{node.attr}"
    elif isinstance(node, ast.Call):
        yield from of_call(node)


def of_call(node: ast.Call) -> Iterator[str]:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = {keyword.arg for keyword in node.keywords}
    if called in {"Popen", "run", "call", "check_output", "create_subprocess_exec", "subprocess_exec"}:
        yield from (f"{called}({name}=)" for name in sorted(given & SUBPROCESS - {None}))
    if called == "strftime":
        texts = [
            argument.value
            for argument in node.args
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        ]
        yield from (f"strftime({text!r})" for text in texts if "%-" in text or "%s" in text or "%P" in text)
    if called in TEXT and "encoding" not in given and not binary(node, called):
        yield f"{called}() without an encoding"


def binary(node: ast.Call, called: str) -> bool:
    if (
        isinstance(node.func, ast.Attribute)
        and called == "open"
        and ast.unparse(node.func.value) in {"os", "webbrowser"}
    ):
        return True
    if called in {"read_text", "write_text"}:
        return len(node.args) > TEXT[called]
    place = 0 if isinstance(node.func, ast.Attribute) and called == "open" else TEXT[called]
    mode = next((keyword.value for keyword in node.keywords if keyword.arg == "mode"), None)
    mode = mode or (node.args[place] if len(node.args) > place else None)
    if called == "open" and isinstance(node.func, ast.Attribute) and mode is None and not node.args:
        # A method of something else than a path, such as a spool or a line.
        return not ast.unparse(node.func.value).endswith(("path", "file", "Path"))
    if (
        called == "open"
        and isinstance(node.func, ast.Attribute)
        and mode is not None
        and not isinstance(mode, ast.Constant)
    ):
        return True
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" in mode.value


def modules(root: Path, *folders: str) -> dict[str, ast.Module]:
    found = sorted(
        path for folder in folders for path in (root / folder).rglob("*.py") if "__pycache__" not in path.parts
    )
    return {path.relative_to(root).as_posix(): ast.parse(path.read_text("utf-8")) for path in found}
