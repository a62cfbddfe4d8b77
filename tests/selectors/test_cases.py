"""What people hand to a selector, a score or a loss: understood, or refused in one line."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import selector_inputs as cases

from idc_jax import losses, ops, scores, selectors
from idc_jax.errors import UserError
from idc_jax.selectors import greedy

N, BUDGET = cases.N, cases.BUDGET
# What it was called before.
enable_x64: Any = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
every = pytest.mark.parametrize("name", selectors.names())
of_embeddings = pytest.mark.parametrize(
    "name", [name for name in selectors.names() if name not in ("random", "margin", "entropy")]
)


def pick(name: str, *, key: Any = None, budget: Any = BUDGET, **changed: Any) -> np.ndarray:
    inputs = cases.make(N)._replace(**changed)
    key = cases.key() if key is None else key
    return np.asarray(selectors.get(name).select(key, inputs, budget).indices)


def refused(call: Any, *told: str) -> None:
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value)
    for part in told:
        assert part in str(error.value), str(error.value)


@every
@pytest.mark.parametrize("budget", [5.0, "5", True, np.float32(5), -1, jnp.ones(2)])
def test_a_budget_is_a_whole_number(name: str, budget: Any) -> None:
    refused(
        lambda: pick(name, budget=budget), "budget is ", "; it must be a whole number of at least 0"
    )


def test_a_whole_number_of_any_kind_will_do() -> None:
    assert len(pick("k_center", budget=np.int64(10))) == 10
    assert len(pick("k_center", budget=jnp.int32(10))) == 10


@every
@pytest.mark.parametrize("key", [7, "a", np.random.default_rng(0), 1.5])
def test_a_key_is_a_key(name: str, key: Any) -> None:
    seed = key if isinstance(key, int) else 0
    refused(lambda: pick(name, key=key), "key is ", f"use a key, jax.random.key({seed})")


def test_an_old_style_key_will_do() -> None:
    assert len(pick("random", key=jax.random.PRNGKey(0))) == BUDGET


@every
@pytest.mark.parametrize("field", ["labelled", "allowed"])
def test_class_ids_are_no_mask(name: str, field: str) -> None:
    ids = np.full(N, -1)
    ids[:6] = [0, 1, 2, 0, 1, 2]
    refused(
        lambda: pick(name, **{field: ids}),
        f"{field} is int64 [{N}]; it must be bool, true where it holds",
        "labels >= 0",
    )
    refused(
        lambda: pick(name, **{field: ids[:5] >= 0}), f"{field} has shape [5]; it must be bool [{N}]"
    )


@pytest.mark.parametrize("name", ["idc", "dsac"])
def test_centres_of_another_width(name: str) -> None:
    centers = np.zeros((4, 7), np.float32)
    refused(
        lambda: pick(name, centers=centers),
        "centers has shape [4, 7]; it must be numbers [c, 6] (d is that of embeddings)",
    )


@of_embeddings
def test_lists_are_as_good_as_arrays(name: str) -> None:
    given = cases.make(N)
    lists = {field: value.tolist() for field, value in given._asdict().items() if value is not None}
    np.testing.assert_array_equal(pick(name, **lists), pick(name))


@of_embeddings
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (scipy.sparse.csr_array(np.eye(N, 6)), "use embeddings.toarray()"),
        (np.ma.masked_less(np.arange(N * 6.0).reshape(N, 6), 3), "embeddings is masked"),
        ([[1.0, 2.0], [3.0]], "embeddings is a list of unequal rows"),
        (np.full((N, 6), "a"), "use an array of numbers"),
        (np.ones((N, 6), complex), "use an array of numbers"),
        ([["a", "b"]], "use an array of numbers"),
        (np.ones(N, np.float32), f"embeddings has shape [{N}]; it must be numbers [n, d]"),
        (7, "embeddings has shape []"),
        ({1: 2}, "use an array of numbers"),
    ],
)
def test_what_is_no_array(name: str, value: Any, told: str) -> None:
    refused(lambda: pick(name, embeddings=value), told)


@of_embeddings
@pytest.mark.parametrize(
    ("rows", "factor", "told"),
    [
        ([5], 9.97e36, "embeddings holds 9.97e+36 in row(s) 5; the most is 1e+15"),
        ([5, 9], 1e20, "in row(s) 5, 9;"),
        (range(N), 1e20, "and 38 more"),
        (range(N), 1e-20, "scale all rows alike"),
    ],
)
def test_numbers_that_square_to_nothing_or_everything(
    name: str, rows: Any, factor: float, told: str
) -> None:
    ones = jnp.sign(cases.make(N).embeddings)
    refused(lambda: pick(name, embeddings=ones.at[np.r_[rows]].multiply(factor)), told)


@every
def test_64_bit_defaults_change_no_pick(name: str) -> None:
    labelled = np.arange(N) % 8 == 0
    plain = pick(name, labelled=labelled)
    with enable_x64(True):
        wide = cases.make(N)
        assert jnp.ones(1).dtype == jnp.float64
        result = selectors.get(name).select(
            cases.key(), wide._replace(labelled=jnp.asarray(labelled)), np.int64(BUDGET)
        )
    np.testing.assert_array_equal(result.indices, plain)
    assert result.indices.dtype == jnp.int32
    assert result.values.dtype == jnp.float32


def test_64_bit_defaults_change_no_clustering() -> None:
    x = np.asarray(cases.make(N).embeddings, np.float64)
    known = np.where(np.arange(N) < 4, np.arange(N), -1)

    def found() -> list[Any]:
        key = jax.random.key(0)
        return [
            ops.kmeans(key, x, 4),
            ops.semi_supervised_kmeans(key, x, 4, known),
            ops.knn(x, 3),
            scores.pair_scores(x, np.zeros((N, N), int), 0.5),
            scores.self_paced_weights(x[:, 0] ** 2),
        ]

    plain = found()
    with enable_x64(True):
        wide = found()
    jax.tree.map(np.testing.assert_array_equal, plain, wide)


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf, -jnp.inf, 1e20])
@pytest.mark.parametrize("name", ["idc", "k_center", "facility_location", "u_herding"])
def test_no_selector_loops_for_ever(name: str, value: float) -> None:
    """Where values cannot be looked at: under ``jit``, nothing is refused."""
    select = jax.jit(selectors.get(name).select, static_argnums=2)
    for rows in (slice(0, 2), slice(None)):
        inputs = cases.make(N)
        changed = {
            "embeddings": inputs.embeddings.at[rows].set(value),
            "probabilities": inputs.probabilities.at[rows].set(value),
        }
        picked = select(cases.key(), inputs._replace(**changed), BUDGET).indices.tolist()
        assert len(set(picked)) == BUDGET


def test_more_equals_than_a_field_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greedy, "_FIELD", 16)
    monkeypatch.setattr(greedy, "_POOL", 8)
    assert selectors.k_center(np.ones((41, 6)), 5).indices.tolist() == [0, 1, 2, 3, 4]


# -- scores and losses --------------------------------------------------------------------------

X, Y = np.ones((5, 3), np.float32), np.zeros((5, 3), np.float32)
IDS, MASK = np.zeros(5, int), np.ones(5, bool)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: scores.hardness(X, np.ones((2, 4))), "centers has shape [2, 4]"),
        (lambda: scores.hardness([1.0, 2.0], X), "z has shape [2]; it must be numbers [n, d]"),
        (lambda: scores.representativeness(X, 2.0), "k is 2.0; it must be a whole number"),
        (lambda: scores.representativeness(scipy.sparse.csr_array(X)), "z.toarray()"),
        (
            lambda: scores.diversity(X, np.ones(2)),
            "selected is float64 [2]; it must be whole numbers",
        ),
        (lambda: scores.compactness(X, "6"), "k is '6'; it must be a whole number"),
        (lambda: scores.pair_scores(X, np.zeros((5, 4)), 0.5), "known has shape [5, 4]"),
        (
            lambda: scores.self_paced_weights(X),
            "distances2 has shape [5, 3]; it must be numbers [n]",
        ),
        (lambda: losses.cross_entropy(X, IDS[:4], MASK), "targets has shape [4]"),
        (
            lambda: losses.cross_entropy(X, IDS * 1.0, MASK),
            "targets is float64 [5]; it must be whole",
        ),
        (lambda: losses.masked_mean(X[:, 0], IDS), "mask is int64 [5]; it must be bool"),
        (lambda: losses.positive(X, IDS, [1, 0], balanced=False), "mask has shape [2]"),
        (lambda: losses.negative(X, X.astype(int), MASK, key=3), "jax.random.key(3)"),
        (lambda: losses.regularisation(X, IDS, None, balanced=True), "mask is None; it is needed"),
        (lambda: losses.self_paced(X, Y[:, :2], 1.0, MASK), "centers has shape [5, 2]"),
        (lambda: losses.weighted_class(X, IDS, MASK, MASK[:2]), "mask has shape [2]"),
        (lambda: losses.class_means(X, IDS, MASK, 2.0), "num_classes is 2.0"),
        (lambda: losses.cluster_entropy(X, Y[:3], MASK), "second has shape [3, 3]"),
        (lambda: losses.must_link_weight(np.zeros((5, 4)), MASK, 8), "links has shape [5, 4]"),
        (lambda: losses.confident_labels(X[0], threshold=0.9), "probs has shape [3]"),
        (lambda: ops.kmeans(0, X, 2), "key is 0; use a key, jax.random.key(0)"),
        (lambda: ops.kmeans(jax.random.key(0), X, 2.0), "num_clusters is 2.0"),
        (lambda: ops.knn(X, 2, queries=X[:, :2]), "queries has shape [5, 2]"),
        (lambda: selectors.pcl(X[None], np.zeros((1, 5, 4)), 3), "known has shape [1, 5, 4]"),
    ],
)
def test_scores_and_losses_say_what_came(call: Any, told: str) -> None:
    refused(call, told)


def test_losses_take_lists_and_keep_their_width() -> None:
    targets, mask = [0, 1], [True, False]
    loss = losses.cross_entropy([[1.0, 2.0], [3.0, 4.0]], targets, mask)
    assert loss.dtype == jnp.float32
    half = losses.cross_entropy(jnp.ones((2, 2), jnp.bfloat16), targets, mask)
    assert half.dtype == jnp.bfloat16
    with enable_x64(True):
        assert losses.cross_entropy(np.ones((2, 2)), targets, mask).dtype == jnp.float64
        narrow = losses.positive(np.ones((2, 2), np.float32), targets, mask, balanced=True)
        assert narrow.dtype == jnp.float32
