from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.preprocessing import FunctionTransformer

from tillwatch.collector.learn import model_file
from tillwatch.collector.learn.model_file import FORMAT, ModelFile, ModelFileError, load, save

X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)


@pytest.fixture
def model() -> ModelFile:
    """As another learner of this house would store it."""
    trees = [HistGradientBoostingRegressor(max_iter=3, random_state=n).fit(X, X[:, 0]) for n in range(2)]
    parts = {"members": trees, "scale": np.ones(3), "cap": 125.0, "words": {"model": ["A"]}, "none": None}
    return ModelFile("remaining_life", ("a", "b", "c"), {"holdout": None, "rows": 200}, parts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "life.model"


def whole(**other: object) -> dict[str, object]:
    return {"format": FORMAT, "kind": "hazard", "features": [], "card": {}, "parts": {}} | other


def test_what_is_saved_is_loaded(model: ModelFile, path: Path) -> None:
    save(path, model)
    again = load(path)
    assert (again.kind, again.features, again.card) == (model.kind, model.features, model.card)
    for ours, theirs in zip(model.parts["members"], again.parts["members"], strict=True):
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_array_equal(again.parts["scale"], np.ones(3))
    assert (again.parts["cap"], again.parts["words"], again.parts["none"]) == (125.0, {"model": ["A"]}, None)


def test_there_is_no_pickle_in_it(model: ModelFile, path: Path) -> None:
    save(path, model)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            assert name == "schema.json" or name.endswith(".npy")
            if name.endswith(".npy"):
                np.load(io.BytesIO(archive.read(name)), allow_pickle=False)


def test_a_type_that_is_not_on_the_list_is_refused(path: Path) -> None:
    path.write_bytes(skops.io.dumps(whole(parts={"f": FunctionTransformer(func=exec)})))
    with pytest.raises(
        ModelFileError, match=r"life.model: names types that no model has \(builtins.exec\).*do not use it"
    ):
        load(path)


def test_a_type_that_is_not_on_the_list_is_not_saved(path: Path) -> None:
    with pytest.raises(ModelFileError, match="names types"):
        save(path, ModelFile("hazard", (), {}, {"path": Path("x")}))
    assert not path.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused(model: ModelFile, path: Path, share: float) -> None:
    save(path, model)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match="cut off, or no model: train it again"):
        load(path)


def test_bits_that_turned_are_refused_or_do_no_harm(model: ModelFile, path: Path) -> None:
    save(path, model)
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for place in rng.integers(0, len(data), 60):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :])
        try:
            load(path)
        except ModelFileError:
            refused += 1
    assert refused > 30


def test_a_file_that_is_not_there_is_one_clear_error(path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"life.model: cannot be read \(No such file"):
        load(path)


def test_another_format_is_refused(path: Path) -> None:
    path.write_bytes(skops.io.dumps(whole(format=FORMAT + 1)))
    with pytest.raises(ModelFileError, match=f"has format {FORMAT + 1}, this program reads {FORMAT}"):
        load(path)
    path.write_bytes(skops.io.dumps([1, 2]))
    with pytest.raises(ModelFileError, match="has format None"):
        load(path)


def test_a_part_that_lacks_is_refused(path: Path) -> None:
    path.write_bytes(skops.io.dumps(whole(features=None)))
    with pytest.raises(ModelFileError, match="lacks a part"):
        load(path)


def test_a_file_that_is_too_large_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(model_file.MAX_BYTES + 1)
    with pytest.raises(ModelFileError, match="a model has at most 64"):
        load(path)


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("0.npy", "w") as member:
        block = bytes(1 << 20)
        for _ in range((model_file.MAX_UNPACKED >> 20) + 1):
            member.write(block)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ModelFileError, match="unpacks to more than any model"):
        load(path)


@pytest.mark.parametrize(
    ("field", "value"), [("left", 10**6), ("right", 0), ("feature_idx", 3), ("feature_idx", -1), ("is_categorical", 1)]
)
def test_trees_that_point_outside_themselves_are_refused(model: ModelFile, path: Path, field: str, value: int) -> None:
    """The walk over them in C checks nothing."""
    model.parts["members"][1]._predictors[2][0].nodes[field][0] = value
    path.write_bytes(skops.io.dumps(whole(parts=dict(model.parts))))
    with pytest.raises(ModelFileError, match="point outside themselves"):
        load(path)


def test_what_was_there_stays_until_the_new_one_is_whole(
    model: ModelFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(path, model)
    before = path.read_bytes()

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_file.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(path, model)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
