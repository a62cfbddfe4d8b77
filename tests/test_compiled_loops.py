"""The loops of the library are on the device from their first step to their last.

Each is called as one program, its arguments on the device. On a CPU the guard catches what is sent
for such a call (NumPy's arrays, Python's numbers), and not what is fetched, which is free there.
What a loop asks the host meanwhile no guard catches: it would be a callback in the program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops, selectors
from idc_jax.methods.committee.poisson import poisson
from idc_jax.methods.committee.prior import share_factors
from idc_jax.methods.committee.regression import fit_planes
from idc_jax.methods.committee.spreading import spreading
from idc_jax.methods.committee.stacking import stack
from idc_jax.methods.common.spread import spread_along
from idc_jax.ops import graph, spectral
from idc_jax.ops.edges import normalized_edges

N, CLASSES, BUDGET = 48, 4, 6

Call = tuple[Callable[..., Any], tuple[Any, ...]]


def given() -> selectors.SelectorInputs:
    """Four blobs."""
    rng = np.random.default_rng(0)
    classes = np.arange(N) % CLASSES
    means = 2.0 * rng.standard_normal((CLASSES, 6))
    return selectors.SelectorInputs(
        embeddings=jnp.asarray(means[classes] + rng.standard_normal((N, 6)), jnp.float32),
        probabilities=jnp.asarray(rng.dirichlet(np.ones(CLASSES), N), jnp.float32),
        centers=jnp.asarray(means, jnp.float32),
        assignments=jnp.asarray(classes, jnp.int32),
    )


def selection(name: str) -> Call:
    select = selectors.get(name).select
    return lambda key, inputs: select(key, inputs, BUDGET), (jax.random.key(0), given())


def clustering(cluster: Callable[..., Any], *more: Any, **how: Any) -> Call:
    def call(key: jax.Array, x: jax.Array, *more: Any) -> Any:
        return cluster(key, x, CLASSES, *more, **how)

    return call, (jax.random.key(0), given().embeddings, *more)


def on_graph(name: str) -> Call:
    """What is known of four samples, along the graph."""
    inputs = given()
    near = ops.knn(inputs.embeddings, 5)
    edges = normalized_edges(near)
    rows, named = jnp.arange(CLASSES), jnp.ones(CLASSES, bool)
    said, probs = jnp.eye(CLASSES), inputs.probabilities
    choice = jnp.full(N, -3).at[rows].set(rows)
    rejected = jnp.zeros((N, CLASSES), bool)
    calls: dict[str, Call] = {
        "conjugate gradients": (
            lambda *a: poisson(*a, 20, held_out=True),
            (edges, rows, said, named),
        ),
        "spreading": (
            lambda *a: spreading(*a, (0.5, 0.9), 20, held_out=True),
            ((edges, edges), (probs, choice, rejected), rows, said, named),
        ),
        "planes": (
            lambda *a: fit_planes(*a, 1.0, 20),
            (ops.normalize(inputs.embeddings), probs, jnp.ones(N), named),
        ),
        "spectral coordinates": (
            lambda *a: spectral.leading_eigenpairs(*a, 4),
            (jax.random.key(0), edges),
        ),
        "smoothing": (lambda *a: graph.smooth(*a, hops=3), (inputs.embeddings, near)),
        "answers spread": (
            lambda *a: spread_along(*a, 0.9),
            (edges, probs, probs, choice, rejected),
        ),
        "shares": (share_factors, (probs, jnp.full(CLASSES, 1 / CLASSES))),
        "stacking": (stack, (jnp.stack([probs[:CLASSES]] * 2), said, named, jnp.ones(2))),
    }
    return calls[name]


def k_means(name: str) -> Call:
    known = jnp.full(N, -1).at[:CLASSES].set(jnp.arange(CLASSES))
    return {
        "k-means": lambda: clustering(ops.kmeans),
        "k-means by batches": lambda: clustering(ops.kmeans, batch_size=16),
        "spherical k-means": lambda: clustering(ops.spherical_kmeans),
        "semi-supervised k-means": lambda: clustering(ops.semi_supervised_kmeans, known),
    }[name]()


CASES = {
    **dict.fromkeys(selectors.names(), selection),
    **dict.fromkeys(
        ("k-means", "k-means by batches", "spherical k-means", "semi-supervised k-means"), k_means
    ),
    **dict.fromkeys(
        (
            "conjugate gradients",
            "spreading",
            "planes",
            "spectral coordinates",
            "smoothing",
            "answers spread",
            "shares",
            "stacking",
        ),
        on_graph,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_goes_between_host_and_device(name: str) -> None:
    call, args = CASES[name](name)
    traced = jax.jit(call).trace(*args)
    assert "callback" not in str(traced.jaxpr)
    run = jax.jit(call)
    jax.block_until_ready(run(*args))
    with jax.transfer_guard("disallow"):
        found = jax.block_until_ready(run(*args))
    assert jax.tree.leaves(found)
