"""Points on a sphere: by hand, and the places that only arithmetic could spoil."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops


def placed(x: np.ndarray) -> np.ndarray:
    return ops.on_sphere(x, *ops.center_and_radius(x))


def test_by_hand() -> None:
    x = np.array([[1.0, 2], [1, 2 + np.sqrt(2)], [1, 2 - np.sqrt(2)], [1 + 2, 2], [1 - 2, 2]])
    center, radius = ops.center_and_radius(x)
    np.testing.assert_allclose(center, [1, 2])
    assert radius == pytest.approx(np.sqrt(12 / 5))
    # The centre below, what is a radius away on the equator, what is farther above it.
    found = ops.on_sphere(x, center, np.sqrt(2))
    expected = [[0, 0, -1], [0, 1, 0], [0, -1, 0]]
    np.testing.assert_allclose(found[:3], expected, atol=1e-12)
    third = 1 / 3
    high = 2 * np.sqrt(2) * third
    np.testing.assert_allclose(found[3:], [[high, 0, third], [-high, 0, third]])


@pytest.mark.parametrize("columns", [1, 3])
def test_all_lie_on_the_sphere_each_on_its_own_place(columns: int) -> None:
    x = np.random.default_rng(0).normal(size=(40, columns))
    found = placed(x)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    assert len(np.unique(found.round(6), axis=0)) == 40
    np.testing.assert_allclose(placed(jnp.asarray(x, jnp.float32)), found, atol=1e-5)


@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e30])
def test_the_unit_does_not_count(unit: float) -> None:
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    np.testing.assert_allclose(placed(jnp.asarray(unit * x)), placed(x), atol=1e-5)


def test_points_that_are_one_stay_one() -> None:
    np.testing.assert_array_equal(placed(jnp.ones((4, 2))), [[0, 0, -1]] * 4)
