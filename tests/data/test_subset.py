import numpy as np
import pytest

from idc_jax.data import Dataset, limit, take
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
