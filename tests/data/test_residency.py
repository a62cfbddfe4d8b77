import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax.data import Streamed, chunks, place, residency, slabs
from idc_jax.data.residency import steps_per_chunk
from idc_jax.errors import UserError

INPUTS = np.random.default_rng(0).integers(0, 256, (50, 3, 3, 1), dtype=np.uint8)
INDICES = np.random.default_rng(1).integers(0, 50, (12, 5))


def run(samples, indices, most=None):
    """A training loop's skeleton: one compiled scan, called once per chunk."""
    traces = []

    @jax.jit
    def scan(state, array, local):
        traces.append((array.shape[0], local.shape[0]))

        def step(carry, index):
            batch = array[index].astype(jnp.float32)
            return carry * 0.9 + batch.sum(), batch.mean()

        return jax.lax.scan(step, state, local)

    state, outputs, seen = jnp.zeros(()), [], []
    for chunk in chunks(samples, indices, most):
        state, out = scan(state, chunk.array, chunk.indices)
        outputs.append(out)
        seen += range(*chunk.steps.indices(len(indices)))
    assert seen == list(range(len(indices)))
    return np.asarray(state), np.concatenate(outputs), traces


def test_a_budget_decides():
    assert isinstance(place(INPUTS, INPUTS.nbytes), jax.Array)
    assert isinstance(place(INPUTS, INPUTS.nbytes - 1), Streamed)
    with pytest.raises(UserError, match="-1 bytes"):
        place(INPUTS, -1)


def test_without_grain_too_much_is_one_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install grain"):
        place(INPUTS, 0)


@pytest.mark.parametrize("budget", [0, 300, 449])
def test_streaming_gives_what_residing_gives(budget):
    state, outputs, _ = run(place(INPUTS, 10**6), INDICES)
    streamed_state, streamed_outputs, traces = run(place(INPUTS, budget), INDICES)
    np.testing.assert_allclose(streamed_state, state, rtol=1e-6)
    np.testing.assert_allclose(streamed_outputs, outputs, rtol=1e-6)
    assert len(traces) <= 2
    # Two chunks at a time are on the device, or one step where the budget is too small for that.
    assert all(2 * 9 * rows <= max(budget, 2 * 9 * 5) for rows, _ in traces)


@pytest.mark.parametrize("budget", [10**6, 449])
def test_no_chunk_has_more_steps_than_wanted(budget):
    *_, traces = run(place(INPUTS, budget), INDICES, most=4)
    assert max(steps for _, steps in traces) <= 4


def test_spread_samples_are_brought_some_steps_at_a_time(monkeypatch):
    # What marks them is the devices' business; one device brings the same rows.
    monkeypatch.setattr(residency.sharded, "is_spread", lambda samples: True)
    monkeypatch.setattr(residency, "_BROUGHT", 2 * 5 * INPUTS[0].nbytes)
    _, found, traces = run(place(INPUTS, 10**6), INDICES)
    assert traces == [(10, 2)]
    monkeypatch.undo()
    np.testing.assert_array_equal(found, run(place(INPUTS, 10**6), INDICES)[1])


def test_no_steps_are_no_chunks_when_streaming():
    assert list(chunks(place(INPUTS, 0), np.zeros((0, 5), np.int64))) == []


@pytest.mark.parametrize(
    ("budget", "lengths"), [(10**6, [50]), (300, [14, 14, 14, 8]), (0, [7] * 7 + [1])]
)
def test_slabs_of_a_mapped_file_are_all_of_it_in_order(tmp_path, budget, lengths):
    np.save(tmp_path / "x.npy", INPUTS)
    samples = place(np.load(tmp_path / "x.npy", mmap_mode="r"), budget)
    parts = list(slabs(samples, 7))
    assert [len(part) for part in parts] == lengths
    np.testing.assert_array_equal(np.concatenate(parts), INPUTS)
    np.testing.assert_array_equal(samples[:2], INPUTS[:2])


@pytest.mark.parametrize(
    ("total", "most", "expected"),
    [(12, 0, 1), (12, 5, 4), (12, 100, 12), (13, 5, 5), (7, 4, 4), (100, 30, 25)],
)
def test_steps_per_chunk(total, most, expected):
    assert steps_per_chunk(total, most) == expected
