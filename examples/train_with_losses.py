"""A training loop of your own with this project's losses: two labels a class, and pairs."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from idc_jax import losses

x, truth = load_digits(return_X_y=True)
x, truth = jnp.asarray(x / 16, jnp.float32), jnp.asarray(truth)
rng = np.random.default_rng(0)
# What somebody said: two labels of each class, and for 300 pairs whether they belong together.
labelled = np.concatenate([rng.choice(np.flatnonzero(truth == c), 2) for c in range(10)])
first, second = rng.integers(0, len(x), (2, 300))
same = truth[first] == truth[second]

net = nn.Sequential([nn.Dense(128), nn.relu, nn.Dense(10)])
optimiser = optax.adam(1e-3)


def loss(params, with_pairs):
    """The mean over the labels, and over the pairs."""
    # A mask says which rows count; here all do.
    of_labels, of_pairs = jnp.ones(len(labelled), bool), jnp.ones(len(same), bool)
    named = losses.cross_entropy(net.apply(params, x[labelled]), truth[labelled], of_labels)
    pairs = losses.pair_loss(
        net.apply(params, x[first]), net.apply(params, x[second]), same, of_pairs
    )
    return named.mean() + with_pairs * pairs.mean()


@jax.jit
def step(params, state, with_pairs):
    """One step of Adam."""
    updates, state = optimiser.update(jax.grad(loss)(params, with_pairs), state)
    return optax.apply_updates(params, updates), state


for with_pairs in (0.0, 1.0):
    params = net.init(jax.random.key(0), x[:1])
    state = optimiser.init(params)
    for _ in range(500):
        params, state = step(params, state, with_pairs)
    right = (net.apply(params, x).argmax(1) == truth).mean()
    print(f"{'labels and pairs' if with_pairs else 'labels alone'}: accuracy {right:.3f}")
