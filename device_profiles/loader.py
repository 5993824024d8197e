"""From YAML to DeviceProfile: one file, one device family; `_*.yaml` are mixins. Every error is a ProfileError that names file, line and the mend.

The keys are in language.py, what they become in model.py. Needs PyYAML: the agent uses compiled.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from tillwatch.device_profiles import language
from tillwatch.device_profiles.catalogue import HERE, Catalogue, load_catalogue
from tillwatch.device_profiles.items import Columns, Reader, read_oid, read_pattern, texts
from tillwatch.device_profiles.model import DeviceProfile, Field, Item, Match, Poll, Recognition, Table
from tillwatch.device_profiles.recognise import SYS_OBJECT_ID
from tillwatch.device_profiles.yaml_nodes import ProfileError, Spot, read

T = TypeVar("T")
MAKER = "identity.maker"


@dataclass(slots=True)
class _Draft:
    """One file as it stands, before `extends`. wrong: what its items and tables say wrong, in the file's order."""

    spot: Spot
    title: str = ""
    generic: bool = False
    extends: list[Spot] = field(default_factory=list)
    adds: list[Spot] = field(default_factory=list)
    matches: list[tuple[Match, Spot]] = field(default_factory=list)
    scalars: dict[tuple[str, str], Item] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    wrong: list[ProfileError] = field(default_factory=list)

    def attempt(self, read_one: Callable[[Spot], T], spot: Spot) -> T | None:
        """One item that is wrong must not hide what is wrong with the next."""
        try:
            return read_one(spot)
        except ProfileError as error:
            self.wrong.append(error)
            return None


def _match(spot: Spot) -> Match:
    keys = spot.mapping(language.MATCH)
    if not keys:
        spot.wrong("an empty rule would match every device; write sysObjectID, sysDescr or present")
    return Match(
        object_id=read_oid(keys["sysObjectID"]) if "sysObjectID" in keys else "",
        description=read_pattern(keys["sysDescr"], 0) if "sysDescr" in keys else "",
        present=tuple(read_oid(each) for each in keys["present"].items()) if "present" in keys else (),
    )


def _table(spot: Spot, catalogue: Catalogue, sentinels: tuple[str, ...], draft: _Draft) -> Table:
    keys = spot.mapping(language.TABLE, ("group", "items"))
    entry = read_oid(keys["entry"]) if "entry" in keys else ""
    plain = Columns(entry, {})
    column = Columns(
        entry, {key.text(): plain(value) for key, value in keys["columns"].pairs()} if "columns" in keys else {}
    )
    reader = Reader(catalogue, column, in_table=True, sentinels=sentinels)
    items = [draft.attempt(reader.item, each) for each in keys["items"].items()]
    collects = keys["collect"].items() if "collect" in keys else ()
    collected = [draft.attempt(lambda at: reader.item(at, counts_rows=True), each) for each in collects]
    return Table(
        group=keys["group"].text(),
        items=tuple(item for item in items if item),
        collect=tuple(item for item in collected if item),
        label=tuple(reader.label(each) for each in keys["label"].items()) if "label" in keys else (),
        label_pattern=read_pattern(keys["label_pattern"], 1) if "label_pattern" in keys else "",
        where=reader.conditions(keys.get("where")),
        present=read_oid(keys["present"]) if "present" in keys else "",
    )


def _maker(spot: Spot, catalogue: Catalogue) -> Item:
    """What the profile knows of itself, said of every device that answers: sysObjectID is always there, and begins with 0, 1 or 2."""
    field = Field(SYS_OBJECT_ID, pattern=r"^\.?([012])\.")
    return Item(
        catalogue.signals[MAKER],
        (field,),
        poll=Poll.SLOW,
        optional=True,
        texts=dict.fromkeys(("0", "1", "2"), spot.text()),
    )


def _head(draft: _Draft, keys: Mapping[str, Spot], *, mixin: bool) -> None:
    for name in ("title", "maker", "generic", "match", "with") if mixin else ():
        if name in keys:
            keys[name].wrong(
                f"a mixin matches no device by itself; leave {name!r} out or name the file without the underscore"
            )
    draft.title = keys["title"].text() if "title" in keys else ""
    draft.generic = "generic" in keys and keys["generic"].truth()
    draft.extends = list(keys["extends"].items()) if "extends" in keys else []
    draft.adds = list(keys["with"].items()) if "with" in keys else []
    draft.matches = [(_match(each), each) for each in keys["match"].items()] if "match" in keys else []
    if draft.generic and draft.adds:
        keys["with"].wrong("generic profiles are used together anyway; leave `with` out")
    for rule, at in draft.matches:
        if draft.generic and (rule.object_id or rule.description):
            at.wrong("a generic profile describes a standard MIB: it matches by `present` only")
        if not draft.generic and not (rule.object_id or rule.description):
            at.wrong("a specific profile needs sysObjectID or sysDescr; for a standard MIB say `generic: true`")


