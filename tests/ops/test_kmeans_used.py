"""k-means of fewer clusters than there is room for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.errors import UserError
from idc_jax.ops.arrays import GREATEST


def blobs(count, per):
    rng = np.random.default_rng(0)
    return np.repeat(9 * np.eye(count), per, axis=0) + 0.1 * rng.normal(size=(count * per, count))


@pytest.mark.parametrize("per", [20, 5000])
def test_of_the_clusters_only_those_in_use_hold_points(per):
    x = jnp.asarray(blobs(4, per), jnp.float32)
    found = ops.kmeans(jax.random.key(0), x, 7, used=4)
    assert sorted(np.bincount(found.assignments, minlength=7).tolist()) == [0] * 3 + [per] * 4
    assert (np.asarray(found.centers)[4:] >= GREATEST).all()
    whole = ops.kmeans(jax.random.key(0), x, 4)
    np.testing.assert_allclose(found.inertia, whole.inertia, rtol=1e-4)


def test_more_in_use_than_there_are_is_one_line():
    with pytest.raises(UserError, match="num_clusters is 8; it must be from 1 to 7"):
        ops.kmeans(jax.random.key(0), jnp.asarray(blobs(4, 20), jnp.float32), 7, used=8)
