"""Damaged and odd files of every kind: read, left out and named, or refused in one line.

Never a traceback, a hang, or numbers that nobody can reckon with. ``IDC_JAX_FUZZ=1000`` tries so
many files.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import deep_png, deep_tiff
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import within
from PIL import Image

from idc_jax.data import Dataset, load
from idc_jax.data.endings import image_endings
from idc_jax.data.telling import lines_of
from idc_jax.errors import UserError

EXAMPLES = int(os.environ.get("IDC_JAX_FUZZ", "40"))
SECONDS = 20
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="IDC_JAX_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 3


def read(source: str, path: Path, **options: Any) -> Dataset | None:
    """The data, in order; or None where they were refused in one line."""
    refused = None
    try:
        with within(SECONDS):
            data = load(source, path=path, cache_dir=path.parent / "cache", **options)
    except UserError as error:
        refused = str(error)
    if refused is not None:
        assert refused.strip()
        refused.encode()
        assert len(refused.splitlines()) == 1
        return None
    n = data.size
    assert n >= 1
    assert data.train.shape == (n,)
    assert data.names == () or len(data.names) == len(set(data.names)) == n
    if data.kind == "features":
        assert data.inputs.dtype == np.float32
        assert np.abs(data.inputs).max() <= 1e15
    if data.labels is not None:
        assert data.labels.shape == (n,)
        assert data.labels.min() >= -1
        assert data.labels.max() < len(data.class_names)
    for line in lines_of(data):
        assert len(line.splitlines()) == 1
        line.encode()
    return data


# --- Valid files, to begin with ---


def archive(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def compressed(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def bare(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def table(delimiter: str = ",") -> bytes:
    lines = [["a", "b", "c", "label", "file"]]
    lines += [
        [*map(str, row), str(y), f"{i}.png"] for i, (row, y) in enumerate(zip(X, Y, strict=True))
    ]
    return "\n".join(delimiter.join(line) for line in lines).encode()


def parquet() -> bytes:
    pa = pytest.importorskip("pyarrow", reason="needs the extra idc_jax[export]")
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"vector": list(X), "label": Y}), file)
    return file.getvalue()


FEATURES = {
    "f.npz": archive(features=X, labels=Y, names=np.array([f"n{i}" for i in range(12)])),
    "c.npz": compressed(embeddings=X.astype(np.float16), y=Y.astype(str)),
    "f.npy": bare(X.astype(np.float32)),
    "f.csv": table(),
    "f.tsv": table("\t"),
    "f.parquet": parquet(),
}


def image(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


IMAGES = {
    ".png": image("PNG"),
    ".bmp": image("BMP"),
    ".jpg": image("JPEG"),
    ".gif": image("GIF", save_all=True, append_images=[Image.new("RGB", (16, 16))]),
    ".webp": image("WEBP"),
    ".tif": image("TIFF", compression="tiff_lzw"),
    ".tiff": deep_tiff(np.full((4, 4, 3), 4000, np.uint16)),
    ".apng": deep_png(np.full((4, 4, 3), 4000, np.uint16)),
    ".ppm": image("PPM"),
    ".tga": image("TGA"),
    ".jp2": image("JPEG2000"),
    ".avif": image("AVIF"),
    ".jpeg": image("JPEG", "CMYK"),
}


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


# --- What is done to them ---

CELLS = ("", "nan", "inf", "1e39", "-9999", "x", '"', "1,5", "\r", "\x00", "é", "=1", "1_0", "0x1")


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole``, with bytes changed, cut out, put in or cut off; sometimes as it was."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.sampled_from((1, 1, 2, 4, 16, 200)))
        match draw(st.sampled_from(("change", "cut", "put", "end", "zero", "twice"))):
            case "change":
                data[at : at + length] = draw(st.binary(min_size=1, max_size=length))
            case "cut":
                del data[at : at + length]
            case "put":
                data[at:at] = draw(st.binary(min_size=1, max_size=length))
            case "end":
                del data[at:]
            case "zero":
                data[at : at + length] = bytes(len(data[at : at + length]))
            case "twice":
                data[at:at] = data[at : at + length]
    return bytes(data)


@st.composite
def changed_table(draw: st.DrawFn) -> bytes:
    """A table with a few other cells."""
    lines = [line.split(",") for line in table().decode().split("\n")]
    for _ in range(draw(st.integers(1, 5))):
        line = draw(st.sampled_from(lines))
        line[draw(st.integers(0, len(line) - 1))] = draw(st.sampled_from(CELLS))
    return "\n".join(map(",".join, lines)).encode(draw(st.sampled_from(("utf-8", "utf-16"))))


@FUZZ
@given(st.data())
def test_files_of_features(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from((*FEATURES, "changed.csv")))
    known = FEATURES.get(name)
    content = data.draw(changed_table() if known is None else damaged(known))
    with fresh(tmp_path_factory) as folder:
        (folder / name).write_bytes(content)
        found = read("features", folder / name)
        assert found is not None or content != known


VALUES = st.one_of(
    st.floats(width=32), st.sampled_from((0.0, 1.0, 1e20, 9.97e36, -9999.0, np.nan, 1e-30))
)
KINDS = ("f2", "f4", "f8", ">f4", "i1", "i8", "u8", "?", "c8", "U3", "S3", "M8[s]", "O")
KEYS = ("features", "embeddings", "X", "labels", "y", "names", "ids", "arr_0", "other", "")


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(KEYS),
        st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 5), max_size=3), VALUES),
        max_size=4,
    )
)
def test_arrays_of_any_kind(
    tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, tuple[str, list[int], float]]
) -> None:
    arrays = {}
    for key, (kind, shape, value) in wanted.items():
        with np.errstate(all="ignore"):
            array = np.random.default_rng(0).integers(-1, 4, shape).astype(kind)
            if array.size and np.dtype(kind).kind in "fiu":
                array.flat[0] = np.asarray([value]).astype(kind)[0]
        arrays[key or "none"] = array
    with fresh(tmp_path_factory) as folder:
        np.savez(folder / "f.npz", **arrays)
        read("features", folder / "f.npz")


@FUZZ
@given(st.data())
def test_images_and_names(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    endings = sorted(IMAGES.keys() & image_endings())
    with fresh(tmp_path_factory) as folder:
        root = folder / "in"
        root.mkdir()
        for number in range(data.draw(st.integers(1, 4))):
            ending = data.draw(st.sampled_from(endings))
            path = root.joinpath(*data.draw(st.lists(NAMES, max_size=3)), f"{number}")
            path = path.with_name(path.name + data.draw(NAMES) + ending)
            with contextlib.suppress(OSError):  # a name too long, or a file where a folder would be
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data.draw(damaged(IMAGES[ending])))
        there = [path for path in root.rglob("*") if path.is_file() and not hidden(path, root)]
        found = read("folder", root, image_size=4, splits=data.draw(st.sampled_from(((), SPLITS))))
        if found is not None:
            left = sum(1 for item in found.skipped if not item.folder)
            folders = [Path(item.path) for item in found.skipped if item.folder]
            left += sum(any(f in path.parents for f in folders) for path in there)
            assert found.size + left == len(there)
            assert (found.inputs[0] == found.inputs[0]).all()


SPLITS = ("train", "test")
NAMES = st.one_of(
    st.sampled_from(
        ("train", "test", "val", "Train", "a", "cat", ".git", "x.png", os.fsdecode(b"\xe9"))
    ),
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6
    ),
).filter(lambda name: name not in (".", ".."))


def hidden(path: Path, root: Path) -> bool:
    return any(part[0] == "." for part in path.relative_to(root).parts)


@FUZZ
@given(st.data())
def test_idx_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    images = np.random.default_rng(0).integers(0, 255, (6, 5, 4))
    parts = {"images-idx3": idx(images), "labels-idx1": idx(Y[:6])}
    packed = data.draw(st.booleans())
    with fresh(tmp_path_factory) as folder:
        for kind, whole in parts.items():
            whole = gzip.compress(whole) if packed else whole
            name = f"train-{kind}-ubyte{'.gz' if packed else ''}"
            (folder / name).write_bytes(data.draw(damaged(whole)))
        read("idx", folder, splits=("train",))


@contextlib.contextmanager
def fresh(factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = factory.mktemp("fuzz")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
