"""What an answer does to its own sample: needed to tell what is known of it without its answer.

Spreading and currents are linear in the answers, so that leaving one out takes away its influence
on its own sample, an entry of the diagonal of a large inverse. Probes of random signs on the
answered samples find all of them at once (Bekas, Kokiopoulou and Saad, "An estimator for the
diagonal of a matrix", 2007): exactly for as many answers as there are probes, with little noise for
more.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import hadamard

# A power of two.
PROBES = 16


def signs(count: int) -> np.ndarray:
    """Of the probes on ``count`` samples, float32 ``[count, PROBES]``.

    In blocks of as many samples as there are probes, whose signs are orthogonal.
    """
    blocks = -(-count // PROBES)
    flips = np.random.default_rng(0).choice([-1.0, 1.0], (blocks, 1, PROBES))
    flips[0] = 1.0
    found = hadamard(PROBES)[None] * flips
    return found.reshape(-1, PROBES)[:count].astype(np.float32)


def placed(rows: jax.Array, weights: jax.Array, num_samples: int) -> jax.Array:
    """The probes ``[n, PROBES]``: signs where ``weights`` ``[m]`` of the ``rows`` are 1, else 0."""
    empty = jnp.zeros((num_samples, PROBES))
    return empty.at[rows].add(weights[:, None] * signs(len(rows)))


def own_influence(answers: jax.Array) -> jax.Array:
    """Each sample's influence on itself ``[m]``, from what came of the probes there, ``[m, p]``."""
    return jnp.mean(answers * signs(len(answers)), axis=1)
