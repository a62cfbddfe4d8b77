import logging

import numpy as np
import pytest

from idc_jax.data import cache
from idc_jax.data.cache import Entry, cached, file_stamps
from idc_jax.data.registry import default_cache_dir


@pytest.fixture
def builds():
    return []


@pytest.fixture
def fetch(tmp_path, builds):
    def run(key=1, folder=tmp_path):
        def build():
            builds.append(key)
            return Entry({"x": np.arange(1000)}, {"skipped": [["a", "b"]]})

        return cached(folder, "set", {"key": key}, build)

    return run


def test_the_second_time_is_memory_mapped(fetch, builds, tmp_path):
    for _ in range(2):
        entry = fetch()
        np.testing.assert_array_equal(entry.arrays["x"], np.arange(1000))
        assert entry.notes == {"skipped": [["a", "b"]]}
    assert isinstance(entry.arrays["x"], np.memmap)
    assert builds == [1]
    fetch(key=2)
    assert builds == [1, 2]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncate", "index", "missing", "junk", "list"])
def test_a_broken_entry_is_rebuilt(fetch, builds, tmp_path, damage, caplog):
    fetch()
    (folder,) = tmp_path.iterdir()
    if damage == "truncate":
        (folder / "x.npy").write_bytes((folder / "x.npy").read_bytes()[:-8])
    elif damage == "index":
        (folder / "index.json").write_text("{")
    elif damage == "list":
        (folder / "index.json").write_text("[]")
    elif damage == "missing":
        (folder / "x.npy").unlink()
    else:
        (folder / "x.npy").write_bytes(b"\0" * (folder / "x.npy").stat().st_size)
    with caplog.at_level(logging.WARNING):
        entry = fetch()
    np.testing.assert_array_equal(entry.arrays["x"], np.arange(1000))
    assert builds == [1, 1]
    fetch()
    assert builds == [1, 1]


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "set", {}, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_no_error(fetch, builds, tmp_path, caplog):
    (tmp_path / "file").touch()
    for _ in range(2):
        np.testing.assert_array_equal(
            fetch(folder=tmp_path / "file" / "sub").arrays["x"], np.arange(1000)
        )
    assert builds == [1, 1]
    assert "not cached" in caplog.text


def test_stamps_change_with_the_file(tmp_path):
    path = tmp_path / "f"
    path.write_text("a")
    before = file_stamps([path])
    path.write_text("ab")
    assert file_stamps([path]) != before


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("IDC_JAX_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("IDC_JAX_CACHE")
    assert default_cache_dir().name == "idc_jax"


def test_a_large_array_is_built_on_the_disk(tmp_path, monkeypatch):
    assert not isinstance(cache.room(tmp_path, (2, 3)), np.memmap)
    monkeypatch.setattr(cache, "_LARGE", 5)
    array = cache.room(tmp_path / "new", (2, 3))
    assert isinstance(array, np.memmap)
    array[1] = 7
    kept = cached(tmp_path, "x", {}, lambda: Entry({"a": array[:2]}, {}))
    np.testing.assert_array_equal(kept.arrays["a"], [[0, 0, 0], [7, 7, 7]])
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert cache.room(blocked, (2, 3)).shape == (2, 3)
