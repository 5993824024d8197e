"""An SMTP server that keeps the mail it is given: the few commands of RFC 5321 that a client needs."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mailbox:
    """mails: (recipients, message). refuses: the status that it answers to a recipient with, 0 for none."""

    port: int = 0
    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    refuses: int = 0


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    state = Mailbox()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 mail.bank.example")
            recipients: list[str] = []
            while line := self.rfile.readline().decode().strip():
                match line[:4].upper():
                    case "RCPT" if state.refuses:
                        self.say(f"{state.refuses} no")
                    case "RCPT":
                        recipients.append(line.partition("<")[2].partition(">")[0])
                        self.say("250 ok")
                    case "DATA":
                        self.say("354 go on")
                        lines = list(iter(self.rfile.readline, b".\r\n"))
                        state.mails.append((recipients, message_from_bytes(b"".join(lines), policy=policy.default)))  # type: ignore[arg-type]
                        self.say("250 ok")
                    case "QUIT":
                        self.say("221 bye")
                        return
                    case "EHLO" | "MAIL" | "RSET":
                        self.say("250 ok")
                    case _:
                        self.say("502 no such command")

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Session) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
