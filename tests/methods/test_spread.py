"""Evidence from answers: named, rejected, skipped, and clusters that nobody has named."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.annotate.questions import NONE_OF_THESE, SKIP, UNASKED
from idc_jax.methods.common.spread import clamp, spread_answers


@pytest.fixture
def two_groups() -> tuple[ops.Neighbors, jax.Array]:
    """Ten points in two groups of five, and a prior that knows nothing."""
    x = jnp.concatenate([jnp.arange(5.0), 100 + jnp.arange(5.0)])[:, None]
    return ops.knn(x, 2), jnp.full((10, 3), 1 / 3)


def spread(
    two_groups: tuple[ops.Neighbors, jax.Array],
    said: dict[int, int],
    rejected: dict[int, list[int]] | None = None,
    prior: jax.Array | None = None,
) -> np.ndarray:
    neighbors, even = two_groups
    prior = even if prior is None else prior
    choice = np.full(10, UNASKED, np.int32)
    out = np.zeros((10, 3), bool)
    for sample, answer in said.items():
        choice[sample] = answer
    for sample, clusters in (rejected or {}).items():
        out[sample, clusters] = True
    found = spread_answers(neighbors, prior, prior, jnp.asarray(choice), jnp.asarray(out), 0.9)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    return np.asarray(found)


def test_a_group_follows_its_answer(two_groups: tuple[ops.Neighbors, jax.Array]) -> None:
    found = spread(two_groups, {1: 0, 8: 2})
    assert found[8].tolist() == [0, 0, 1]
    # Cluster 1 was never named: its stand-in, a prior's surest, is somewhere too.
    assert (found[5:].argmax(1) == 2).all()


def test_none_of_these_rules_out_what_was_offered(
    two_groups: tuple[ops.Neighbors, jax.Array],
) -> None:
    found = spread(two_groups, {8: NONE_OF_THESE, 1: 0}, {8: [0, 1]})
    np.testing.assert_allclose(found[8], [0, 0, 1], atol=1e-6)


def test_everything_rejected_stays_finite(two_groups: tuple[ops.Neighbors, jax.Array]) -> None:
    found = spread(two_groups, {8: NONE_OF_THESE}, {8: [0, 1, 2]})
    assert np.isfinite(found).all()


def test_a_skip_says_nothing(two_groups: tuple[ops.Neighbors, jax.Array]) -> None:
    np.testing.assert_allclose(
        spread(two_groups, {1: 0, 2: SKIP}), spread(two_groups, {1: 0}), atol=1e-6
    )


def test_rounding_does_not_choose_who_stands_in_for_a_cluster(
    two_groups: tuple[ops.Neighbors, jax.Array],
) -> None:
    surest = np.full((10, 3), 0.25, np.float32)
    surest[[2, 7], 1] = 0.5
    found = []
    for sample in (2, 7):
        prior = surest.copy()
        prior[sample, 1] = np.nextafter(np.float32(0.5), np.float32(1))
        found.append(spread(two_groups, {1: 0, 8: 2}, prior=jnp.asarray(prior)))
    np.testing.assert_allclose(*found, atol=1e-6)


def test_where_no_evidence_arrives_the_prior_stays(
    two_groups: tuple[ops.Neighbors, jax.Array],
) -> None:
    # The stand-ins of clusters 1 and 2 both sit in the first group.
    prior = (
        jnp.full((10, 3), 1 / 3).at[0].set(jnp.asarray([0, 1, 0])).at[4].set(jnp.asarray([0, 0, 1]))
    )
    found = spread(two_groups, {1: 0}, prior=prior)
    np.testing.assert_allclose(found[5:], prior[5:], atol=1e-6)


def test_clamp_by_hand() -> None:
    posterior = jnp.asarray([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    choice = jnp.asarray([1, NONE_OF_THESE, UNASKED])
    rejected = jnp.asarray([[False] * 3, [False, False, True], [False] * 3])
    expected = [[0, 1, 0], [0.4, 0.6, 0], [0.2, 0.3, 0.5]]
    np.testing.assert_allclose(clamp(posterior, choice, rejected), expected, atol=1e-6)
