"""Tables of features: ``.csv`` as spreadsheets and pandas write them, ``.parquet``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idc_jax.data import Dataset, load
from idc_jax.data.sources import table
from idc_jax.data.sources.columns import row_names
from idc_jax.errors import UserError

pa = pytest.importorskip("pyarrow", reason="needs the extra idc_jax[export]")

X = np.arange(12).reshape(4, 3) / 8
ROWS = [",".join(map(str, row)) for row in X]


def csv(tmp_path: Path, *lines: str, ending: str = "csv", encoding: str = "utf-8") -> Dataset:
    path = tmp_path / f"f.{ending}"
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return load("features", path=path)


def refused(tmp_path: Path, *lines: str, **options: str) -> str:
    with pytest.raises(UserError) as caught:
        csv(tmp_path, *lines, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(tmp_path), "")


def test_named_columns(tmp_path: Path) -> None:
    data = csv(tmp_path, "a,b,c", *ROWS)
    np.testing.assert_array_equal(data.inputs, X)
    assert (data.labels, data.names, data.notes) == (None, (), ())


def test_labels_names_and_the_rest(tmp_path: Path) -> None:
    rows = [
        f"{row},{name},{i}.png,x" for i, (row, name) in enumerate(zip(ROWS, "pqpq", strict=True))
    ]
    data = csv(tmp_path, "a,b,c,label,file,city", *rows)
    np.testing.assert_array_equal(data.inputs, X)
    np.testing.assert_array_equal(data.labels, [0, 1, 0, 1])
    assert data.class_names == ("p", "q")
    assert data.names == ("0.png", "1.png", "2.png", "3.png")
    assert data.notes == ("'label' is taken for the labels", "not read: 'city'")
    assert load("features", path=tmp_path / "f.csv", label_key="city").class_names == ("x",)


def test_as_pandas_writes_it(tmp_path: Path) -> None:
    # With its count of rows, and the numbers that columns without names have.
    rows = [f"{i},{row}" for i, row in enumerate(ROWS)]
    data = csv(tmp_path, ",0,1,2", *rows)
    np.testing.assert_array_equal(data.inputs, X)
    assert data.names == ()
    np.testing.assert_array_equal(csv(tmp_path, "0,1,2", *ROWS).inputs, X)
    # An index of names, or of numbers that count nothing.
    assert csv(tmp_path, ",a,b,c", *[f"k{r}" for r in rows]).names == ("k0", "k1", "k2", "k3")
    assert csv(tmp_path, ",a,b,c", *[f"1{r}" for r in rows]).names == ("10", "11", "12", "13")


def test_without_a_first_line_of_names(tmp_path: Path) -> None:
    data = csv(tmp_path, *ROWS)
    np.testing.assert_array_equal(data.inputs, X)
    assert data.notes == ("the first line has no names of columns: they are called 0, 1, ...",)
    data = csv(tmp_path, *[f"{row},setosa" for row in ROWS])
    np.testing.assert_array_equal(data.inputs, X)
    assert data.notes[1] == "not read: '3'"


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_as_spreadsheets_write_it(tmp_path: Path, delimiter: str, encoding: str) -> None:
    lines = [line.replace(",", delimiter) for line in ("a,b,ü", *ROWS)]
    np.testing.assert_array_equal(csv(tmp_path, *lines, encoding=encoding).inputs, X)
    lines = [line.replace(".", ",") for line in lines]
    if delimiter == ";":
        assert "no columns of numbers, as in 1.5; it has a, b, ü" in refused(tmp_path, *lines)


def test_coordinates_are_no_labels(tmp_path: Path) -> None:
    data = csv(tmp_path, "x,y", "1,2", "3,2")
    np.testing.assert_array_equal(data.inputs, [[1, 2], [3, 2]])
    assert data.labels is None


def test_classes_by_number_some_unknown(tmp_path: Path) -> None:
    data = csv(
        tmp_path,
        "a,b,c,target",
        *[f"{r},{t}" for r, t in zip(ROWS, ("3", "3", "-1", ""), strict=True)],
    )
    np.testing.assert_array_equal(data.labels, [0, 0, -1, -1])
    assert data.class_names == ("3",)


def test_what_is_wrong_is_said_by_row_and_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in (4096, 2):
        monkeypatch.setattr(table, "_ROWS", rows)
        assert "row 3 has 1 cells, not 2 as the first" in refused(tmp_path, "a,b", "1,2", "3")
        told = refused(tmp_path, "a,b", "1,2", "3,4", "5,six")
        assert "row 4, column 'b' is 'six', which is not a number" in told
        told = refused(tmp_path, "a,b", "1,2", "3,", "5,6")
        assert "NaN or infinite features in 1 of 3 rows (1)" in told
    assert "two columns 'a'" in refused(tmp_path, "a,a", "1,2")
    assert "names 2 columns and has no rows" in refused(tmp_path, "a,b")
    assert "has no rows" in refused(tmp_path, "")
    assert "not a table of text in UTF-8" in refused(tmp_path, "ä,b", "1,2", encoding="latin-1")
    assert "no columns of numbers" in refused(tmp_path, "a,b", "x,y")
    assert "not a table" in refused(tmp_path, "a,b", '1,"2')
    with pytest.raises(UserError, match="no labels 'kind'; it holds a, b"):
        load("features", path=write(tmp_path, "a,b", "1,2"), label_key="kind")


def write(tmp_path: Path, *lines: str) -> Path:
    (tmp_path / "f.csv").write_text("\n".join(lines))
    return tmp_path / "f.csv"


# --- Parquet ---


def parquet(tmp_path: Path, columns: dict, **options: str) -> Dataset:
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "f.parquet")
    return load("features", path=tmp_path / "f.parquet", **options)


def test_a_column_of_vectors(tmp_path: Path) -> None:
    kinds = (pa.list_(pa.float32()), pa.list_(pa.float64(), 3), pa.large_list(pa.int16()))
    for kind in kinds:
        values = pa.array((X * 8).tolist(), pa.list_(pa.float64())).cast(kind)
        words = pa.array(["p", "q", "p", None]).dictionary_encode()
        columns = {"vector": values, "label": words, "id": [7, 8, 9, 10], "age": [1, 2, 3, 4]}
        data = parquet(tmp_path, columns)
        np.testing.assert_array_equal(data.inputs, X * 8)
        np.testing.assert_array_equal(data.labels, [0, 1, 0, -1])
        assert data.names == ("7", "8", "9", "10")
        assert "not read: 'age'" in data.notes
    columns = {"a": values, "b": values}
    with pytest.raises(UserError, match=r"it holds a \[4, 3\], b \[4, 3\]; features_key=a"):
        parquet(tmp_path, columns)
    assert parquet(tmp_path, columns, features_key="b").size == 4


def test_columns_of_numbers(tmp_path: Path) -> None:
    columns = {"a": X[:, 0], "b": X[:, 1] > 0.5, "when": pa.array([0] * 4, pa.timestamp("s"))}
    data = parquet(tmp_path, columns)
    np.testing.assert_array_equal(data.inputs, np.stack([X[:, 0], X[:, 1] > 0.5], 1))
    assert data.notes == ("left out are the columns when",)
    with pytest.raises(UserError, match=r"NaN or infinite features in 1 of 3 rows \(1\)"):
        parquet(tmp_path, {"a": [1, None, 3]})
    with pytest.raises(UserError, match="has no columns of numbers, text or vectors"):
        parquet(tmp_path, {"a": pa.array([[1.0], [1.0, 2.0]])})
    with pytest.raises(UserError, match="has no rows"):
        parquet(tmp_path, {"a": pa.array([], pa.float32())})


def test_a_damaged_one(tmp_path: Path) -> None:
    parquet(tmp_path, {"a": X[:, 0]})
    data = (tmp_path / "f.parquet").read_bytes()
    for cut in (len(data) - 30, 8, 4):
        (tmp_path / "f.parquet").write_bytes(data[:cut])
        with pytest.raises(UserError, match=r"cannot be read as \.parquet") as caught:
            load("features", path=tmp_path / "f.parquet")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("beyond", [1e300, float("inf")])
def test_numbers_that_no_integer_holds_name_no_rows(beyond: float) -> None:
    assert row_names({"id": np.array([beyond, 7.0])}, 2) is None
    assert row_names({"id": np.array([5.0, 7.0])}, 2).tolist() == [5, 7]
