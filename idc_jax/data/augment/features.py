"""Views of a feature vector: what stands in for augmentation where there are no images."""

import functools

import jax
import jax.numpy as jnp

from idc_jax.data.views import Views


@functools.lru_cache(maxsize=32)
def feature_views(
    *,
    weak_noise: float,
    strong_noise: float,
    weak_dropout: float,
    strong_dropout: float,
    scale: float,
) -> Views:
    """Build the views of features ``[d]``; the raw vector goes through as float32 in ``val``.

    Equal arguments give the same functions, so that a second run compiles nothing anew.

    Args:
      weak_noise: standard deviation of the Gaussian noise of the weak view, as a fraction of the
        vector's own root mean square, so that it means the same whatever the features' unit.
      strong_noise: the same of the strong view.
      weak_dropout: share of the entries set to 0 in the weak view, the others scaled up to keep
        the mean.
      strong_dropout: the same of the strong view.
      scale: the whole vector is multiplied by a factor uniform in ``1 - scale .. 1 + scale``.
    """

    def weak(key: jax.Array, raw: jax.Array) -> jax.Array:
        return perturb(key, raw, weak_noise, weak_dropout, scale)

    def strong(key: jax.Array, raw: jax.Array) -> jax.Array:
        return perturb(key, raw, strong_noise, strong_dropout, scale)

    def val(key: jax.Array, raw: jax.Array) -> jax.Array:
        del key
        return raw.astype(jnp.float32)

    return Views(weak=weak, strong=strong, val=val)


def perturb(
    key: jax.Array, raw: jax.Array, noise: float, dropout: float, scale: float
) -> jax.Array:
    """Add noise to ``[d]``, drop entries and scale the whole; see :func:`feature_views`."""
    noise_key, drop_key, scale_key = jax.random.split(key, 3)
    vector = raw.astype(jnp.float32)
    unit = jnp.sqrt(jnp.mean(jnp.square(vector)))
    vector = vector + noise * unit * jax.random.normal(noise_key, vector.shape)
    kept = jax.random.bernoulli(drop_key, 1.0 - dropout, vector.shape)
    vector = jnp.where(kept, vector / max(1.0 - dropout, 1e-6), 0.0)
    return vector * jax.random.uniform(scale_key, minval=1.0 - scale, maxval=1.0 + scale)
