"""Features in every shape that people keep them in."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from files import locked

from idc_jax import hosts
from idc_jax.data import Dataset, load
from idc_jax.data.sources import archive
from idc_jax.errors import UserError

N = 30
X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
Y = np.arange(N) % 3
WORDS = np.array(["cat", "dog", "owl"])[Y]


def npz(tmp_path: Path, **arrays: np.ndarray) -> Dataset:
    np.savez(tmp_path / "f.npz", **arrays)
    return load("features", path=tmp_path / "f.npz")


def refused(tmp_path: Path, name: str, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        load("features", path=tmp_path / name, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(tmp_path), "")


# --- Which array is which ---


@pytest.mark.parametrize("features", ["embeddings", "Embedding", "X", "feats", "arr_0", "z"])
@pytest.mark.parametrize("labels", ["y", "label", "TARGETS"])
def test_arrays_by_other_names(tmp_path: Path, features: str, labels: str) -> None:
    data = npz(tmp_path, **{features: X, labels: Y})
    np.testing.assert_array_equal(data.inputs, X)
    np.testing.assert_array_equal(data.labels, Y)
    assert data.notes == (
        f"features are the array {features!r}",
        f"labels are the array {labels!r}",
    )


def test_the_usual_names_go_first(tmp_path: Path) -> None:
    data = npz(tmp_path, features=X, embeddings=X + 1, labels=Y, y=Y * 0)
    np.testing.assert_array_equal(data.inputs, X)
    np.testing.assert_array_equal(data.labels, Y)
    assert data.notes == ("not read: 'embeddings' [30, 4], 'y' [30]",)


def test_nobody_can_tell_which(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", x_train=X, x_test=X, y_train=Y)
    told = refused(tmp_path, "f.npz")
    assert "it holds x_train [30, 4], x_test [30, 4], y_train [30]; features_key=x_train" in told
    data = load("features", path=tmp_path / "f.npz", features_key="x_test", label_key="y_train")
    assert data.class_names == ("0", "1", "2")
    np.savez(tmp_path / "f.npz", images=np.zeros((N, 2, 2, 3)), y=Y)
    assert "no array 'features'; it holds images [30, 2, 2, 3], y [30]" in refused(
        tmp_path, "f.npz"
    )
    np.savez(tmp_path / "f.npz")
    assert "it holds nothing" in refused(tmp_path, "f.npz")


def test_names(tmp_path: Path) -> None:
    for key, values in (
        ("names", [f"n{i}" for i in range(N)]),
        ("ids", np.arange(N) + 7),
        ("paths", [f"a/{i}.png".encode() for i in range(N)]),
    ):
        data = npz(tmp_path, features=X, **{key: np.asarray(values)})
        wanted = [v.decode() if isinstance(v, bytes) else str(v) for v in list(values)]
        assert data.names == tuple(wanted)
    assert load("features", path=tmp_path / "f.npz", limit=3).names == tuple(wanted[:3])


def test_names_that_are_none(tmp_path: Path) -> None:
    data = npz(tmp_path, features=X, names=WORDS)
    assert data.names == ()
    assert "names are not read: 10 samples are called 'cat'" in " ".join(data.notes)
    # Of another length, they are the classes'.
    data = npz(tmp_path, features=X, labels=Y, names=np.array(["cat", "dog", "owl"]))
    assert (data.names, data.notes) == ((), ("not read: 'names' [3]",))


# --- Labels ---


@pytest.mark.parametrize(
    ("labels", "classes", "wanted"),
    [
        (WORDS, ("cat", "dog", "owl"), Y),
        (WORDS.astype("S"), ("cat", "dog", "owl"), Y),
        (Y.astype(float), ("0", "1", "2"), Y),
        (Y.astype(np.uint64), ("0", "1", "2"), Y),
        (Y[:, None], ("0", "1", "2"), Y),
        (Y > 0, ("False", "True"), Y > 0),
        (np.where(Y == 2, -1, Y), ("0", "1"), np.where(Y == 2, -1, Y)),
        (np.where(Y == 2, np.nan, Y), ("0", "1"), np.where(Y == 2, -1, Y)),
        (np.where(Y == 2, "", WORDS), ("cat", "dog"), np.where(Y == 2, -1, Y)),
        (np.where(Y == 2, -1, 1), ("-1", "1"), np.where(Y == 2, 0, 1)),
    ],
    ids=lambda value: getattr(value, "dtype", None) and str(value.dtype),
)
def test_labels(tmp_path: Path, labels: np.ndarray, classes: tuple, wanted: np.ndarray) -> None:
    data = npz(tmp_path, features=X, labels=labels)
    np.testing.assert_array_equal(data.labels, wanted)
    assert data.class_names == classes
    unknown = int((np.asarray(wanted) < 0).sum())
    told = ["labels -1 and 1 are taken for two classes"] if classes == ("-1", "1") else []
    told += [f"{unknown} of 30 samples have no label"] if unknown else []
    assert data.notes == tuple(told)


def test_labels_that_nobody_knows(tmp_path: Path) -> None:
    data = npz(tmp_path, features=X, labels=np.full(N, -1))
    assert data.labels is None
    assert "no label is known" in data.notes[0]


def test_numbers_that_are_no_labels(tmp_path: Path) -> None:
    data = npz(tmp_path, features=X, y=X[:, 0])
    assert data.labels is None
    assert data.notes == ("not read: 'y' [30]",)
    assert "labels must be integers or strings, got float32" in refused(
        tmp_path, "f.npz", label_key="y"
    )
    np.savez(tmp_path / "f.npz", features=X, labels=np.eye(3)[Y])
    assert "labels [30, 3] do not fit 30 rows" in refused(tmp_path, "f.npz")


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=X, labels=WORDS.astype(object))
    assert "'labels' holds Python objects" in refused(tmp_path, "f.npz")
    np.savez(tmp_path / "f.npz", features=X.astype(object))
    assert "array.astype('float32')" in refused(tmp_path, "f.npz")
    np.save(tmp_path / "f.npy", X.astype(object))
    assert "its array holds Python objects" in refused(tmp_path, "f.npy")
    # What nobody asks for may be anything.
    np.savez(tmp_path / "f.npz", features=X, other=np.array([{}], object))
    assert load("features", path=tmp_path / "f.npz").size == N


# --- Numbers ---


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float64, np.int8, np.int64, np.uint8, bool, ">f4"]
)
def test_kinds_of_numbers(tmp_path: Path, dtype: object) -> None:
    values = np.asarray(X * 10).astype(dtype)
    data = npz(tmp_path, features=values)
    assert data.inputs.dtype == np.float32
    np.testing.assert_array_equal(data.inputs, values.astype(np.float32))
    np.savez_compressed(tmp_path / "c.npz", features=np.asfortranarray(values))
    np.testing.assert_array_equal(load("features", path=tmp_path / "c.npz").inputs, data.inputs)


def row_of(value: float, dtype: type = np.float64) -> np.ndarray:
    features = X.astype(dtype)
    features[7] = value
    return features


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (row_of(9.97e36), "features as large as 9.97e+36 in 1 of 30 rows (7): is that a missing"),
        (row_of(1e20), "features as large as 1e+20 in 1 of 30 rows (7)"),
        (row_of(1e300), "features as large as 1e+300 in 1 of 30 rows (7)"),
        (X * 1e20, "in 30 of 30 rows (0, 1, 2, 3, 4, ...): divide all by their standard deviation"),
        (X * np.float64(1e200), "divide all by their standard deviation"),
        (X * 1e-25, "too small to tell distances: divide all by their standard deviation"),
        (row_of(np.inf), "NaN or infinite features in 1 of 30 rows (7)"),
        (row_of(np.inf, np.float16), "NaN or infinite features in 1 of 30"),
        (X + 0j, "must be numbers"),
        (X[:, 0], "got float32 [30]"),
        (X[:, :0], "got float32 [30, 0]"),
        (X.astype("datetime64[s]"), "must be numbers"),
    ],
    ids=range(12),
)
def test_numbers_that_nobody_can_reckon_with(
    tmp_path: Path, features: np.ndarray, said: str
) -> None:
    np.save(tmp_path / "f.npy", features)
    assert said in refused(tmp_path, "f.npy")


def test_odd_numbers_are_noted(tmp_path: Path) -> None:
    data = npz(tmp_path, features=row_of(-9999))
    assert data.notes == (
        "1 of 30 rows (7) hold nothing but -9999: is that a missing value's mark?",
    )
    assert npz(tmp_path, features=X * 0).notes == (
        "all features are 0: nothing tells samples apart",
    )
    # A dead image, constant columns and equal rows are nothing odd.
    assert npz(tmp_path, features=row_of(0.0)).notes == ()
    assert npz(tmp_path, features=np.repeat(X[:10], 3, axis=0) * [1, 1, 0, 0]).notes == ()


# --- Files ---


def test_large_arrays_are_read_where_they_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_LARGE", 1)
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    for order in "CF":
        held = np.asarray(x, order=order)
        np.savez(tmp_path / "plain.npz", labels=np.arange(50), features=held)
        np.savez_compressed(tmp_path / "small.npz", labels=np.arange(50), features=held)
        np.save(tmp_path / "bare.npy", held)
        for name in ("plain.npz", "small.npz", "bare.npy"):
            np.testing.assert_array_equal(load("features", path=tmp_path / name).inputs, x)
    listed = archive._listed(tmp_path / "plain.npz")
    found = archive._read(tmp_path / "plain.npz", "features", listed["features"])
    assert isinstance(found, np.memmap)


def test_each_of_several_processes_looks_at_its_share_of_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_LARGE", 1)
    monkeypatch.setattr(hosts, "count", lambda: 2)
    x = X.copy()
    x[3] = np.nan
    np.savez(tmp_path / "f.npz", features=x)
    monkeypatch.setattr(hosts, "share", lambda total: slice(10, total))
    np.testing.assert_array_equal(load("features", path=tmp_path / "f.npz").inputs, x)
    x[12] = np.inf
    np.savez(tmp_path / "f.npz", features=x)
    assert "NaN or infinite features in 1 of 30 rows (12)" in refused(tmp_path, "f.npz")


def test_what_is_no_file_of_features(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[[1, 2]]")
    np.savetxt(tmp_path / "a.txt", X)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(X))
    for name in ("a.json", "a.txt", "a.pkl"):
        told = f"/{name} is no file of features: name a .npz, .npy, .csv or .parquet file"
        assert told in refused(tmp_path, name)
    (tmp_path / "a.npz").write_text("hello")
    assert "cannot be read as .npz: it is damaged or" in refused(tmp_path, "a.npz")
    (tmp_path / "empty.npy").touch()
    assert "is empty" in refused(tmp_path, "empty.npy")
    assert "is a folder" in refused(tmp_path, ".")
    assert "no labels 'y'" in refused(tmp_path, write_npy(tmp_path), label_key="y")


def write_npy(tmp_path: Path) -> str:
    np.save(tmp_path / "f.npy", X)
    return "f.npy"


def test_the_content_says_what_a_file_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=X)
    (tmp_path / "f.npz").rename(tmp_path / "f.dat")
    assert load("features", path=tmp_path / "f.dat").size == N


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    for shape in ("(99999999999, 4)", "(-1, 4)", "(30, 4, 99999999999999999999)"):
        np.save(tmp_path / "f.npy", X)
        data = (tmp_path / "f.npy").read_bytes()
        old = b"(30, 4), }" + b" " * 30
        (tmp_path / "f.npy").write_bytes(data.replace(old, (shape + ", }").encode().ljust(40)))
        assert "cannot be read" in refused(tmp_path, "f.npy")


def test_a_locked_file(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", X)
    with locked(tmp_path / "f.npy"):
        assert "cannot read /f.npy: Permission denied" in refused(tmp_path, "f.npy")
