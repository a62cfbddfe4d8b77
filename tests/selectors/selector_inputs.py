"""Small inputs that every selector can work on."""

import jax
import numpy as np

from idc_jax import selectors

# One shape for as many tests as possible: compiling is most of what they cost.
N, BUDGET = 48, 10

# Selectors whose picks depend on nothing but the data.
DETERMINISTIC = (
    "idc",
    "dsac",
    "margin",
    "entropy",
    "k_center",
    "probcover",
    "max_herding",
    "u_herding",
    "facility_location",
)
SAMPLES = tuple(name for name in selectors.names() if selectors.get(name).asks == "samples")


def key() -> jax.Array:
    """The key of all tests. A function: importing must not start a backend."""
    return jax.random.key(0)


def make(n: int, seed: int = 0, clusters: int = 4, dim: int = 6) -> selectors.SelectorInputs:
    """Inputs of ``n`` samples in ``clusters`` blobs."""
    rng = np.random.default_rng(seed)
    assignments = rng.integers(0, clusters, n)
    means = 2.0 * rng.standard_normal((clusters, dim))
    embeddings = (means[assignments] + rng.standard_normal((n, dim))).astype(np.float32)
    logits = rng.standard_normal((n, clusters)) + 2.0 * np.eye(clusters)[assignments]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return selectors.SelectorInputs(
        embeddings=jax.numpy.asarray(embeddings),
        probabilities=jax.numpy.asarray(probabilities, np.float32),
        centers=jax.numpy.asarray(means, np.float32),
        assignments=jax.numpy.asarray(assignments, np.int32),
    )


def picks(name: str, inputs: selectors.SelectorInputs, budget: int) -> np.ndarray:
    """Indices that the selector called ``name`` picks."""
    return np.asarray(selectors.get(name).select(key(), inputs, budget).indices)
