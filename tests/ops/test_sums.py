"""Sums by group: with sorting or without, they are what NumPy adds up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax.ops.sums import added_by, added_in_order, sums_by


def sums_in_order(groups, values, num_groups):
    """What a GPU does, anywhere."""
    return added_in_order(jnp.zeros((num_groups, *values.shape[1:])), groups, values)


@pytest.mark.parametrize("summed", [sums_by, sums_in_order])
@pytest.mark.parametrize("shape", [(50,), (50, 3), (1, 2), (0, 2)])
def test_it_is_what_numpy_adds_up(summed, shape):
    rng = np.random.default_rng(0)
    groups, values = rng.integers(0, 9, shape[0]), rng.normal(size=shape).astype(np.float32)
    groups[groups == 4] = 5  # a group without any
    wanted = np.zeros((9, *shape[1:]), np.float32)
    np.add.at(wanted, groups, values)
    found = jax.jit(summed, static_argnums=2)(jnp.asarray(groups), jnp.asarray(values), 9)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert found.dtype == jnp.float32


def test_by_hand():
    found = sums_in_order(jnp.array([2, 0, 2, 3]), jnp.array([1.0, 2.0, 4.0, 8.0]), 5)
    assert found.tolist() == [2.0, 0.0, 5.0, 8.0, 0.0]


def test_a_large_number_in_one_group_takes_nothing_from_the_next():
    # Differences of running sums over all would lose the small ones.
    values = jnp.array([1e9, -3.0, 0.25, 0.25])
    assert sums_in_order(jnp.array([0, 1, 2, 2]), values, 3).tolist() == [1e9, -3.0, 0.5]


def test_rising_groups_are_the_same_unsorted():
    rng = np.random.default_rng(3)
    groups, values = np.sort(rng.integers(0, 40, 500)), rng.normal(size=(500, 2)).astype("f")
    start = jnp.asarray(rng.normal(size=(40, 2)), jnp.float32)
    given = (start, jnp.asarray(groups), jnp.asarray(values))
    found = added_in_order(*given, rising=True)
    np.testing.assert_array_equal(found, added_in_order(*given))
    np.testing.assert_allclose(found, added_by(*given), atol=1e-5)


def test_gradients_reach_the_values():
    groups, values = jnp.array([1, 0, 1]), jnp.array([1.0, 2.0, 3.0])
    found = jax.grad(lambda v: jnp.sum(sums_by(groups, v, 2) ** 2))(values)
    assert found.tolist() == [8.0, 4.0, 8.0]
    start = jnp.array([1.0, 2.0])
    found = jax.grad(lambda s: jnp.sum(added_by(s, groups, values) ** 2))(start)
    assert found.tolist() == [6.0, 12.0]


@pytest.mark.parametrize(("platform", "unique"), [("cuda", True), ("tpu", False)])
def test_a_gpu_sorts_instead_of_adding_in_any_order(platform, unique):
    lowered = (
        jax.jit(sums_by, static_argnums=2)
        .trace(jnp.zeros(8, int), jnp.zeros((8, 2)), 3)
        .lower(lowering_platforms=(platform,))
        .as_text()
    )
    # To each place goes one sum, so it does not matter which comes first.
    assert lowered.count('"stablehlo.scatter"(') == 1
    assert ("unique_indices = true" in lowered) == unique
    assert ("stablehlo.sort" in lowered) == unique


def test_a_gpu_compiles_few_lines():
    def lines(size):
        traced = jax.jit(sums_by, static_argnums=2).trace(jnp.zeros(size, int), jnp.zeros(size), 3)
        return len(traced.lower(lowering_platforms=("cuda",)).as_text().splitlines())

    # Levels written out would be more of them for more rows, and take its compiler seconds.
    assert lines(2**20) == lines(2**10) < 150
