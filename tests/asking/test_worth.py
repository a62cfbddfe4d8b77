"""What answers are expected to mend, against the plain meaning of it."""

import numpy as np
import pytest

from idc_jax.asking import worth


def errors(probabilities):
    """The chance that the likeliest is wrong."""
    return 1 - probabilities.max()


def told(row, offered):
    """The errors left on the mean once it is known whether, and which, of ``offered`` it is."""
    rest = np.delete(np.arange(len(row)), offered)
    none = row[rest].sum()
    return none * errors(row[rest] / none) if none else 0.0


ROWS = np.random.default_rng(0).dirichlet(np.ones(5), 20)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("offered", [[0], [1, 3], [0, 1, 2], [0, 1, 2, 3]])
def test_offers_mend_what_they_tell(row, offered):
    given = np.array([offered + [-1] * 2])
    expected = errors(row) - told(row, offered)
    np.testing.assert_allclose(worth.of_offering(row[None], given), expected, atol=1e-12)


def test_a_name_mends_all_there_is_and_a_check_never_more():
    naming = worth.of_naming(ROWS)
    np.testing.assert_allclose(naming, [errors(row) for row in ROWS])
    for output in range(5):
        checking = worth.of_checking(ROWS, np.full(len(ROWS), output))
        assert (checking >= -1e-12).all()
        assert (checking <= naming + 1e-12).all()
    # Of two that are left, one tells the other.
    two = np.array([[0.6, 0.4, 0.0]])
    assert worth.of_checking(two, np.array([0])) == pytest.approx(worth.of_naming(two))
    assert worth.of_checking(two, np.array([2])) == pytest.approx(0)