def _draft(path: Path, name: str, catalogue: Catalogue) -> _Draft:
    spot = read(path, name)
    mixin = path.name.startswith("_")
    draft = _Draft(spot)
    keys = spot.mapping(language.TOP, () if mixin else ("title", "match"))
    _head(draft, keys, mixin=mixin)
    sentinels = texts(keys.get("sentinels"))
    optional = "optional" in keys and keys["optional"].truth()
    reader = Reader(catalogue, read_oid, in_table=False, sentinels=sentinels, optional=optional)
    for each in keys["scalars"].items() if "scalars" in keys else ():
        if (item := draft.attempt(reader.item, each)) is None:
            continue
        if (key := (item.part, item.signal.name)) in draft.scalars:
            each.wrong(f"{item.signal.name} stands here a second time; give other OIDs with first_of, or another part")
        draft.scalars[key] = item
    if "maker" in keys:
        draft.scalars.setdefault(("", MAKER), _maker(keys["maker"], catalogue))
    for each in keys["tables"].items() if "tables" in keys else ():
        table = draft.attempt(lambda at: _table(at, catalogue, sentinels, draft), each)
        if table is None:
            continue
        if table.group in draft.tables:
            each.wrong(f"the group {table.group!r} stands here a second time; name it otherwise")
        draft.tables[table.group] = table
    return draft


def _inherit(name: str, drafts: Mapping[str, _Draft], below: tuple[str, ...] = ()) -> _Draft:
    """The draft with what it extends. below: who asked, to find circles."""
    own = drafts[name]
    whole = _Draft(own.spot, own.title, own.generic, own.extends, own.adds, own.matches)
    for parent in own.extends:
        parent.choice(drafts, "profile or mixin")
        if parent.text() in (*below, name):
            parent.wrong(f"{name} and {parent.text()} extend each other; move what they share into a mixin")
        inherited = _inherit(parent.text(), drafts, (*below, name))
        whole.scalars |= inherited.scalars
        whole.tables |= inherited.tables
    whole.scalars |= own.scalars
    whole.tables |= own.tables
    return whole


def _refuse_twins(drafts: Collection[_Draft]) -> None:
    seen: dict[Match, Spot] = {}
    for draft in drafts:
        for rule, spot in draft.matches if not draft.generic else ():
            if rule in seen:
                spot.wrong(
                    f"the same rule as {seen[rule].file}:{seen[rule].line}; no device could tell them apart: add a condition to one"
                )
            seen[rule] = spot


def _profile(name: str, drafts: Mapping[str, _Draft]) -> DeviceProfile:
    whole = _inherit(name, drafts)
    if not whole.scalars and not whole.tables:
        whole.spot.wrong("the profile reads nothing; add `scalars`, `tables` or `extends`")
    generic = [each for each, draft in drafts.items() if draft.generic]
    adds = tuple(each.choice(generic, "generic profile") for each in whole.adds)
    recognition = Recognition(name, whole.generic, tuple(rule for rule, _ in whole.matches), adds)
    return DeviceProfile(name, whole.title, recognition, tuple(whole.scalars.values()), tuple(whole.tables.values()))


RECORDING = ".snmprec"
"""Beside a bank's own profile, under its name: what a real device answered. The shipped profiles have theirs among the tests of this project."""


def recorded(path: Path) -> bool:
    """Whether a recording stands beside a profile."""
    return path.with_suffix(RECORDING).exists()


def profile_files(folder: Path = HERE) -> tuple[Path, ...]:
    """Every profile and mixin, sorted."""
    return tuple(sorted(path for path in folder.rglob("*.yaml") if path.name != "catalogue.yaml"))


def _load(files: Iterable[tuple[Path, str]], catalogue: Catalogue) -> tuple[list[DeviceProfile], list[ProfileError]]:
    wrong: list[ProfileError] = []
    drafts: dict[str, _Draft] = {}
    for path, name in files:
        try:
            if path.stem in drafts:
                raise ProfileError(
                    f"{name}:1: {drafts[path.stem].spot.file} has the same name; name one of them otherwise"
                )
            drafts[path.stem] = _draft(path, name, catalogue)
        except ProfileError as error:
            wrong.append(error)
        else:
            wrong += drafts[path.stem].wrong
    if wrong:
        return [], wrong
    profiles = []
    try:
        _refuse_twins(drafts.values())
    except ProfileError as error:
        wrong.append(error)
    for name in sorted(drafts):
        if name.startswith("_"):
            continue
        try:
            profiles.append(_profile(name, drafts))
        except ProfileError as error:
            wrong.append(error)
    return profiles, wrong


def load_yaml(
    folder: Path = HERE, catalogue: Catalogue | None = None, own: Collection[Path] = ()
) -> tuple[DeviceProfile, ...]:
    """Every profile under the folder and in the files of a bank's `own`, by id. Raises ProfileError for the first thing that is wrong."""
    files = [(path, path.relative_to(folder).as_posix()) for path in profile_files(folder)]
    mine = {path.stem: recorded(path) for path in own}
    profiles, wrong = _load([*files, *((path, str(path)) for path in own)], catalogue or load_catalogue())
    if wrong:
        raise wrong[0]
    return tuple(
        replace(each, recognition=replace(each.recognition, untested=not mine.get(each.id, True))) for each in profiles
    )


def problems(paths: Iterable[Path], folder: Path = HERE) -> list[str]:
    """Everything that is wrong with these files, as `file:line: what; the mend`, beside the profiles of the folder."""
    given = {path.resolve(): path for path in paths}
    files = [
        (path, str(given[path.resolve()]) if path.resolve() in given else path.relative_to(folder).as_posix())
        for path in profile_files(folder)
    ]
    known = {path.resolve() for path, _ in files}
    files += [(path, str(path)) for resolved, path in given.items() if resolved not in known]
    return [str(error) for error in _load(files, load_catalogue())[1]]
