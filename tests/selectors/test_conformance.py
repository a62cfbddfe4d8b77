"""What every selector has in common."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import selector_inputs as cases

from idc_jax import selectors
from idc_jax.errors import UserError

N, BUDGET = cases.N, cases.BUDGET
every = pytest.mark.parametrize("name", cases.SAMPLES)
pairs = pytest.mark.parametrize("name", selectors.names("pairs"))
fixed = pytest.mark.parametrize("name", cases.DETERMINISTIC)
# Those that look at neighbours, or at clusters.
local = pytest.mark.parametrize("name", ["idc", "dsac", "typiclust", "probcover"])
clustered = pytest.mark.parametrize(
    "name", ["idc", "dsac", "margin", "entropy", "probcover", "u_herding", "badge"]
)


@functools.cache
def base() -> selectors.SelectorInputs:
    return cases.make(N)


@functools.cache
def picked(name: str) -> selectors.Selection:
    return selectors.get(name).select(cases.key(), base(), BUDGET)


@every
def test_picks_are_unique_and_typed(name):
    result = picked(name)
    assert len(set(result.indices.tolist())) == 10
    assert result.indices.dtype == jnp.int32
    assert result.values.dtype == jnp.float32
    assert bool(((result.indices >= 0) & (result.indices < N)).all())
    assert bool(jnp.isfinite(result.values).all())


@every
def test_same_key_same_picks(name):
    again = selectors.get(name).select(cases.key(), base(), BUDGET)
    np.testing.assert_array_equal(again.indices, picked(name).indices)


@every
def test_same_under_jit(name):
    # TypiClust fixes its number of clusters when traced; nothing is labelled here, so it agrees.
    select = jax.jit(selectors.get(name).select, static_argnums=2)
    np.testing.assert_array_equal(select(cases.key(), base(), BUDGET).indices, picked(name).indices)


@every
def test_same_in_a_program_that_closes_over_what_is_known(name):
    inputs = base()._replace(labelled=jnp.arange(N) % 8 == 0)
    select = jax.jit(lambda key: selectors.get(name).select(key, inputs, BUDGET))
    found = selectors.get(name).select(cases.key(), inputs, BUDGET)
    np.testing.assert_array_equal(select(cases.key()).indices, found.indices)


@every
def test_only_allowed_and_not_labelled(name):
    index = np.arange(N)
    inputs = base()._replace(
        allowed=jnp.asarray(index % 2 == 0), labelled=jnp.asarray(index % 8 == 0)
    )
    chosen = cases.picks(name, inputs, BUDGET)
    assert (chosen % 2 == 0).all()
    assert (chosen % 8 != 0).all()


@every
def test_too_few_allowed_leaves_blanks(name):
    inputs = base()._replace(allowed=jnp.arange(N) < 3)
    result = selectors.get(name).select(cases.key(), inputs, BUDGET)
    assert sorted(result.indices.tolist()) == [-1] * 7 + [0, 1, 2]
    np.testing.assert_array_equal(np.isneginf(result.values), np.asarray(result.indices) < 0)


@every
def test_budget_of_nothing(name):
    assert cases.picks(name, base(), 0).shape == (0,)


@every
def test_budget_of_all_and_above(name):
    assert sorted(cases.picks(name, base(), N).tolist()) == list(range(N))
    with pytest.warns(UserWarning, match="exceeds"):
        chosen = cases.picks(name, base(), N + 5)
    assert sorted(chosen.tolist()) == list(range(N))


@fixed
def test_order_of_rows_does_not_matter(name):
    order = np.random.default_rng(1).permutation(N)
    per_row = ("embeddings", "probabilities", "assignments")
    shuffled = base()._replace(**{field: getattr(base(), field)[order] for field in per_row})
    chosen = order[cases.picks(name, shuffled, BUDGET)]
    if name in ("probcover", "facility_location"):
        # Counts tie, and so do two samples that are each other's nearest; their values agree.
        values = selectors.get(name).select(cases.key(), shuffled, BUDGET).values
        np.testing.assert_allclose(values[:5], picked(name).values[:5], rtol=1e-5)
    else:
        np.testing.assert_array_equal(chosen, picked(name).indices)


@every
def test_duplicates(name):
    inputs = base()._replace(embeddings=jnp.tile(base().embeddings[:6], (8, 1)))
    assert len(set(cases.picks(name, inputs, BUDGET).tolist())) == 10


@every
def test_constant_features(name):
    inputs = base()._replace(
        embeddings=jnp.ones((N, 6)),
        centers=jnp.ones((4, 6)),
        probabilities=jnp.full((N, 4), 0.25),
    )
    result = selectors.get(name).select(cases.key(), inputs, BUDGET)
    assert len(set(result.indices.tolist())) == 10
    assert not np.isnan(np.asarray(result.values)).any()


@clustered
def test_single_cluster(name):
    inputs = base()._replace(
        centers=base().centers[:1],
        assignments=jnp.zeros((N,), jnp.int32),
        probabilities=jnp.ones((N, 1)),
    )
    assert len(set(cases.picks(name, inputs, BUDGET).tolist())) == 10


@local
def test_fewer_samples_than_neighbours(name):
    assert sorted(cases.picks(name, cases.make(3), 3).tolist()) == [0, 1, 2]


@every
def test_one_sample(name):
    assert cases.picks(name, cases.make(1), 1).tolist() == [0]


@every
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_taken_as_float32(name, dtype):
    half = base()._replace(embeddings=base().embeddings.astype(dtype))
    full = half._replace(embeddings=half.embeddings.astype(jnp.float32))
    np.testing.assert_array_equal(cases.picks(name, half, BUDGET), cases.picks(name, full, BUDGET))


@pytest.mark.parametrize(
    "name", [name for name in cases.SAMPLES if name not in ("random", "margin", "entropy")]
)
def test_nan_is_refused_by_row(name):
    broken = base()._replace(embeddings=base().embeddings.at[jnp.array([5, 9]), 0].set(jnp.nan))
    with pytest.raises(UserError, match=r"row\(s\) 5, 9"):
        cases.picks(name, broken, 5)


@pytest.mark.parametrize("name", ["margin", "entropy", "badge", "u_herding"])
def test_nan_probabilities_are_refused(name):
    broken = base()._replace(probabilities=base().probabilities.at[7, 1].set(jnp.inf))
    with pytest.raises(UserError, match=r"probabilities .* row\(s\) 7"):
        cases.picks(name, broken, 5)


@every
def test_masks_of_another_length_are_refused(name):
    with pytest.raises(UserError, match="labelled has shape"):
        cases.picks(name, base()._replace(labelled=jnp.zeros(N + 1, bool)), 5)


@every
def test_warm_call_compiles_nothing(name, caplog):
    cases.picks(name, base(), BUDGET)
    with jax.log_compiles(), caplog.at_level(logging.DEBUG, "jax"):
        cases.picks(name, base(), BUDGET)
    assert not [message for message in caplog.messages if "Compiling" in message]


@pairs
def test_pairs_are_unique_and_typed_and_the_same_again(name):
    result = picked(name)
    assert result.indices.shape == (BUDGET, 2)
    assert result.indices.dtype == jnp.int32
    assert result.values.dtype == jnp.float32
    assert len({tuple(pair) for pair in result.indices.tolist()}) == BUDGET
    assert bool((result.indices[:, 0] >= 0).all())
    assert bool((result.indices[:, 0] < result.indices[:, 1]).all())
    assert bool((result.indices[:, 1] < N).all())
    assert bool(jnp.isfinite(result.values).all())
    again = selectors.get(name).select(cases.key(), base(), BUDGET)
    np.testing.assert_array_equal(again.indices, result.indices)
    select = jax.jit(selectors.get(name).select, static_argnums=2)
    np.testing.assert_array_equal(select(cases.key(), base(), BUDGET).indices, result.indices)


@pairs
def test_pairs_of_those_allowed_alone(name):
    inputs = base()._replace(allowed=jnp.arange(N) < 4)
    result = selectors.get(name).select(cases.key(), inputs, BUDGET)
    found = [tuple(pair) for pair in result.indices.tolist() if pair[0] >= 0]
    assert sorted(found) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    np.testing.assert_array_equal(np.isneginf(result.values), result.indices[:, 0] < 0)
    assert cases.picks(name, base(), 0).shape == (0, 2)


@pairs
def test_pairs_of_duplicates_and_of_half_precision(name):
    for x in (jnp.ones((N, 6)), base().embeddings.astype(jnp.float16)):
        result = selectors.get(name).select(cases.key(), base()._replace(embeddings=x), BUDGET)
        assert len({tuple(pair) for pair in result.indices.tolist()}) == BUDGET
        assert not np.isnan(np.asarray(result.values)).any()


@pairs
def test_pairs_refuse_nan_and_compile_nothing_anew(name, caplog):
    broken = base()._replace(embeddings=base().embeddings.at[jnp.array([5, 9]), 0].set(jnp.nan))
    with pytest.raises(UserError, match="NaN or infinity"):
        cases.picks(name, broken, 5)
    cases.picks(name, base(), BUDGET)
    with jax.log_compiles(), caplog.at_level(logging.DEBUG, "jax"):
        cases.picks(name, base(), BUDGET)
    assert not [message for message in caplog.messages if "Compiling" in message]


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in selectors.names() for field in selectors.get(name).needs],
)
def test_missing_inputs_are_named(name, field):
    with pytest.raises(UserError, match=field):
        cases.picks(name, base()._replace(**{field: None}), 5)


def test_unknown_name():
    with pytest.raises(UserError, match="one of random, idc"):
        selectors.get("best")
