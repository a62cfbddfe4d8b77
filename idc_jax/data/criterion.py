"""A criterion in words: what describes the groups that somebody has in mind.

Which words ("red, blue, ..." or "dog, cat, ...") is theirs to say; samples are compared by unit
vectors of prompts with the words, made by the text tower of an image-text network.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from idc_jax.data.finite import bad_rows
from idc_jax.errors import UserError

_SHAPE = "embeddings [w, d] of one or more words"
_FILE = f"an .npz or .npy of {_SHAPE}"


class Criterion(NamedTuple):
    """Words and their vectors.

    Attributes:
      vectors: float32 ``[w, d]``, of unit length, in the space of the images' embeddings.
      words: w of them, numbers where the file has none.
    """

    vectors: np.ndarray
    words: tuple[str, ...]


def listed_words(criterion: str) -> tuple[str, ...] | None:
    """The words of ``"red, green, blue"`` or of a text file with one a line, each once.

    Returns:
      None where ``criterion`` names anything else, such as a file of vectors.

    Raises:
      UserError: fewer than two words, or a file that is not text.
    """
    file = Path(criterion).expanduser()
    if not file.is_file():
        if "," not in criterion:
            return None
        found = criterion.split(",")
    elif file.suffix.lower() in (".npz", ".npy"):
        return None
    else:
        found = _lines(file)
    words = tuple(dict.fromkeys(word.strip() for word in found if word.strip()))
    if len(words) < 2:
        raise UserError(f"the criterion {criterion!r} lists {len(words)} words; list at least 2")
    return words


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise UserError(f"{file} is not text; write one word a line, or use {_FILE}") from error
    if "\0" in text:
        raise UserError(f"{file} is not text; write one word a line, or use {_FILE}")
    return text.splitlines()


def read_criterion(path: str) -> Criterion:
    """Read an ``.npz`` of ``embeddings`` ``[w, d]``, perhaps with ``words`` ``[w]``, or ``.npy``.

    Raises:
      UserError: no such file, or one that holds something else.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(
            f"the criterion {path!r} is not a file; use {_FILE}, or words like 'red, blue'"
        )
    vectors, words = _read(file)
    if vectors.ndim != 2 or 0 in vectors.shape or vectors.dtype.kind not in "fiu":
        raise UserError(
            f"{file}: got {vectors.dtype} {list(vectors.shape)}; it must be numbers, {_SHAPE}"
        )
    vectors = vectors.astype(np.float32)
    names = tuple(map(str, range(len(vectors)) if words is None else words.tolist()))
    if len(names) != len(vectors):
        raise UserError(f"{file}: {len(names)} words, but embeddings of {len(vectors)}")
    lengths = np.linalg.norm(vectors, axis=1)
    if len(bad_rows(vectors)) or not lengths.all():
        word = names[int(np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))[0])]
        raise UserError(f"{file}: the vector of {word!r} is zero or not finite")
    return Criterion(vectors / lengths[:, None], names)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The file's vectors, and its words if it has any."""
    try:
        # NumPy leaves the file of a damaged archive open.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded, None
            held = {name: loaded[name] for name in loaded.files if name in ("embeddings", "words")}
            names = ", ".join(loaded.files) or "nothing"
    except Exception as error:  # Whatever a damaged file can lead to.
        raise UserError(f"{path} cannot be read; use {_FILE}") from error
    if "embeddings" not in held:
        raise UserError(f"{path} has no array 'embeddings'; it holds {names}")
    return held["embeddings"], held["words"].ravel() if "words" in held else None
