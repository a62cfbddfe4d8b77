"""Squared distances to the centre of one's own cluster."""

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops


def test_each_row_is_compared_with_its_own_centre() -> None:
    x = jnp.array([[0.0, 0.0], [3.0, 4.0], [1.0, 1.0]])
    centers, own = jnp.array([[0.0, 0.0], [1.0, 0.0]]), jnp.array([0, 0, 1])
    found = ops.within_cluster_squared_distances(x, centers, own)
    np.testing.assert_array_equal(found, [0.0, 25.0, 1.0])
    every = np.asarray(ops.squared_distances(x, centers))
    np.testing.assert_allclose(found, every[np.arange(3), own], atol=1e-5)
    compiled = jax.jit(ops.within_cluster_squared_distances)(x, centers, own)
    np.testing.assert_array_equal(compiled, found)


def test_gradients_pull_towards_the_centre() -> None:
    x, centers = jnp.array([[2.0, 0.0]]), jnp.array([[9.0, 9.0], [0.0, 1.0]])
    own = jnp.array([1])
    slope = jax.grad(lambda z: ops.within_cluster_squared_distances(z, centers, own)[0])(x)
    np.testing.assert_allclose(slope, [[4.0, -2.0]])
