import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from idc_jax.data import CLASS_LISTS, load
from idc_jax.errors import UserError

SHARED_TFDS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "tfds"


def test_digits():
    data = load("digits")
    assert (data.kind, data.inputs.shape, data.inputs.dtype) == ("images", (1797, 8, 8, 1), "uint8")
    assert data.inputs.max() == 255
    np.testing.assert_array_equal(np.bincount(data.labels)[:3], [178, 182, 177])
    assert data.class_names == tuple("0123456789")
    assert data.train.all()
    assert load("digits", image_size=16, limit=3).inputs.shape == (3, 16, 16, 1)


def test_unknown_source_and_size():
    with pytest.raises(UserError, match="unknown data source 'mnist'; choose one of digits"):
        load("mnist")
    with pytest.raises(UserError, match="image size of 0"):
        load("digits", image_size=0)


# --- features ---


def save_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_features_with_half_precision_and_gaps_in_the_labels(tmp_path):
    features = np.arange(12, dtype=np.float16).reshape(4, 3)
    path = save_npz(tmp_path / "f.npz", features=features, labels=[7, 3, 7, 9], fine=list("abca"))
    data = load("features", path=path)
    assert (data.name, data.kind, data.inputs.dtype) == ("f", "features", "float32")
    np.testing.assert_array_equal(data.inputs, features)
    np.testing.assert_array_equal(data.labels, [1, 0, 1, 2])
    assert data.class_names == ("3", "7", "9")
    assert load("features", path=path, label_key="fine").class_names == ("a", "b", "c")


def test_features_without_labels(tmp_path):
    np.save(tmp_path / "f.npy", np.ones((3, 2)))
    data = load("features", path=tmp_path / "f.npy")
    assert data.labels is None
    assert data.class_names == ()
    path = save_npz(tmp_path / "f.npz", emb=np.ones((3, 2)))
    assert load("features", path=path, features_key="emb").labels is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": np.array([[1.0], [np.nan], [np.inf]])}, r"2 of 3 rows \(1, 2\)"),
        ({"features": np.full((9, 1), np.nan)}, r"\(0, 1, 2, 3, 4, \.\.\.\)"),
        ({"features": np.ones((4, 2)), "labels": np.ones(3, int)}, r"labels \[3\] do not fit 4"),
        (
            {"features": np.ones((4, 2)), "labels": np.ones(4) / 2},
            "integers or strings, got float64",
        ),
        ({"features": np.ones(4)}, r"got float64 \[4\]"),
        ({"features": np.ones((0, 4))}, r"got float64 \[0, 4\]"),
        ({"features": np.array([["a"]])}, "must be numbers"),
        ({"features": np.array([[None]])}, "holds Python objects"),
        ({"x": np.ones((4, 2, 2))}, "no array 'features'; it holds x"),
    ],
)
def test_bad_features(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message) as caught:
        load("features", path=save_npz(tmp_path / "f.npz", **arrays))
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_feature_files(tmp_path):
    with pytest.raises(UserError, match="no path was given"):
        load("features")
    with pytest.raises(UserError, match=r"none\.npz does not exist"):
        load("features", path=tmp_path / "none.npz")
    path = save_npz(tmp_path / "f.npz", features=np.ones((4, 2)))
    with pytest.raises(UserError, match="no labels 'fine'; it holds features alone"):
        load("features", path=path, label_key="fine")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="cannot be read"):
        load("features", path=path)
    path.write_text("hello")
    with pytest.raises(UserError, match=r"f\.npz"):
        load("features", path=path)


# --- IDX ---


def write_idx(path, array):
    data = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data += array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def make_idx(folder, ending=".gz"):
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 6), ("t10k", 3)):
        write_idx(
            folder / f"{prefix}-images-idx3-ubyte{ending}", rng.integers(0, 256, (count, 5, 4))
        )
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{ending}", np.arange(count) % 3)


@pytest.mark.parametrize("ending", [".gz", ""])
def test_idx(tmp_path, ending):
    make_idx(tmp_path, ending)
    data = load("idx", path=tmp_path)
    assert data.inputs.shape == (9, 5, 4, 1)
    np.testing.assert_array_equal(data.labels, [0, 1, 2, 0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(data.train, [True] * 6 + [False] * 3)
    assert load("idx", path=tmp_path, splits=("test",), image_size=7).inputs.shape == (3, 7, 7, 1)


def test_idx_without_labels(tmp_path):
    make_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match="some splits only"):
        load("idx", path=tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    assert load("idx", path=tmp_path).labels is None


def test_bad_idx(tmp_path):
    make_idx(tmp_path)
    with pytest.raises(UserError, match="no split 'val'"):
        load("idx", path=tmp_path, splits=("val",))
    images = tmp_path / "train-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    images.write_bytes(whole[:40])
    with pytest.raises(UserError, match="cannot be read"):
        load("idx", path=tmp_path)
    images.write_bytes(gzip.compress(gzip.decompress(whole)[:-5]))
    with pytest.raises(UserError, match=r"115 bytes of data, not \(6, 5, 4\)|115 bytes"):
        load("idx", path=tmp_path)
    images.write_bytes(gzip.compress(b"\0\0\x08\x01"))
    with pytest.raises(UserError, match="no IDX file"):
        load("idx", path=tmp_path)
    write_idx(images, np.zeros((5, 5, 4)))
    with pytest.raises(UserError, match="6 labels for 5 images"):
        load("idx", path=tmp_path)
    images.unlink()
    with pytest.raises(UserError, match="has no train-images"):
        load("idx", path=tmp_path)


# --- TFDS ---


@pytest.mark.shared
@pytest.mark.skipif(not SHARED_TFDS.is_dir(), reason="needs ../shared/data/tfds: CIFAR-100")
def test_tfds_reads_prepared_data_without_tensorflow(tmp_path):
    request = {"name": "cifar100", "path": SHARED_TFDS, "splits": ("test",), "cache_dir": tmp_path}
    data = load("tfds", label_key="coarse_label", **request)
    assert "tensorflow" not in sys.modules
    assert data.inputs.shape == (10000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(data.labels), [500] * 20)
    assert data.class_names[:2] == ("aquatic_mammals", "fish")
    assert not data.train.any()
    assert len(list(tmp_path.iterdir())) == 1
    fine = load("tfds", **request)
    assert len(fine.class_names) == 100
    assert len(list(tmp_path.iterdir())) == 1, "both kinds of label share the decoded images"
    with pytest.raises(UserError, match="no label 'oops'; it has"):
        load("tfds", label_key="oops", **request)
    with pytest.raises(UserError, match="no split 'val'; it has train, test"):
        load("tfds", **{**request, "splits": ("val",)})


def test_tfds_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets", reason="needs the extra packages of idc_jax[data]")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UserError, match="name, such as cifar10"):
        load("tfds")
    with pytest.raises(UserError, match="TFDS has no data set 'no_such_set'"):
        load("tfds", name="no_such_set", path=tmp_path)
    with pytest.raises(UserError, match="pip install tensorflow") as caught:
        load("tfds", name="cifar10", path=tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_class_lists_are_sorted_and_of_the_papers_sizes():
    sizes = {name: len(wnids) for name, wnids in CLASS_LISTS.items()}
    assert sizes == {"imagenet10": 10, "imagenet_dogs": 15, "imagenet10_2": 10}
    for wnids in CLASS_LISTS.values():
        assert list(wnids) == sorted(wnids)
        assert all(len(wnid) == 9 and wnid[0] == "n" for wnid in wnids)
