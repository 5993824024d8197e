"""A real Request Tracker 5: a fresh instance in a folder of its own, without a system database, mail or anything under /etc.

Our user reads Chinese and lives in Shanghai, which changes the sentences and the dates of every answer, as it does in a bank there.
"""

from __future__ import annotations

import base64
import json
import os
import quopri
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.collector.tickets.conftest import ask
from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks import request_tracker
from tillwatch.collector.tickets.message import TicketState

SERVER = Path("/usr/share/request-tracker5/libexec/rt-server")
SETUP = Path("/usr/sbin/rt-setup-database-5")
WORKERS = 3
SECOND_QUEUE = "Bob's tills"
KEY_FIELD = "DedupKey"
READY_S = 60.0

SITE = """Set($rtname, 'hw.test');
Set($Organization, 'hw.test');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '%(home)s/rt5.sqlite3');
Set($DatabaseHost, '');
Set($DatabaseUser, '');
Set($DatabasePassword, '');
Set($WebDomain, '127.0.0.1');
Set($WebPort, %(port)d);
Set($WebBaseURL, 'http://127.0.0.1:%(port)d');
Set($WebPath, '');
Set($MailCommand, 'testfile');
Set($WebSessionClass, 'Apache::Session::File');
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'warning');
Set($LogToFile, undef);
Set($Timezone, 'UTC');
# The package's own folders belong to www-data.
$RT::MasonDataDir = '%(home)s/mason';
$RT::MasonSessionDir = '%(home)s/sessions';
# Each request hashes its token: with the default of 12 that takes 0.23 s and everything else 0.02 s.
Set($BcryptCost, 4);
my %%maintenance = (initial => ['queued'], active => ['at site'], inactive => ['done', 'deleted'],
    defaults => { on_create => 'queued' }, transitions => { '' => ['queued'], queued => ['at site', 'done', 'deleted'],
    'at site' => ['done', 'deleted'], done => ['at site', 'deleted'], deleted => [] });
Set(%%Lifecycles, maintenance => \\%%maintenance);
1;
"""

RIGHTS = (
    "SeeQueue ShowTicket ShowTicketComments CreateTicket CommentOnTicket ReplyToTicket ModifyTicket OwnTicket "
    "SeeCustomField ModifyCustomField SetInitialCustomField"
)

DATA = r"""
@Queues = ({ Name => 'Hardware' }, { Name => "Bob's tills" }, { Name => 'Maintenance', Lifecycle => 'maintenance' },
    { Name => 'Keyless' }, { Name => 'Letterbox' }, { Name => 'Secret' });
@Users = (
    { Name => 'hwmon', Privileged => 1, Lang => 'zh-cn', Timezone => 'Asia/Shanghai' },
    { Name => 'li.wei', RealName => '李伟', Privileged => 1 },
);
@CustomFields = (
    (map { { Name => $_, Type => 'FreeformSingle', LookupType => 'RT::Queue-RT::Ticket', MaxValues => 1,
        Queue => ['Hardware', "Bob's tills", 'Maintenance', 'Letterbox'] } } qw(DedupKey FaultLevel Verdict Part)),
    { Name => "Chef's key", Type => 'FreeformSingle', LookupType => 'RT::Queue-RT::Ticket', MaxValues => 1, Queue => ['Hardware'] },
);
@ACL = (
    (map { my $queue = $_; map { { UserId => 'hwmon', Right => $_, Queue => $queue } } qw(%(rights)s) }
        'Hardware', "Bob's tills", 'Maintenance', 'Keyless'),
    (map { { UserId => 'hwmon', Right => $_, Queue => 'Letterbox' } } qw(SeeQueue CreateTicket SeeCustomField SetInitialCustomField)),
);
@Final = (sub {
    for my $name (qw(hwmon li.wei)) {
        my $user = RT::User->new(RT->SystemUser);
        $user->Load($name);
        $user->PrincipalObj->GrantRight(Right => 'SuperUser', Object => RT->System) if $name eq 'li.wei';
        my $token = RT::AuthToken->new(RT->SystemUser);
        my ($done, $said, $secret) = $token->Create(Owner => $user->Id, Description => 'tests');
        die $said unless $done;
        open my $file, '>', "$ENV{RT_TEST_HOME}/token.$name" or die $!;
        print $file $secret;
        close $file or die $!;
    }
});
1;
"""

ACTS = {
    "work": {"Status": "open"},
    "hold": {"Status": "stalled"},
    "resolve": {"Status": "resolved"},
    "close": {"Status": "resolved"},
    "reopen": {"Status": "open"},
    "own": {"Owner": "li.wei"},
    "delete": {"Status": "deleted"},
}

TICKETS = """
SELECT ticket.id, ticket.Subject, ticket.Status, owner.Name FROM Tickets AS ticket
JOIN ObjectCustomFieldValues AS value ON value.ObjectType = 'RT::Ticket' AND value.ObjectId = ticket.id AND NOT value.Disabled
JOIN CustomFields AS field ON field.id = value.CustomField AND field.Name = ?
JOIN Users AS owner ON owner.id = ticket.Owner
WHERE value.Content = ? AND ticket.Status != 'deleted' AND ticket.EffectiveId = ticket.id ORDER BY ticket.id
"""

TEXTS = """
SELECT happened.Type, attachment.Content, attachment.ContentEncoding FROM Transactions AS happened
JOIN Attachments AS attachment ON attachment.TransactionId = happened.id
WHERE happened.ObjectType = 'RT::Ticket' AND happened.ObjectId = ? AND happened.Type IN ('Create', 'Comment', 'Correspond')
ORDER BY happened.id
"""


