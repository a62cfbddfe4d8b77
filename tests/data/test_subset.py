import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from idc_jax.data import Dataset, limit, load, take
from idc_jax.data.decode import decode_bytes, decode_file
from idc_jax.data.sources import folder, tfds
from idc_jax.errors import UserError


def make(labels):
    count = 9
    return Dataset(
        name="d",
        kind="features",
        inputs=np.arange(count, dtype=np.float32)[:, None],
        labels=None if labels is None else np.asarray(labels, np.int32),
        class_names=("a", "b", "c"),
        names=tuple("abcdefghi"),
        train=np.arange(count) < 5,
        skipped=(),
    )


LABELS = [0, 0, 0, 0, 1, 1, 2, 0, 1]


def test_stratified_by_hand():
    # First of each class: 0, 4, 6; second: 1, 5; third: 2, 8.
    for count, expected in ((3, [0, 4, 6]), (5, [0, 1, 4, 5, 6]), (7, [0, 1, 2, 4, 5, 6, 8])):
        kept = limit(make(LABELS), count, "stratified", 0)
        np.testing.assert_array_equal(kept.inputs[:, 0], expected)
        np.testing.assert_array_equal(kept.labels, np.asarray(LABELS)[expected])
        assert kept.names == tuple("abcdefghi"[i] for i in expected)


def test_without_labels_the_first():
    kept = limit(make(None), 4, "stratified", 0)
    np.testing.assert_array_equal(kept.inputs[:, 0], np.arange(4))
    assert kept.labels is None


