"""How methods find neighbours, and what they tell of it."""

import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.errors import UserError
from idc_jax.methods.common import searching
from idc_jax.methods.common.searching import searcher


def points(n: int) -> jnp.ndarray:
    return jnp.asarray(np.random.default_rng(0).standard_normal((n, 3), np.float32))


def test_exact_and_few_samples_are_searched_exactly() -> None:
    told: list = []
    x, exact = points(300), ops.knn(points(300), 5)
    for how in ("exact", "auto"):
        np.testing.assert_array_equal(searcher(how, told.append)(x, 5).indices, exact.indices)
    assert told == []


def test_what_an_approximate_search_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list = []
    x = points(3000)
    exact = np.asarray(ops.knn(x, 5).indices)
    found = searcher("approximate", told.append)(x, 5)
    (line,) = told
    reached = (
        np.mean(
            [len(set(a) & set(b)) for a, b in zip(exact, np.asarray(found.indices), strict=True)]
        )
        / 5
    )
    assert 0.95 <= reached < 1.0
    assert abs(line.pop("recall") - reached) < 0.02
    assert line == {"phase": "neighbors", "neighbors": 5}
    # Of many samples, that is what "auto" does.
    monkeypatch.setattr(searching, "_FROM", 3000)
    np.testing.assert_array_equal(searcher("auto", told.append)(x, 5).indices, found.indices)
    assert len(told) == 2


@pytest.mark.parametrize(
    ("num_samples", "platform", "few"),
    [(99_999, "cpu", True), (100_000, "cpu", False), (1_000_000, "gpu", True)],
)
def test_accelerators_search_more_samples_exactly(num_samples, platform, few) -> None:
    assert searching._are_few(num_samples, {platform}) == few


def test_another_word_is_refused() -> None:
    with pytest.raises(UserError, match="'faiss'; choose one of auto, exact, approximate"):
        searcher("faiss", print)  # type: ignore[arg-type]
