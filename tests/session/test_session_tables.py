"""Sessions about tables: a DataFrame, a Dataset of Hugging Face's, and arrays that are none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from idc_jax import Session
from idc_jax.errors import UserError
from idc_jax.session import samples
from idc_jax.session.samples import Samples, as_samples

datasets = pytest.importorskip("datasets", reason="needs the package datasets")
pandas = pytest.importorskip("pandas", reason="comes with datasets")

N = 30
LABELS = np.arange(N) % 3
X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
NAMES = ("cat", "dog", "owl")
CLASSES = datasets.ClassLabel(names=list(NAMES))
VECTORS = datasets.Sequence(datasets.Value("float32"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(samples, "best_network", lambda: "")
    monkeypatch.setattr(samples, "_OWN_SIDE", 4)
    monkeypatch.setenv("IDC_JAX_CACHE", str(tmp_path / "cache"))


def vectors(**columns: Any) -> Any:
    features = {"embedding": VECTORS, "label": CLASSES}
    kinds = {name: features.get(name) or datasets.Value(kind_of(v)) for name, v in columns.items()}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


def kind_of(values: Any) -> str:
    first = next(value for value in values if value is not None)
    return {str: "string", int: "int64", float: "float64"}[type(first)]


def picture(level: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), (level,) * 3).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def pictures(items: list[Any], **columns: Any) -> Any:
    kinds = {"image": datasets.Image()} | {
        name: {"embedding": VECTORS, "label": CLASSES}.get(name, datasets.Value("string"))
        for name in columns
    }
    return datasets.Dataset.from_dict(
        {"image": items, **columns}, features=datasets.Features(kinds)
    )


def refused(data: Any, **given: Any) -> str:
    with pytest.raises(UserError) as caught:
        as_samples(data, **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- Hugging Face's Dataset ---


def test_vectors_with_ids() -> None:
    ids = [f"k{i}" for i in range(N)]
    found = as_samples(vectors(embedding=list(X), label=LABELS.tolist(), id=ids))
    np.testing.assert_array_equal(found.dataset.inputs, X)
    assert found.ids == tuple(ids)
    assert found.dataset.names == found.ids
    # Nobody asked for the labels.
    assert found.labels == ()
    assert found.dataset.labels is None


def test_rows_keep_the_order_that_the_dataset_gives_them() -> None:
    data = vectors(embedding=list(X), id=list(range(100, 100 + N))).shuffle(seed=0).select(range(9))
    found = as_samples(data)
    assert found.ids == tuple(data["id"])
    np.testing.assert_array_equal(found.dataset.inputs, X[np.asarray(data["id"]) - 100])


def test_without_ids_rows_have_numbers() -> None:
    for given in ({}, {"id": ["same"] * N}):
        found = as_samples(vectors(embedding=list(X), **given))
        assert found.ids is None
    assert as_samples(vectors(embedding=list(X)), ids=range(5, 5 + N)).ids[0] == 5


def test_columns_of_numbers_are_vectors_too() -> None:
    columns = {f"x{i}": X[:, i].astype(float).tolist() for i in range(4)}
    found = as_samples(vectors(**columns, label=LABELS.tolist()))
    np.testing.assert_array_equal(found.dataset.inputs, X)


def test_images() -> None:
    items = [picture(int(level)) for level in range(0, 240, 8)]
    found = as_samples(pictures(items, label=LABELS.tolist()))
    assert (found.dataset.kind, found.dataset.inputs.shape) == ("images", (N, 4, 4, 3))
    np.testing.assert_array_equal(found.dataset.inputs[:, 0, 0, 0], range(0, 240, 8))
    assert (found.ids, found.features, found.dataset.names) == (None, None, ())


def test_images_that_cannot_be_read_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.png").write_bytes(picture(7)["bytes"])
    gone, there = ({"bytes": None, "path": str(tmp_path / n)} for n in ("gone.png", "there.png"))
    items = [picture(1), {"bytes": b"no", "path": "x.png"}, None, gone, there, picture(2)]
    data = pictures(items, embedding=list(X[:6]), name=list("abcdef"))
    found = as_samples(data)
    np.testing.assert_array_equal(found.dataset.inputs[:, 0, 0, 0], [1, 7, 2])
    np.testing.assert_array_equal(found.features, X[[0, 4, 5]])
    assert found.ids == ("a", "e", "f")
    said = capsys.readouterr().out
    assert said.startswith("left out: ")
    assert "x.png (no image)" in said
    assert "1 other: row 2 (no image)" in said
    assert "gone.png (cannot be read" in said
    # Without names, those that are left keep their numbers.
    assert as_samples(data.remove_columns("name")).ids == (0, 4, 5)
    assert "none of 1 images can be read" in refused(data.select([2]))


def test_images_are_shown_and_vectors_compared() -> None:
    found = as_samples(pictures([picture(9)] * N, embedding=list(X)))
    assert found.dataset.kind == "images"
    np.testing.assert_array_equal(found.features, X)


def test_what_is_no_single_dataset() -> None:
    data = vectors(embedding=list(X), label=LABELS.tolist())
    assert "such as data['train']" in refused(datasets.DatasetDict(train=data))
    assert "use a single Dataset" in refused(data.to_iterable_dataset())
    assert "no rows" in refused(data.select([]))
    assert "no columns of numbers, text or vectors" in refused(data.select_columns("label"))
    two = (
        pictures([picture(9)]).add_column("other", [0]).cast_column("other", datasets.Value("int8"))
    )
    two = two.map(lambda row: {"second": row["image"]}, features=None).select_columns(
        ["image", "second"]
    )
    assert "data has images in image, second" in refused(two)
    text = vectors(id=["a"])
    assert "no columns of numbers, as in 1.5; it has id" in refused(text)
    odd = X.copy()
    odd[7] = 9.97e36
    assert "9.97e+36 in 1 of 30 rows (7)" in refused(vectors(embedding=list(odd)))


@pytest.mark.parametrize(
    ("column", "values", "wanted"),
    [
        ("label", [0, 2, -1], ("cat", "owl", None)),
        ("kind", ["a", None, ""], ("a", None, None)),
        ("kind", [3, None, -1], ("3", None, None)),
        ("kind", [1.0, 2.5, float("nan")], ("1", "2.5", None)),
    ],
)
def test_labels_that_were_asked_for(column: str, values: list, wanted: tuple) -> None:
    found = as_samples(vectors(embedding=list(X[:3]), **{column: values}), label_column=column)
    assert found.labels == wanted
    assert found.dataset.inputs.shape == (3, 4)
    frame = pandas.DataFrame(X[:3])
    frame["kind"] = values if column == "kind" else ["cat", "owl", None]
    assert as_samples(frame, label_column="kind").labels == wanted


def test_labels_that_were_asked_for_are_answers() -> None:
    labels = [int(label) if row < 6 else -1 for row, label in enumerate(LABELS)]
    data = vectors(embedding=list(X), label=labels, id=[f"k{i}" for i in range(N)])
    session = Session(data, 3, label_column="label", options={"graph_committee.steps": 2})
    assert sorted((group.name, group.answered) for group in session.groups_) == [
        (name, 2) for name in NAMES
    ]
    assert set(session.ask(N).ids) == {f"k{i}" for i in range(6, N)}
    # Anybody may say better.
    session.answer({"k0": "owl"}, annotator="label")
    assert {group.name: group.answered for group in session.groups_}["owl"] == 3


def test_a_label_column_that_is_not_there() -> None:
    data = vectors(embedding=list(X), label=LABELS.tolist())
    assert "label_column is 'y'; choose one of embedding, label" in refused(data, label_column="y")
    assert "choose one of 0, 1, 2, 3" in refused(pandas.DataFrame(X), label_column="y")
    assert "data is not a table: ndarray" in refused(X, label_column="y")


# --- pandas ---


def test_frames() -> None:
    frame = pandas.DataFrame(X, columns=list("abcd"))
    assert as_samples(frame).ids is None
    frame["label"], frame["city"], frame["when"] = LABELS, "x", pandas.Timestamp("2024-01-01")
    found = as_samples(frame)
    np.testing.assert_array_equal(found.dataset.inputs, X)
    assert found.dataset.notes == ("'label' is taken for the labels", "not read: 'city'")
    frame.index = [f"r{i}" for i in range(N)]
    assert as_samples(frame).ids[:2] == ("r0", "r1")
    named = frame.reset_index(drop=True).assign(id=range(7, 7 + N))
    assert as_samples(named).ids == tuple(range(7, 7 + N))
    listed = pandas.DataFrame({"vector": list(X)})
    np.testing.assert_array_equal(as_samples(listed).dataset.inputs, X)


def test_frames_that_do_not_do() -> None:
    frame = pandas.DataFrame(X)
    frame.loc[3, 0] = None
    assert "NaN or infinite features in 1 of 30 rows (3)" in refused(frame)
    frame[0] = frame[0].astype("Float32")
    assert "NaN or infinite features in 1 of 30 rows (3)" in refused(frame)
    assert "no rows" in refused(pandas.DataFrame(X[:0]))
    assert "two columns of one name" in refused(pandas.DataFrame(X, columns=list("aabc")))
    assert "no columns of numbers, as in 1.5; it has a" in refused(pandas.DataFrame({"a": ["x"]}))
    ragged = pandas.DataFrame({"a": [[1.0], [1.0, 2.0]]})
    assert "no columns of numbers, text or vectors" in refused(ragged)
    twice = pandas.DataFrame(X, index=[1] * N)
    assert "ids must differ" in refused(twice)


# --- Arrays ---


def test_arrays_that_are_none() -> None:
    class Sparse:
        def toarray(self) -> None: ...

    assert "data is sparse, a Sparse; use data.toarray()" in refused(Sparse())
    masked = np.ma.masked_where(np.arange(N)[:, None] * np.ones(4) == 7, X)
    assert "masked features in 1 of 30 rows (7)" in refused(masked)
    np.testing.assert_array_equal(as_samples(np.ma.masked_where(X > 99, X)).dataset.inputs, X)
    assert "data is object [30, 4]" in refused(X.astype(object))
    assert "list is not an array" in refused([[1, 2], [3]])
    assert "the last size must be 1 or 3, channels" in refused(np.zeros((5, 3, 8, 8), np.uint8))
    assert "an id is [1]" in refused(X, ids=[[1]] * N)


def test_ids_of_numpys_are_pythons() -> None:
    found: Samples = as_samples(X, ids=np.arange(N))
    assert [type(one) for one in found.ids[:2]] == [int, int]


def test_files_with_names(tmp_path: Path) -> None:
    names = np.array([f"n{i}" for i in range(N)])
    np.savez(tmp_path / "f.npz", features=X, names=names)
    assert as_samples(tmp_path / "f.npz").ids == tuple(names)


def test_a_folder_is_read_whole_and_what_is_not_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train/a/1.png", "val/a/1.png", "extra/1.png", "Test/b/2.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(picture(9)["bytes"])
    (tmp_path / "photos" / "train" / "a" / "notes.txt").touch()
    found = as_samples(tmp_path / "photos")
    assert len(found.ids) == 4
    assert capsys.readouterr().out.startswith("left out: 1 .txt: ")