class RequestTrackerServer:
    """One instance. home: an empty folder for it. Any number of servers, one after the other or at once, may serve it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        for folder in ("site.d", "mason", "sessions"):
            (home / folder).mkdir()
        self._environment = os.environ | {
            "RT_SITE_CONFIG": str(home / "RT_SiteConfig.pm"),
            "RT_SITE_CONFIG_DIR": str(home / "site.d"),
            "RT_TEST_HOME": str(home),
            "TMPDIR": str(home),
        }
        (home / "RT_SiteConfig.pm").write_text(SITE % {"home": home, "port": self._port})
        (home / "hw.data").write_text(DATA % {"rights": RIGHTS})
        self._setup("--action", "init")
        self._setup("--action", "insert", "--datafile", str(home / "hw.data"))
        self.token = (home / "token.hwmon").read_text()
        self._person = (home / "token.li.wei").read_text()
        self.secrets = (self.token, self._person)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _setup(self, *words: str) -> None:
        assert SETUP.exists(), "request-tracker5 is missing: make packages"
        done = subprocess.run(
            [str(SETUP), *words, "--skip-create"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *options: str, port: int = 0) -> str:
        """The address of one more server of this instance. Without options it is one process that takes one request after the other."""
        port = port or self._port
        said = self.home / f"log.{port}"
        with said.open("ab") as log:
            process = subprocess.Popen(
                [
                    str(SERVER),
                    *(options or ("--server", "HTTP::Server::PSGI")),
                    *("--env", "deployment", "--host", "127.0.0.1", "--port", str(port)),
                ],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        end = time.monotonic() + READY_S
        while not answers(port):
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.05)
        return f"http://127.0.0.1:{port}"

    def start_workers(self) -> str:
        """One more server of this instance, which takes several requests at once."""
        return self.start("--server", "Starlet", "--max-workers", str(WORKERS), port=free_port())

    def stop(self) -> None:
        """All servers. SIGTERM, which ends the workers with their parent; SIGINT would give folders of the system to another user."""
        while self._processes:
            process = self._processes.pop()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(60)

    # What a test asks for.

    def connector(self, address: str, **settings: Any) -> request_tracker.RequestTracker:
        os.environ["TILLWATCH_TEST_RT"] = self.token
        given = {
            "secret_env": "" if "secret_file" in settings else "TILLWATCH_TEST_RT",
            "queue": "Hardware",
            "level_field": "FaultLevel",
            "verdict_field": "Verdict",
            "part_field": "Part",
            "verdicts": {"Part replaced": "part_changed", "误报": "false_alarm"},
        }
        chosen = request_tracker.Settings(url=address, **(given | settings))
        assert chosen.problem() is None
        return request_tracker.connect("rt", chosen)

    def receiver(self, address: str, **settings: Any) -> Desk:
        return Desk(self.connector(address, **settings), settle_s=settings.get("settle", 0.0))

    def tickets(self, key: str, field: str = KEY_FIELD) -> list[Seen]:
        with closing(self._database()) as database:
            found = database.execute(TICKETS, (field, key)).fetchall()
            return [
                Seen(str(ticket), key, title, *self._texts(database, ticket, status, owner))
                for ticket, title, status, owner in found
            ]

    def _texts(
        self, database: sqlite3.Connection, ticket: int, status: str, owner: str
    ) -> tuple[str, TicketState, str, list[str]]:
        bodies, notes = [], []
        for kind, content, encoding in database.execute(TEXTS, (ticket,)):
            (bodies if kind == "Create" else notes).append(decoded(content, encoding))
        return bodies[0] if bodies else "", STATES[status], "" if owner == "Nobody" else owner, notes

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.home}/rt5.sqlite3?mode=ro", uri=True, timeout=60)

    def column(self, ticket: str, name: str) -> Any:
        with closing(self._database()) as database:
            return database.execute(f"SELECT {name} FROM Tickets WHERE id = ?", (ticket,)).fetchone()[0]

    def backdate(self, ticket: str, seconds: int) -> None:
        """As if its last change had been that long ago."""
        with closing(sqlite3.connect(self.home / "rt5.sqlite3", timeout=60)) as database, database:
            database.execute(
                "UPDATE Tickets SET LastUpdated = datetime('now', ?) WHERE id = ?", (f"-{seconds} seconds", ticket)
            )

    def person(self, ticket: str, act: str, text: str = "") -> None:
        if act == "note":
            self.rest("POST", f"ticket/{ticket}/comment", {"Content": text, "ContentType": "text/plain"})
        elif act == "merge":
            assert self.rest("PUT", f"ticket/{ticket}", {"MergeInto": text}) == ["Merge Successful"]
        elif act in ACTS:
            [said] = self.rest("PUT", f"ticket/{ticket}", ACTS[act])
            assert "isn't" not in said, said
        else:
            raise NotSupportedError(act)

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """As the technician Li Wei, who may do everything."""
        headers = {"authorization": f"token {self._person}", "content-type": "application/json"}
        content = json.dumps(body).encode() if body is not None else None
        status, answer = ask(self.address, method, f"/REST/2.0/{path}", content, headers)
        assert status in {200, 201}, (status, answer)
        return json.loads(answer)


STATES = dict(request_tracker.STATES)


@contextmanager
def running(home: Path) -> Iterator[RequestTrackerServer]:
    server = RequestTrackerServer(home)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        # 401 is an answer too: the server is there and has its database.
        return ask(f"http://127.0.0.1:{port}", "GET", "/REST/2.0/rt")[0] == 401
    except OSError:
        return False


def decoded(content: bytes | str, encoding: str) -> str:
    raw = content.encode() if isinstance(content, str) else content
    if encoding == "base64":
        raw = base64.b64decode(raw)
    elif encoding == "quoted-printable":
        raw = quopri.decodestring(raw)
    return raw.decode()
