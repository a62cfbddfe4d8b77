"""PCL's losses against plain NumPy loops written from the equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import losses

N, D, C = 6, 5, 3
RHO = 3.0

# Compiled once for all tests of one shape.
LOSSES = {
    "instance": lambda a, b, links, mask: losses.instance_loss(
        a, b, links, mask, must_weight=jnp.float32(RHO)
    ),
    "cluster": lambda a, b, links, mask: losses.cluster_loss(
        a, b, links, mask, must_weight=jnp.float32(RHO)
    ),
}
GRADS = {name: jax.jit(jax.value_and_grad(loss, argnums=(0, 1))) for name, loss in LOSSES.items()}
VIEWS = {"instance": "z", "cluster": "p"}


@pytest.fixture
def block():
    rng = np.random.default_rng(2)

    def unit(shape):
        x = rng.normal(size=shape).astype(np.float32)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def simplex(shape):
        e = np.exp(rng.normal(size=shape).astype(np.float32))
        return e / e.sum(1, keepdims=True)

    links = np.zeros((N, N), np.int32)
    for i, j, q in [(0, 1, 1), (1, 3, 1), (0, 3, 1), (2, 4, -1), (0, 4, -1), (5, 2, 1)]:
        links[i, j] = links[j, i] = q
    pseudo = np.zeros((N, N), bool)
    pseudo[3, 4] = pseudo[4, 3] = pseudo[0, 1] = pseudo[1, 0] = True
    return {
        "z": (unit((N, D)), unit((N, D))),
        "p": (simplex((N, C)), simplex((N, C))),
        "links": links,
        "pseudo": pseudo,
        "mask": np.array([1, 1, 0, 1, 1, 1], bool),
    }


def np_contrast(first, second, links, rho, tau, pseudo=None):
    n = len(first)
    items = np.concatenate([first, second]).astype(np.float64)
    s = np.exp(items @ items.T / tau)
    total = weight = 0.0
    for u in range(2 * n):
        minus = np.ones(2 * n)
        for v in range(2 * n):
            if u == v:
                minus[v] = 0
            elif u % n != v % n and links[u % n, v % n] == -1:
                minus[v] = 2
        den = 2 * n * (minus * s[u]).sum() / minus.sum()
        for v in range(2 * n):
            if u == v:
                continue
            if u % n == v % n:
                plus = 1.0
            elif links[u % n, v % n] == 1:
                plus = 1 + rho
            else:
                plus = float(pseudo is not None and pseudo[u % n, v % n])
            total += plus * (np.log(den) - np.log(s[u, v]))
            weight += plus
    return total / weight


def np_cluster_contrast(first, second, tau):
    columns = np.concatenate([first, second], 1).T.astype(np.float64)
    columns /= np.linalg.norm(columns, axis=1, keepdims=True)
    s = np.exp(columns @ columns.T / tau)
    c = first.shape[1]
    rows = [
        -np.log(s[a, (a + c) % (2 * c)] / sum(s[a, b] for b in range(2 * c) if b != a))
        for a in range(2 * c)
    ]
    return np.mean(rows)


def np_entropy(first, second):
    total = 0.0
    for view in (first, second):
        p = view.sum(0) / view.sum()
        total += np.log(view.shape[1]) + (p * np.log(p + 1e-8)).sum()
    return total


def test_constrained_contrast_matches_the_reference(block):
    contrast = jax.jit(
        lambda pseudo: losses.constrained_contrast(
            *block["z"],
            block["links"],
            np.ones(N, bool),
            must_weight=jnp.float32(7.0),
            temperature=0.8,
            pseudo_links=pseudo,
        )
    )
    for pseudo in (block["pseudo"], np.zeros((N, N), bool)):
        expected = np_contrast(*block["z"], block["links"], 7.0, 0.8, pseudo)
        np.testing.assert_allclose(contrast(pseudo), expected, rtol=1e-5)


def test_the_instance_loss_matches_the_reference(block):
    """With the paper's temperature, no pseudo-links, compiled and not."""
    expected = np_contrast(*block["z"], block["links"], RHO, 1.0)
    everyone = np.ones(N, bool)
    got, _ = GRADS["instance"](*block["z"], block["links"], everyone)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    eager = LOSSES["instance"](*block["z"], block["links"], everyone)
    np.testing.assert_allclose(eager, expected, rtol=1e-5)


