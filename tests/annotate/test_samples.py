"""Which sample is which once samples came, went, moved or were renamed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from idc_jax.annotate import Row, Store, label_questions
from idc_jax.annotate.samples import NOW, Matcher, Samples, former, open_store, read_samples
from idc_jax.data.identity import digests
from idc_jax.errors import UserError
from idc_jax.runs.sources import write_samples
from idc_jax.runs.workdir import keep_samples


def samples(held: str, names: str = "") -> Samples:
    """Each letter of ``held`` is what a sample holds."""
    return Samples(tuple(names.split()), np.asarray([ord(letter) for letter in held], np.uint64))


@pytest.mark.parametrize(
    ("before", "now", "where"),
    [
        # By what they hold, wherever they are.
        (samples("abcd"), samples("dbxa"), [3, 1, -1, 0]),
        (samples("abcd", "1 2 3 4"), samples("dbxa", "9 8 7 6"), [3, 1, -1, 0]),
        # Some that hold the same: by name, then in order; never two in one place.
        (samples("aab", "1 2 3"), samples("baa", "3 2 1"), [2, 1, 0]),
        (samples("aab", "1 2 3"), samples("ab", "2 3"), [-1, 0, 1]),
        (samples("aab"), samples("baaa"), [1, 2, 0]),
        (samples("aaa"), samples("ba"), [1, -1, -1]),
        # All hold something else, as at another size: by name, whatever folder they lie in.
        (samples("abc", "x/1 x/2 x/3"), samples("ABC", "y/x/3 y/x/1 y/x/2"), [1, 2, 0]),
        # One name holds something else: it was replaced.
        (samples("abcd", "1 2 3 4"), samples("abcX", "1 2 3 4"), [0, 1, 2, -1]),
        # Names have moved on by one.
        (samples("abcd", "1 2 3 4"), samples("bcdX", "1 2 3 4"), [-1, 0, 1, 2]),
        # The end of a name that two had tells nothing.
        (samples("ab", "x/1 y/1"), samples("C", "1"), [-1, -1]),
        # Nothing to go by.
        (samples("abc"), samples("xyz"), [-1, -1, -1]),
        (samples("", ""), samples("xyz"), [0, 1, 2]),
        (samples("", "1 2"), samples("xyz", "2 3 1"), [2, 0]),
    ],
)
def test_samples_are_followed(before: Samples, now: Samples, where: list[int]) -> None:
    assert Matcher(now).follow(before).tolist() == where


def test_thousands_are_followed_at_once() -> None:
    rng = np.random.default_rng(0)
    held = rng.integers(0, 1 << 40, 5000).astype(np.uint64)
    order = rng.permutation(5000)
    where = Matcher(Samples((), held[order])).follow(Samples((), held))
    np.testing.assert_array_equal(held[order][where], held)


def test_questions_are_read_in_todays_numbers(tmp_path: Path) -> None:
    assert keep_samples(tmp_path, samples("abcd")) is None
    with open_store(tmp_path) as store:
        store.name_group("k", "cat", 0)
        store.freeze(label_questions(1, np.asarray([0, 1, 3]), np.zeros(3)))
        store.add([Row(f"a{n}", 1, n, "Ann", 0) for n in range(3)])
    before = keep_samples(tmp_path, samples("dcbx"))
    assert before is not None
    assert before.digests.tolist() == samples("abcd").digests.tolist()
    with open_store(tmp_path) as store:
        questions = store.questions(1)
        assert questions is not None
        assert questions.indices.tolist() == [-1, 2, 0]
        assert [row.position for row in store.live(1)] == [1, 2]
        assert [group.exemplar for group in store.groups()] == [2]
        assert store.num_answered(1) == 3
        assert len(store.rows()) == 3
        store.freeze(label_questions(2, np.asarray([3]), np.zeros(1)))
        store.add([Row("b", 2, 0, "Ann", 0)])
    # What is back counts again, and the questions asked meanwhile are about what they were about.
    keep_samples(tmp_path, samples("axd"))
    with open_store(tmp_path) as store:
        first, second = store.questions(1), store.questions(2)
        assert first is not None
        assert second is not None
        assert first.indices.tolist() == [0, -1, 2]
        assert second.indices.tolist() == [1]
    assert former(tmp_path, 1).exists()
    assert former(tmp_path, 2).exists()


def test_a_stop_in_the_midst_of_a_change_loses_nothing(tmp_path: Path) -> None:
    keep_samples(tmp_path, samples("ab"))
    with open_store(tmp_path) as store:
        store.freeze(label_questions(1, np.asarray([0]), np.zeros(1)))
    # Kept, but not yet replaced.
    former(tmp_path, 1).write_bytes((tmp_path / NOW).read_bytes())
    keep_samples(tmp_path, samples("ba"))
    keep_samples(tmp_path, samples("xba"))
    with open_store(tmp_path) as store:
        questions = store.questions(1)
        assert questions is not None
        assert questions.indices.tolist() == [2]


def test_names_in_no_encoding_are_kept_and_found(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    kept = Samples((name, "b.png"), np.arange(2, dtype=np.uint64))
    write_samples(tmp_path, kept)
    found = read_samples(tmp_path / NOW)
    assert found.names == kept.names
    matcher = Matcher(found)
    assert [matcher.find(where) for where in (name, "caf\ufffd.png", "x/b.png")] == [0, 0, 1]
    matcher.told().encode()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / NOW).write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(UserError, match=r"cannot read .*samples.npz"):
        read_samples(tmp_path / NOW)
    with Store(tmp_path / "answers.db"), pytest.raises(UserError, match="cannot read"):
        keep_samples(tmp_path, samples("ab"))


def test_pictures_that_differ_at_the_bottom_differ() -> None:
    sheets = np.full((3, 224, 224, 3), 255, np.uint8)
    sheets[1, 200:] = 0
    sheets[2, 200:220, 100:120, 2] = 0
    assert len(set(digests(sheets).tolist())) == 3
