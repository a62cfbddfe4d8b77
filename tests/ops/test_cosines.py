"""The cosine that a share of all pairs exceeds, against NumPy's quantile."""

import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.errors import UserError
from idc_jax.ops import cosines


def unit(n: int, d: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d)) + 0.3
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def exact(z: np.ndarray, share: float) -> float:
    z = z.astype(np.float64)
    return float(np.quantile((z @ z.T)[np.triu_indices(len(z), 1)], 1 - share))


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.9])
def test_it_is_the_quantile_of_all_pairs(share: float) -> None:
    z = unit(150, 6)
    assert float(ops.cosine_exceeded_by(jnp.asarray(z), share)) == pytest.approx(
        exact(z, share), abs=5e-4
    )


def test_by_hand() -> None:
    # Of six pairs one is equal (cosine 1), four are at right angles, one is opposed.
    z = jnp.asarray([[1.0, 0], [1, 0], [0, 1], [0, -1]])
    width = 2 / 8192
    assert float(ops.cosine_exceeded_by(z, 0.1)) == pytest.approx(1, abs=width)
    assert float(ops.cosine_exceeded_by(z, 0.5)) == pytest.approx(0, abs=width)
    assert float(ops.cosine_exceeded_by(z, 0.95)) == pytest.approx(-1, abs=width)


def test_blocks_and_a_sample_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    z = unit(331, 5, seed=1)
    whole = float(ops.cosine_exceeded_by(jnp.asarray(z), 0.3))
    # Blocks that do not divide the rows: 7 of them at a time.
    monkeypatch.setattr(cosines, "_BLOCK", 331 * 7)
    cosines._exceeded_by.clear_cache()
    assert float(ops.cosine_exceeded_by(jnp.asarray(z), 0.3)) == pytest.approx(whole, abs=1e-6)
    monkeypatch.setattr(cosines, "_ROWS", 100)
    cosines._exceeded_by.clear_cache()
    sampled = float(ops.cosine_exceeded_by(jnp.asarray(z), 0.3))
    chosen = (np.arange(100) * 331) // 100
    inner = z[chosen].astype(np.float64) @ z.T
    inner[np.arange(100), chosen] = np.nan
    assert sampled == pytest.approx(float(np.nanquantile(inner, 0.7)), abs=5e-4)
    monkeypatch.undo()
    cosines._exceeded_by.clear_cache()


@pytest.mark.parametrize(
    ("rows", "share", "message"),
    [(1, 0.5, "z has 1 rows"), (3, 0.0, "share is 0.0"), (3, 1.0, "1")],
)
def test_what_means_nothing_is_refused(rows: int, share: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ops.cosine_exceeded_by(jnp.asarray(unit(rows, 3)), share)
