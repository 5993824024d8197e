"""A model in a file, without pickle: skops writes a schema and arrays, and reads only types of a fixed list. What a file cannot be taken for (too
large, cut off, of another format, with a type that is not on the list, with trees that point outside themselves) is refused with one error
that says what to do. Written whole or not at all.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
"""Counts up when an older collector would misread a file."""
MAX_BYTES = 64 << 20
"""Three hundred trees of 31 leaves are under 2 MB; a file of this size is no model of ours, and would fill the memory of a small collector."""
MAX_UNPACKED = 256 << 20
"""What the archive says it unpacks to; skops packs nothing, so a great difference is a bomb."""
MAX_MEMBERS = 50_000
"""Arrays in the archive: two a tree, some thousand trees."""
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
"""Beyond what skops itself holds for harmless (plain values, numpy arrays, public estimators of scikit-learn). Its nodes are walked without a
check in C, hence _sound().
"""

RETRAIN = "train it again with `tillwatch-collector train`"


class ModelFileError(ValueError):
    """A model that is not used; the message says which file, why and what to do."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """kind: whose parts they are (hazard, fallback, remaining_life ...), to choose from_parts. parts: a dict of plain values, numpy arrays and
    scikit-learn estimators. card: plain values.
    """

    kind: str
    features: tuple[str, ...]
    card: Mapping[str, Any]
    parts: Mapping[str, Any]


def save(path: Path, model: ModelFile) -> None:
    """Replaces what was there in one step. ModelFileError where the model could not be read again."""
    import skops.io  # noqa: PLC0415  # brings scikit-learn

    whole = {
        "format": FORMAT,
        "kind": model.kind,
        "features": list(model.features),
        "card": dict(model.card),
        "parts": dict(model.parts),
    }
    data = skops.io.dumps(whole)
    _read(path, data)  # what could not be loaded is found out now, not on the day the collector starts
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)  # noqa: PTH105  # of a name, not of a Path
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def load(path: Path) -> ModelFile:
    """ModelFileError where it is not to be trusted or cannot be read."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelFileError(f"{path}: {size >> 20} MiB, a model has at most {MAX_BYTES >> 20}: {RETRAIN}")
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}): {RETRAIN}, or name another file") from error
    return _read(path, data)


def _read(path: Path, data: bytes) -> ModelFile:
    import skops.io  # noqa: PLC0415

    _check_archive(path, data)
    try:
        strange = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
        if strange:
            raise ModelFileError(
                f"{path}: names types that no model has ({', '.join(strange[:3])}): it was not written by this program; do not use it, "
                f"find out where it came from, and {RETRAIN}"
            )
        whole = skops.io.loads(data, trusted=list(TRUSTED))
    except ModelFileError:
        raise
    except Exception as error:  # skops raises what the parts of a broken file happen to raise
        raise ModelFileError(f"{path}: is no whole model ({type(error).__name__}): {RETRAIN}") from error
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        said = whole.get("format") if isinstance(whole, dict) else None
        raise ModelFileError(f"{path}: has format {said!r}, this program reads {FORMAT}: {RETRAIN}")
    kind, names, card, parts = (whole.get(name) for name in ("kind", "features", "card", "parts"))
    if not (isinstance(kind, str) and isinstance(names, list) and isinstance(card, dict) and isinstance(parts, dict)):
        raise ModelFileError(f"{path}: lacks a part of a model: {RETRAIN}")
    for estimator in _estimators(parts):
        if not _sound(estimator):
            raise ModelFileError(
                f"{path}: holds trees that point outside themselves: it was changed after it was written; {RETRAIN}"
            )
    return ModelFile(kind, tuple(names), card, parts)


def _check_archive(path: Path, data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise ModelFileError(
            f"{path}: the model has {len(data) >> 20} MiB, at most {MAX_BYTES >> 20}: train it with fewer trees"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ModelFileError(f"{path}: is cut off, or no model: {RETRAIN}") from error
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED:
        raise ModelFileError(f"{path}: unpacks to more than any model: do not use it, and {RETRAIN}")


def _estimators(value: object) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _estimators(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _estimators(inner)
    elif hasattr(value, "_predictors"):
        yield value


def _sound(estimator: Any) -> bool:
    """Children come after their parent and inside the tree, features are those that there are, no category tests: so every walk ends, inside."""
    for stage in estimator._predictors:  # noqa: SLF001  # there is no public way to the trees
        for tree in stage:
            nodes = tree.nodes
            inner = nodes[nodes["is_leaf"] == 0]
            where = np.flatnonzero(nodes["is_leaf"] == 0)
            below = (inner["left"] > where) & (inner["right"] > where)
            inside = (inner["left"] < len(nodes)) & (inner["right"] < len(nodes))
            known = (inner["feature_idx"] >= 0) & (inner["feature_idx"] < estimator.n_features_in_)
            if not len(nodes) or not np.all(below & inside & known) or np.any(inner["is_categorical"]):
                return False
    return True
