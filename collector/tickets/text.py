"""What people read in a ticket, in English or Simplified Chinese."""

from __future__ import annotations

from tillwatch.collector.tickets.message import TicketMessage


def title(message: TicketMessage, language: str) -> str:  # noqa: ARG001
    """One line."""
    return f"L{message.level} {message.what} ({message.terminal or message.branch or message.region})"


def body(message: TicketMessage, language: str) -> str:  # noqa: ARG001
    """The whole, as plain text."""
    return f"{message.what}\n{message.action}\n{message.address}\n{mark(message)}"


def note(message: TicketMessage, language: str) -> str:  # noqa: ARG001
    """What is new, as plain text. Holds the mark."""
    told = [*(told for _, told in message.earlier), message.note or message.what]
    return "\n".join([*told, mark(message)])


def mark(message: TicketMessage) -> str:
    """What a note of this very message is found by, in any language."""
    return f"[{message.incident}/{message.seq}]"
