"""IPC's pairs against a plain loop, and what need not be asked."""

import jax.numpy as jnp
import numpy as np
import pytest
import selector_inputs as cases

from idc_jax import ops, selectors
from idc_jax.errors import UserError
from idc_jax.selectors.ipc import Known

N, EACH, BUDGET = cases.N, 3, 14


def plain(inputs, *, hardness=0.0, labelled=(), allowed=None):
    """Pairs and values as the paper has them, in float64."""
    x = np.asarray(inputs.embeddings, np.float64)
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = z @ z.T
    # How well this is the quantile, its own test tells.
    theta = float(ops.cosine_exceeded_by(jnp.asarray(z, jnp.float32), 1 / len(inputs.centers)))
    distances2 = np.sort(2 - 2 * cosines, axis=1)[:, 1:21]
    value = -np.log(distances2.sum(1))
    c = np.asarray(inputs.centers, np.float64)
    near = np.sort(z @ (c / np.linalg.norm(c, axis=1, keepdims=True)).T, axis=1)
    value += hardness * np.log(np.maximum(1 - near[:, -1] + near[:, -2], 1e-6))
    allowed = np.ones(N, bool) if allowed is None else allowed
    seen, free, pairs, values = list(labelled), allowed.copy(), [], []
    free[seen] = False
    while len(pairs) < BUDGET:
        diverse = np.log(np.clip(1 - cosines[:, seen], 1e-6, 2)).min(1) if seen else 0.0
        worth = np.where(free, value + diverse, -np.inf)
        anchor = int(worth.argmax())
        free[anchor] = False
        order = np.argsort(np.abs(cosines[anchor] - theta), kind="stable")
        asked = {tuple(sorted((anchor, int(j)))) for j in order} & set(pairs)
        partners = [
            int(j)
            for j in order
            if j != anchor and allowed[j] and tuple(sorted((anchor, int(j)))) not in asked
        ]
        new = [tuple(sorted((anchor, j))) for j in partners[:EACH]][: BUDGET - len(pairs)]
        pairs += new
        values += [worth[anchor]] * len(new)
        seen.append(anchor)
    return pairs, values


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("hardness", [0.0, 1.0])
def test_pairs_are_those_of_the_plain_loop(seed, hardness):
    inputs = cases.make(N, seed)
    rng = np.random.default_rng(seed)
    labelled, allowed = rng.random(N) < 0.1 * (seed % 2), rng.random(N) < 0.9
    found = selectors.ipc(
        inputs.embeddings,
        inputs.centers,
        BUDGET,
        labelled=jnp.asarray(labelled),
        allowed=jnp.asarray(allowed),
        per_anchor=EACH,
        hardness=hardness,
    )
    pairs, values = plain(
        inputs, hardness=hardness, labelled=np.flatnonzero(labelled), allowed=allowed
    )
    assert [tuple(pair) for pair in found.indices.tolist()] == pairs
    np.testing.assert_allclose(found.values, values, rtol=1e-4)


def known(component=None, apart=(), groups=None, asked=()):
    pad = [(-1, -1)]
    return Known(
        jnp.arange(N) if component is None else jnp.asarray(component),
        jnp.asarray([*apart, *pad]),
        jnp.full((N, 2), -1) if groups is None else jnp.asarray(groups),
        jnp.asarray([*asked, *pad]),
    )


def all_pairs(**options):
    """Everything that is asked where as much is asked as there is."""
    inputs = cases.make(N)
    budget = N * (N - 1) // 2 + 7
    found = selectors.ipc(inputs.embeddings, inputs.centers, budget, **options)
    pairs = [tuple(pair) for pair in found.indices.tolist() if pair[0] >= 0]
    assert np.isneginf(found.values[len(pairs) :]).all()
    assert len(set(pairs)) == len(pairs)
    return set(pairs)


def test_everything_is_asked_in_the_end_but_what_is_known():
    every = {(i, j) for j in range(N) for i in range(j)}
    assert all_pairs() == every
    component = np.arange(N)
    component[[4, 7, 9]] = 4
    component[[11, 12]] = 11
    groups = np.full((N, 2), -1)
    groups[:3, 0] = [0, 1, 1]
    groups[3, 1] = 5
    told = known(component, apart=[(4, 11), (20, 21)], groups=groups, asked=[(30, 31), (33, 32)])
    linked = {(4, 7), (4, 9), (7, 9), (11, 12)}
    apart = {(i, j) for i in (4, 7, 9) for j in (11, 12)} | {(20, 21), (0, 1), (0, 2)}
    # 9 < 11 and so on: the pairs above are in order.
    assert all_pairs(known=told) == every - linked - apart - {(30, 31), (32, 33)}


def test_those_not_allowed_are_never_asked_about():
    allowed = jnp.arange(N) % 5 != 0
    kept = np.flatnonzero(np.asarray(allowed)).tolist()
    pairs = all_pairs(allowed=allowed)
    assert pairs == {(i, j) for j in kept for i in kept if i < j}
    assert all_pairs(allowed=jnp.zeros(N, bool)) == set()


def test_one_cluster_and_one_sample_are_no_failure():
    inputs = cases.make(N)
    found = selectors.ipc(inputs.embeddings, inputs.centers[:1], 5)
    assert len({tuple(pair) for pair in found.indices.tolist()}) == 5
    alone = selectors.ipc(inputs.embeddings[:1], inputs.centers, 5)
    assert alone.indices.tolist() == [[-1, -1]] * 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": -1}, "budget is -1"),
        ({"per_anchor": 0}, "per_anchor is 0"),
        (
            {"labelled": jnp.zeros(N + 1, bool)},
            r"labelled has shape \[49\]; it must be bool \[48\]",
        ),
        ({"allowed": jnp.zeros(3, bool)}, r"allowed has shape \[3\]; it must be bool \[48\]"),
    ],
)
def test_what_means_nothing_is_refused(changes, message):
    inputs = cases.make(N)
    with pytest.raises(UserError, match=message):
        selectors.ipc(inputs.embeddings, inputs.centers, **{"budget": 4, **changes})
