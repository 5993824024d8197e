"""Sets the service up and takes it away again: what `tillwatch-agent service install` and `remove` do, with every step undone where a later one fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tillwatch.agent import identity
from tillwatch.agent.config import default_path
from tillwatch.agent.protection import Protector
from tillwatch.agent.windows import account, acl, event_log, registration
from tillwatch.agent.windows.dispatcher import NAME
from tillwatch.agent.windows.interfaces import Api
from tillwatch.agent.windows.migration import protect_state
from tillwatch.agent.write_filter import WriteFilter


class SetupError(Exception):
    """The text says what stands in the way and what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """command: what service control starts. drives: read the reliability counters of drives too, for which Windows wants the system's account."""

    command: str
    configuration: Path
    state_dir: Path
    drives: bool = False


def install(api: Api, wanted: Wanted, of: WriteFilter | None, protector: Protector, say: Callable[[str], None]) -> None:
    """Raises SetupError, Win32Error, WriteFilterError, IdentityError, ProtectionError or OSError, and then what was there before stands, but for rights that were narrowed."""
    state = of.state() if of is not None else None
    if state is not None and state.discards(str(wanted.state_dir)):
        raise SetupError(
            f"the write filter discards what is written to {wanted.state_dir} at the next start of the machine; "
            f"uwfmgr file add-exclusion {wanted.state_dir}, then restart; or set state_dir to a volume without a filter"
        )
    if wanted.state_dir == wanted.state_dir.parent:
        raise SetupError(
            f"state_dir is {wanted.state_dir}, a whole drive, of which the service would become the only reader; name a folder"
        )
    sid = account.service_sid(NAME)
    with ExitStack() as undo:
        made = registration.register(api, wanted.command, account.LOCAL_SYSTEM if wanted.drives else "")
        if made:
            undo.callback(registration.remove, api)
        say(f"service {NAME} {'made' if made else 'changed'}: delayed start, started again after 15 s, 1 min, 10 min")
        event_log.register_source(api)
        if made:
            undo.callback(event_log.remove_source, api)
        joined = account.join_groups(api, sid)
        undo.callback(account.leave_groups, api, sid, joined)
        runs_as = account.LOCAL_SYSTEM if wanted.drives else account.virtual_account(NAME)
        say(f"account {runs_as}; groups: {', '.join(account.GROUPS.values())}")
        own = default_path().parent
        own.mkdir(parents=True, exist_ok=True)
        wanted.state_dir.mkdir(parents=True, exist_ok=True)
        acl.set_rights(api, own, acl.configuration_rights(sid))
        acl.set_rights(api, wanted.state_dir, acl.state_rights(sid))
        say(f"rights: {own} to be read, {wanted.state_dir} to be written by the service alone")
        if wanted.configuration.parent != own:
            say(
                f"rights of {wanted.configuration.parent} are left as they are: let NT SERVICE\\{NAME} read it, and no user"
            )
        with identity.hold(wanted.state_dir):
            for name in protect_state(wanted.state_dir, protector):
                say(f"{name} is protected by this machine's key now")
        undo.pop_all()


def remove(api: Api, say: Callable[[str], None]) -> None:
    """The folders stay: `uninstall.ps1 -Purge` deletes them. Raises Win32Error or TooSlowError."""
    sid = account.service_sid(NAME)
    # Before the service, with which its account goes.
    account.leave_groups(api, sid, list(account.GROUPS))
    gone = registration.remove(api)
    event_log.remove_source(api)
    say(f"service {NAME} removed" if gone else f"there is no service {NAME}")
