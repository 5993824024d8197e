"""A console over a real store, in a process of its own, at which somebody of every role can sign in."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from playwright.async_api import Browser, BrowserContext

from tests.collector.people.peopled import BY, HASH, WORD
from tests.collector.web.running import Serving
from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_db import open_console, place, transaction
from tillwatch.collector.people.roles import Role, Scope


class Staffed(Serving):
    """Everybody is called as their role, with the same password. scopes: of those who are there for a part of the fleet."""

    def __init__(self, database: Path, *arguments: str, scopes: dict[Role, Scope] | None = None) -> None:
        with closing(open_console(place(database))) as db, transaction(db):
            for role in Role:
                person = Person(role, "", role, (scopes or {}).get(role, Scope()), password=HASH)
                accounts.add(db, person, BY)
        self._states: dict[Role, dict[str, object]] = {}
        super().__init__("-m", "tillwatch.collector.web", "--db", str(database), "--port", "0", *arguments)

    async def enter(self, browser: Browser, role: Role, **context: object) -> BrowserContext:
        """A browser window of its own in which that role is signed in; once a role, since a person has five sessions at most."""
        if role not in self._states:
            entry = await browser.new_context()
            origin = self.url.rstrip("/")
            answer = await entry.request.post(
                f"{origin}/sign-in", form={"name": str(role), "password": WORD}, headers={"Origin": origin}
            )
            assert answer.ok, await answer.text()
            self._states[role] = await entry.storage_state()  # type: ignore[assignment]
            await entry.close()
        return await browser.new_context(storage_state=self._states[role], locale="en-GB", **context)  # type: ignore[arg-type]