def test_without_links_it_is_a_plain_contrast(block):
    """Only the other view attracts, every other item repels with weight 1."""
    links = np.zeros((N, N), np.int32)
    z = np.concatenate(block["z"]).astype(np.float64)
    s = np.exp(z @ z.T)
    np.fill_diagonal(s, 0)
    den = 2 * N * s.sum(1) / (2 * N - 1)
    positive = np.array([s[u, (u + N) % (2 * N)] for u in range(2 * N)])
    got, _ = GRADS["instance"](*block["z"], links, np.ones(N, bool))
    np.testing.assert_allclose(got, np.mean(np.log(den / positive)), rtol=1e-5)


def test_must_link_weight_counts_symmetric_entries_twice(block):
    everyone = np.ones(N, bool)
    np.testing.assert_allclose(
        losses.must_link_weight(block["links"], everyone, 128), 4 * 128 / (8 + 1)
    )
    assert losses.must_link_weight(np.ones((N, N), np.int32), everyone, 4) == 2.0
    # Sample 2 is padding: its must-link with 5 is not counted.
    np.testing.assert_allclose(
        losses.must_link_weight(block["links"], block["mask"], 128), 4 * 128 / 7
    )


def test_cluster_terms_match_the_reference(block):
    everyone = np.ones(N, bool)
    contrast = losses.cluster_contrast(*block["p"], everyone, temperature=2.0)
    np.testing.assert_allclose(contrast, np_cluster_contrast(*block["p"], 2.0), rtol=1e-5)
    entropy = losses.cluster_entropy(*block["p"], everyone)
    np.testing.assert_allclose(entropy, np_entropy(*block["p"]), rtol=1e-4)
    whole, _ = GRADS["cluster"](*block["p"], block["links"], everyone)
    expected = (
        np_cluster_contrast(*block["p"], 2.0)
        + np_contrast(*block["p"], block["links"], RHO, 1.0)
        + np_entropy(*block["p"])
    )
    np.testing.assert_allclose(whole, expected, rtol=1e-5)


def test_even_clusters_have_no_entropy_cost():
    probs = jnp.eye(3)
    assert abs(losses.cluster_entropy(probs, probs, jnp.ones(3, bool))) < 1e-5


@pytest.mark.parametrize("name", ["instance", "cluster"])
def test_gradients_match_finite_differences(block, name):
    """Along random directions, as far as float32 goes."""
    rng = np.random.default_rng(5)
    views, step = block[VIEWS[name]], 1e-2

    def value(scale, direction):
        moved = [v + scale * d for v, d in zip(views, direction, strict=True)]
        return float(GRADS[name](*moved, block["links"], block["mask"])[0])

    _, slope = GRADS[name](*views, block["links"], block["mask"])
    for _ in range(4):
        direction = [rng.normal(size=v.shape).astype(np.float32) / 4 for v in views]
        numeric = (value(step, direction) - value(-step, direction)) / (2 * step)
        exact = sum(np.vdot(g, d) for g, d in zip(slope, direction, strict=True))
        np.testing.assert_allclose(exact, numeric, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", ["instance", "cluster"])
def test_padding_equals_the_subset(block, name):
    """A masked sample, even NaN, is as good as absent, in value and in gradient."""
    views = block[VIEWS[name]]
    kept = np.flatnonzero(block["mask"])
    dirty = [np.where(block["mask"][:, None], v, np.nan) for v in views]
    value, slopes = GRADS[name](*dirty, block["links"], block["mask"])
    expected, small_slopes = GRADS[name](
        *[v[kept] for v in views], block["links"][np.ix_(kept, kept)], np.ones(len(kept), bool)
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    for slope, small in zip(slopes, small_slopes, strict=True):
        np.testing.assert_allclose(slope[kept], small, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(slope[~block["mask"]], 0.0)


@pytest.mark.parametrize("name", ["instance", "cluster"])
def test_an_empty_block_costs_nothing(block, name):
    value, slopes = GRADS[name](*block[VIEWS[name]], block["links"], np.zeros(N, bool))
    assert value == 0.0
    for slope in slopes:
        np.testing.assert_array_equal(slope, 0.0)


def test_vmap_over_blocks_equals_the_loop(block):
    links = np.stack([block["links"], block["links"].T * 0])
    masks = np.stack([np.ones(N, bool), block["mask"]])
    stacked = [np.stack([v, v[::-1]]) for v in block["z"]]
    together = jax.jit(jax.vmap(LOSSES["instance"]))(*stacked, links, masks)
    alone = [
        GRADS["instance"](stacked[0][i], stacked[1][i], links[i], masks[i])[0] for i in range(2)
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
