"""Every selector against its plain definition, on inputs that hypothesis thinks up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import selector_inputs as cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idc_jax import selectors
from idc_jax.selectors import coverage, greedy

# One shape throughout, so that each selector is compiled once; the data varies.
N, BUDGET = cases.N, cases.BUDGET
inventive = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 10_000)


def drawn(seed):
    inputs = cases.make(N, seed)
    rng = np.random.default_rng(seed)
    return inputs, rng.random(N) < 0.15, rng.random(N) < 0.8


def unit(x):
    return np.asarray(x, np.float64) / np.linalg.norm(x, axis=1, keepdims=True)


def plain_greedy(value_of, labelled, candidates):
    """Pick the highest ``value_of(selected)`` again and again; values ``[m]`` and the picks."""
    selected, picks = list(np.flatnonzero(labelled)), []
    for _ in range(min(BUDGET, candidates.sum())):
        values = np.where(candidates, value_of(selected), -np.inf)
        picks.append(int(values.argmax()))
        candidates = candidates & (np.arange(N) != picks[-1])
        selected.append(picks[-1])
    return picks


def check(found, picks):
    expected = picks + [-1] * (BUDGET - len(picks))
    assert found.indices.tolist() == expected


@inventive
@given(seeds)
def test_idc(seed):
    inputs, labelled, allowed = drawn(seed)
    z, c = unit(inputs.embeddings), unit(inputs.centers)
    cosines = np.sort(z @ c.T, axis=1)
    hard = np.log(np.maximum(1 - cosines[:, -1] + cosines[:, -2], 1e-6))
    distances2 = np.sort(((z[:, None] - z[None]) ** 2).sum(-1), axis=1)[:, 1:21]
    base = hard - np.log(distances2.sum(1))
    pairs = np.log(np.clip(1 - z @ z.T, 1e-6, 2))

    def value(selected):
        return base + (pairs[:, selected].min(1) if selected else 0.0)

    found = selectors.idc(
        inputs.embeddings, inputs.centers, BUDGET, labelled=labelled, allowed=allowed
    )
    check(found, plain_greedy(value, labelled, allowed & ~labelled))


@inventive
@given(seeds)
def test_k_center(seed):
    inputs, labelled, allowed = drawn(seed)
    x = np.asarray(inputs.embeddings, np.float64)
    pairs = ((x[:, None] - x[None]) ** 2).sum(-1)
    to_mean = -((x - x.mean(0)) ** 2).sum(1)

    def value(selected):
        return pairs[:, selected].min(1) if selected else to_mean

    found = selectors.k_center(inputs.embeddings, BUDGET, labelled=labelled, allowed=allowed)
    check(found, plain_greedy(value, labelled, allowed & ~labelled))


def gains(kernel, weights):
    def value(selected):
        cover = kernel[selected].max(0) if selected else np.zeros(N)
        return np.maximum(kernel - cover, 0) @ weights

    return value


@inventive
@given(seeds)
def test_max_herding(seed):
    inputs, labelled, allowed = drawn(seed)
    z = unit(inputs.embeddings)
    kernel = np.exp(-((z[:, None] - z[None]) ** 2).sum(-1) / 0.25)
    found = selectors.max_herding(
        inputs.embeddings, BUDGET, labelled=labelled, allowed=allowed, bandwidth=0.5
    )
    value = gains(kernel, np.ones(N))
    check_values(found, value, labelled, allowed & ~labelled)


@inventive
@given(seeds)
def test_u_herding(seed):
    inputs, labelled, allowed = drawn(seed)
    z, two = unit(inputs.embeddings), np.sort(inputs.probabilities, axis=1)[:, -2:]
    kernel = np.exp(-((z[:, None] - z[None]) ** 2).sum(-1) / 0.25)
    found = selectors.u_herding(
        inputs.embeddings,
        inputs.probabilities,
        BUDGET,
        labelled=labelled,
        allowed=allowed,
        bandwidth=0.5,
        adaptive=False,
    )
    check_values(found, gains(kernel, 1 - two[:, 1] + two[:, 0]), labelled, allowed & ~labelled)


@inventive
@given(seeds)
def test_facility_location(seed):
    inputs, labelled, allowed = drawn(seed)
    z = unit(inputs.embeddings)
    found = selectors.facility_location(
        inputs.embeddings, BUDGET, labelled=labelled, allowed=allowed
    )
    value = gains(0.5 + 0.5 * z @ z.T, np.ones(N))
    check_values(found, value, labelled, allowed & ~labelled)


@inventive
@given(seeds)
def test_probcover(seed):
    inputs, labelled, allowed = drawn(seed)
    z = unit(inputs.embeddings)
    kernel = (((z[:, None] - z[None]) ** 2).sum(-1) <= 0.25).astype(float)
    found = selectors.probcover(
        inputs.embeddings, BUDGET, radius=0.5, labelled=labelled, allowed=allowed
    )
    check_values(found, gains(kernel, np.ones(N)), labelled, allowed & ~labelled)


def check_values(found, value, labelled, candidates):
    """Each pick has the highest gain there is, given the picks before it, to rounding."""
    selected, free = list(np.flatnonzero(labelled)), candidates.copy()
    for index, gain in zip(found.indices.tolist(), found.values.tolist(), strict=True):
        if index < 0:
            assert not free.any()
            continue
        now = np.where(free, value(selected), -np.inf)
        assert free[index]
        np.testing.assert_allclose([gain, now[index]], now.max(), atol=2e-5)
        selected.append(index)
        free[index] = False


@inventive
@given(seeds)
def test_margin_and_entropy(seed):
    inputs, labelled, allowed = drawn(seed)
    p = np.asarray(inputs.probabilities)
    two = np.sort(p, axis=1)[:, -2:]
    masks = {"labelled": labelled, "allowed": allowed}
    for select, values in (
        (selectors.margin, two[:, 0] - two[:, 1]),
        (selectors.entropy, -(p * np.log(p)).sum(1)),
    ):
        values = np.where(allowed & ~labelled, values, -np.inf)
        order = np.argsort(-values, kind="stable")[:BUDGET]
        np.testing.assert_allclose(
            select(inputs.probabilities, BUDGET, **masks).values, values[order], rtol=1e-4
        )


@inventive
@given(seeds)
def test_dsac(seed):
    inputs, labelled, allowed = drawn(seed)
    x, a = np.asarray(inputs.embeddings, np.float64), np.asarray(inputs.assignments)
    pairs = np.sort(((x[:, None] - x[None]) ** 2).sum(-1), axis=1)
    compact = 1 / pairs[:, 1:7].sum(1)
    distances2 = ((x - np.asarray(inputs.centers)[a]) ** 2).sum(1)
    found, representative = selectors.dsac(
        inputs.embeddings, inputs.centers, a, BUDGET, labelled=labelled, allowed=allowed
    )
    free = allowed & ~labelled
    chosen = np.asarray(found.indices)[np.asarray(representative)]
    for cluster in range(4):
        members = np.flatnonzero(free & (a == cluster))
        if len(members):
            near = members[np.argsort(distances2[members], kind="stable")[:6]]
            assert near[compact[near].argmax()] in chosen
    picked = np.asarray(found.indices)
    assert len(set(picked[picked >= 0])) == min(BUDGET, free.sum())
    assert free[picked[picked >= 0]].all()


def test_dsac_shares_the_budget():
    inputs = cases.make(N)
    for budget, representatives in ((3, 3), (BUDGET, 4)):
        found, roles = selectors.dsac(inputs.embeddings, inputs.centers, inputs.assignments, budget)
        assert int(roles.sum()) == representatives
        assert roles.tolist() == sorted(roles.tolist(), reverse=True)
        counts = np.bincount(np.asarray(inputs.assignments)[found.indices], minlength=4)
        assert counts.max() - counts.min() <= 1


def test_badge_first_pick_and_spread():
    inputs = cases.make(N)
    p, x = np.asarray(inputs.probabilities, np.float64), np.asarray(inputs.embeddings, np.float64)
    g = np.einsum("nc,nd->ncd", p - np.eye(4)[p.argmax(1)], x).reshape(N, -1)
    found = selectors.badge(jax.random.key(1), inputs.embeddings, inputs.probabilities, BUDGET)
    picks = found.indices.tolist()
    assert picks[0] == int((g**2).sum(1).argmax())
    for m in range(1, BUDGET):
        nearest2 = ((g[picks[m]] - g[picks[:m]]) ** 2).sum(1).min()
        assert float(found.values[m]) == pytest.approx(nearest2, rel=1e-3)


@pytest.mark.parametrize("field", [17, 100])
def test_lazy_greedy_survives_small_pools(monkeypatch, field):
    for name, value in (("_POOL", 5), ("_PENDING", 3), ("_FIELD", field)):
        monkeypatch.setattr(greedy, name, value)
    # A size for each, so that each is compiled.
    inputs = cases.make(field + 44)
    x = np.asarray(inputs.embeddings, np.float64)
    found = selectors.k_center(inputs.embeddings, 30).indices.tolist()
    nearest2 = ((x - x[found[0]]) ** 2).sum(1)
    for pick in found[1:]:
        assert pick == nearest2.argmax()
        nearest2 = np.minimum(nearest2, ((x - x[pick]) ** 2).sum(1))


def test_lazy_coverage_survives_small_pools(monkeypatch):
    inputs = cases.make(N)
    expected = selectors.max_herding(inputs.embeddings, BUDGET).values
    for name, value in (("_POOL", 4), ("_BATCH", 2), ("_TILE", 16)):
        monkeypatch.setattr(coverage, name, value)
    found = selectors.max_herding(inputs.embeddings, BUDGET, num_targets=2 * N)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)


def test_coverage_on_a_sample_of_targets_comes_close():
    inputs = cases.make(N)
    exact = selectors.max_herding(inputs.embeddings, BUDGET)
    sampled = selectors.max_herding(inputs.embeddings, BUDGET, num_targets=N // 2)
    assert float(sampled.values.sum()) == pytest.approx(float(exact.values.sum()), rel=0.2)


def test_pairs_are_unknown_pairs_of_their_blocks():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 6, 4)), jnp.float32)
    known = jnp.zeros((3, 6, 6), int).at[0].set(1).at[1, 0, 1].set(-1).at[1, 1, 0].set(-1)
    found = selectors.pcl(x, known, 30, per_block=20)
    pairs = found.indices[found.indices[:, 0] >= 0].tolist()
    assert len(pairs) == 14 + 15  # block 0 is known; one pair of block 1 is
    assert all(a < b and a // 6 == b // 6 for a, b in pairs)
    assert [6, 7] not in pairs
    assert len({tuple(pair) for pair in pairs}) == len(pairs)


def test_every_block_gives_its_first_pair_before_any_second():
    x = jnp.asarray(np.random.default_rng(1).standard_normal((4, 8, 3)), jnp.float32)
    found = selectors.pcl(x, jnp.zeros((4, 8, 8), int), 6, remaining_fraction=0.5)
    assert sorted((found.indices[:4, 0] // 8).tolist()) == [0, 1, 2, 3]


def test_two_rounds_lose_little():
    inputs = cases.make(240)
    z = unit(inputs.embeddings).astype(np.float32)
    base = jnp.zeros(240)
    free = jnp.ones(240, bool)
    exact = selectors.idc_from_scores(z, base, 10, labelled=~free, candidates=free)
    found = selectors.idc_partitioned(z, base, 10, 4)
    assert len(set(found.indices.tolist())) == 10
    assert float(found.values.sum()) >= float(exact.values.sum()) - 2.0
