import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.data.augment import WarpOptions, image_views
from idc_jax.data.augment.warped import warped_view

STILL = WarpOptions(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_no_warp_is_the_image():
    image = jax.random.uniform(jax.random.key(0), (6, 6, 3))
    np.testing.assert_allclose(warped_view(jax.random.key(1), image, 6, STILL), image, atol=1e-6)


def test_a_shift_moves_the_centre_of_mass_and_no_further_than_asked():
    image = jnp.zeros((9, 9, 1)).at[4, 4].set(1.0)
    options = STILL._replace(shift=0.25)
    views = jax.vmap(lambda key: warped_view(key, image, 9, options))(
        jax.random.split(jax.random.key(0), 64)
    )[..., 0]
    axis = np.arange(9) - 4.0
    np.testing.assert_allclose(views.sum((1, 2)), 1.0, rtol=1e-4)
    moved = np.stack([views.sum(2) @ axis, views.sum(1) @ axis])
    assert np.abs(moved).max() <= 0.25 * 9 + 1e-4
    assert moved.max() > 1.5
    assert moved.min() < -1.5


def test_a_quarter_turn_is_numpys_rotation():
    image = jax.random.uniform(jax.random.key(0), (5, 5, 1))
    options = STILL._replace(rotation=90.0)
    keys = jax.random.split(jax.random.key(1), 400)
    views = np.asarray(jax.vmap(lambda key: warped_view(key, image, 5, options))(keys))
    for turns in (1, -1):
        distance = np.abs(views - np.rot90(image, turns)).mean((1, 2, 3))
        assert distance.min() < 0.03


def test_views_of_raw_images_differ_and_stay_in_range():
    raw = jnp.asarray(np.random.default_rng(0).integers(0, 256, (8, 8, 1)), jnp.uint8)
    views = image_views((8, 8, 1), 8, weak=WarpOptions(elastic=0.05))
    first, second = (jax.jit(views.weak)(jax.random.key(seed), raw) for seed in (0, 1))
    assert first.shape == (8, 8, 1)
    assert float(first.min()) >= 0.0
    assert float(first.max()) <= 1.0
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(views.weak(jax.random.key(0), raw).round(4), first.round(4))