def test_random_is_seeded_and_in_order():
    draws = [limit(make(LABELS), 5, "random", seed).inputs[:, 0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert (np.diff(draws[0]) > 0).all()


def test_more_than_there_are_is_all():
    assert limit(make(LABELS), 9, "random", 0).size == 9
    assert limit(make(LABELS), 90, "stratified", 0).size == 9


def test_take_keeps_the_order_asked_for():
    part = take(make(LABELS), np.asarray([8, 0]))
    assert part.names == ("i", "a")
    np.testing.assert_array_equal(part.train, [False, True])


def test_impossible_limits():
    with pytest.raises(UserError, match="0 samples leaves nothing"):
        limit(make(LABELS), 0, "random", 0)
    with pytest.raises(UserError, match="unknown subset 'best'"):
        limit(make(LABELS), 2, "best", 0)


# --- Chosen before anything is decoded ---


@pytest.fixture
def decoded(monkeypatch):
    """The files that were decoded."""
    seen = []

    def count(path, *fit):
        seen.append("/".join(path.parts[-2:]))
        return decode_file(path, *fit)

    monkeypatch.setattr(folder, "decode_file", count)
    return seen


def images(root, names, damaged=()):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
        if name in damaged:
            path.write_text("no image")


FILES = [
    f"{name}/{index}.png"
    for name, count in (("a", 6), ("b", 3), ("c", 2))
    for index in range(count)
]


def read(tmp_path, **options):
    cache = options.pop("cache", "c")
    return load("folder", path=tmp_path / "in", cache_dir=tmp_path / cache, image_size=8, **options)


@pytest.mark.parametrize("kind", ["stratified", "random"])
@pytest.mark.parametrize("count", [2, 5, 11, 50])
def test_of_a_folder_only_what_is_kept_is_decoded(tmp_path, decoded, kind, count):
    images(tmp_path / "in", FILES)
    whole = limit(read(tmp_path, cache="whole"), count, kind, 3)
    decoded.clear()
    for _ in range(2):  # decoded, then from the cache
        part = read(tmp_path, limit=count, subset=kind, seed=3)
        assert len(decoded) == min(count, 11)
        for one, other in zip(part, whole, strict=True):
            np.testing.assert_array_equal(one, other)
    # Another limit, seed or kind is another entry.
    read(tmp_path, limit=count + 1, subset=kind, seed=3)
    assert len(decoded) == min(count, 11) + (count + 1 if count < 10 else 11 if count < 11 else 0)


def test_the_seed_is_part_of_what_is_cached(tmp_path):
    images(tmp_path / "in", FILES)
    drawn = [read(tmp_path, limit=5, subset="random", seed=seed).names for seed in range(3)]
    assert len(set(drawn)) > 1


def test_another_image_stands_in_for_a_damaged_one(tmp_path, decoded):
    bad = ("a/0.png", "b/0.png", "c/1.png")
    images(tmp_path / "in", FILES, damaged=bad)
    whole = limit(read(tmp_path, cache="whole"), 5, "stratified", 0)
    decoded.clear()
    part = read(tmp_path, limit=5)
    np.testing.assert_array_equal(part.inputs, whole.inputs)
    np.testing.assert_array_equal(part.labels, whole.labels)
    assert (part.names, part.class_names) == (whole.names, whole.class_names)
    # Each file once, and c/1 only where its turn came.
    assert len(decoded) == len(set(decoded)) <= 5 + len(bad)
    drawn = read(tmp_path, limit=5, subset="random", seed=1)
    assert drawn.size == 5
    assert not {name.rsplit("/in/", 1)[1] for name in drawn.names} & set(bad)


def test_a_flat_folder_keeps_the_first(tmp_path, decoded):
    images(tmp_path / "in", [f"{number}.png" for number in range(6)])
    part = read(tmp_path, limit=2)
    assert part.labels is None
    assert decoded == ["in/0.png", "in/1.png"]


def test_the_digits_are_chosen_first(monkeypatch):
    whole = limit(load("digits"), 30, "stratified", 0)
    part = load("digits", limit=30)
    for one, other in zip(part, whole, strict=True):
        np.testing.assert_array_equal(one, other)


class Split(list):
    """A split of a prepared data set."""


class Builder:
    """Two splits of three classes, of which the second has the numbers 1 and 2 alone."""

    name = "made"

    def __init__(self, path):
        self.data_path = path
        (path / "file").touch()
        self.splits = {"train": [0, 1, 1, 0, 2, 1], "test": [2, 1, 1, 2]}
        self.info = SimpleNamespace(
            splits={k: SimpleNamespace(num_examples=len(v)) for k, v in self.splits.items()},
            supervised_keys=("image", "label"),
            features={
                "image": tfds_features.Image((4, 4, 3)),
                "label": tfds_features.ClassLabel(("x", "y", "z")),
            },
        )

    def as_data_source(self, split, decoders):
        start = 100 * (split == "test")
        return Split(
            {"image": encode(start + number), "label": label}
            for number, label in enumerate(self.splits[split])
        )


def encode(level):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (level, 0, 0)).save(file, "PNG")
    return file.getvalue()


class tfds_features:  # noqa: N801
    """Just the two kinds of feature that the source asks for."""

    class Image:
        def __init__(self, shape):
            self.shape = shape

    class ClassLabel:
        def __init__(self, names):
            self.names = names


@pytest.mark.parametrize("splits", [("train", "test"), ("test", "train"), ("test",)])
@pytest.mark.parametrize("kind", ["stratified", "random"])
def test_of_tfds_only_what_is_kept_is_decoded(tmp_path, monkeypatch, splits, kind):
    stub = SimpleNamespace(
        features=tfds_features, decode=SimpleNamespace(SkipDecoding=lambda: None)
    )
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", stub)
    (tmp_path / "data").mkdir()
    builder = Builder(tmp_path / "data")
    monkeypatch.setattr(tfds, "_prepared", lambda request: builder)
    count = []

    def counted(*args):
        count.append(1)
        return decode_bytes(*args)

    monkeypatch.setattr(tfds, "decode_bytes", counted)
    given = {"name": "made", "splits": splits, "cache_dir": tmp_path / "c"}
    for size in (1, 2, 3):
        whole = limit(load("tfds", **given), size, kind, 5)
        count.clear()
        for _ in range(2):
            part = load("tfds", **given, limit=size, subset=kind, seed=5)
            assert len(count) == size
            for one, other in zip(part, whole, strict=True):
                np.testing.assert_array_equal(one, other)
