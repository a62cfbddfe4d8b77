"""A criterion's vectors: what is read, and what is told of files that hold something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idc_jax.data.criterion import listed_words, read_criterion
from idc_jax.errors import UserError

VECTORS = np.array([[3.0, 4.0], [0.0, -2.0], [1.0, 0.0]])


def test_vectors_are_made_unit_and_words_are_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", embeddings=VECTORS, words=["red", "blue", "grün"])
    found = read_criterion(str(tmp_path / "a.npz"))
    assert found.words == ("red", "blue", "grün")
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, [[0.6, 0.8], [0, -1], [1, 0]], rtol=1e-6)
    np.save(tmp_path / "b.npy", VECTORS.astype(np.float16))
    plain = read_criterion(str(tmp_path / "b.npy"))
    assert plain.words == ("0", "1", "2")
    np.testing.assert_allclose(plain.vectors, found.vectors, rtol=1e-3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vectors": VECTORS}, "has no array 'embeddings'; it holds vectors"),
        ({"embeddings": VECTORS[0]}, r"got float64 \[2\]; it must be numbers, embeddings \[w, d\]"),
        ({"embeddings": VECTORS[:0]}, r"got float64 \[0, 2\]"),
        ({"embeddings": np.array([["a", "b"]])}, "it must be numbers"),
        ({"embeddings": VECTORS, "words": ["red"]}, "1 words, but embeddings of 3"),
        ({"embeddings": VECTORS * [[1], [0], [1]], "words": list("abc")}, "vector of 'b' is zero"),
        ({"embeddings": VECTORS * [[1], [1], [np.nan]]}, "vector of '2' is zero or not finite"),
    ],
)
def test_what_is_no_criterion_is_told_in_a_line(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=message) as refused:
        read_criterion(str(tmp_path / "a.npz"))
    assert "\n" not in str(refused.value)


def test_what_cannot_be_read_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a file"):
        read_criterion(str(tmp_path / "none.npz"))
    with pytest.raises(UserError, match="is not a file"):
        read_criterion(str(tmp_path))
    (tmp_path / "text.npy").write_text("red, blue")
    with pytest.raises(UserError, match="cannot be read"):
        read_criterion(str(tmp_path / "text.npy"))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="cannot be read"):
        read_criterion(str(tmp_path / "broken.npz"))
    np.savez(tmp_path / "objects.npz", embeddings=np.array([{}, {}], object))
    with pytest.raises(UserError, match="cannot be read"):
        read_criterion(str(tmp_path / "objects.npz"))


def test_words_are_listed_in_the_option_or_in_a_file(tmp_path: Path) -> None:
    assert listed_words("red, dark green,red ,, grün") == ("red", "dark green", "grün")
    file = tmp_path / "words.txt"
    file.write_text("\ufeffred\r\ndark green\n\nred\n", encoding="utf-8")
    assert listed_words(str(file)) == ("red", "dark green")
    assert listed_words(str(tmp_path / "none.npz")) is None
    np.savez(tmp_path / "a, b.npz", embeddings=VECTORS)
    assert listed_words(str(tmp_path / "a, b.npz")) is None
    with pytest.raises(UserError, match="lists 1 words; list at least 2"):
        listed_words("red,")
    for held in (b"\xff\xfe\xfa", b"PK\x00\x00"):
        file.write_bytes(held)
        with pytest.raises(UserError, match="is not text; write one word a line"):
            listed_words(str(file))
