"""Checkpoints: whatever tree comes back as it was, and damage costs one step and not the run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import absl.logging
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from idc_jax.errors import UserError
from idc_jax.train.checkpoint import Checkpoints, read_latest, rebuild


class Graph(NamedTuple):
    indices: jax.Array
    weights: jax.Array | None = None


class State(NamedTuple):
    variables: dict[str, Any]
    graph: Graph
    levels: tuple[Graph, ...]
    pair: tuple[jax.Array, Graph]
    named: dict[str, Graph]
    maybe: Graph | None
    count: int = 3


def graph(size: int) -> Graph:
    return Graph(jnp.arange(size, dtype=jnp.int32), jnp.ones((size, 0), jnp.bfloat16))


def state() -> State:
    return State(
        variables={"params": {"w": jnp.ones((2, 3))}, "batch_stats": {}},
        graph=graph(4),
        levels=tuple(graph(size) for size in range(12)),
        pair=(jnp.zeros((0, 2), bool), Graph(jnp.int32(7))),
        named={"a": graph(1)},
        maybe=None,
    )


def same(found: Any, wanted: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert one.dtype == jnp.asarray(other).dtype
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    checkpoints = Checkpoints(tmp_path / "c")
    for step in (1, 2):
        checkpoints.save(step, {"x": jnp.full(3, step), "none": jnp.zeros((0, 2))}, {"step": step})
    checkpoints.close()
    return tmp_path / "c"


@pytest.mark.parametrize("like", [State, state()], ids=["type", "example"])
def test_a_state_comes_back_with_its_empty_parts(tmp_path: Path, like: Any) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, {"state": state(), "initial": [jnp.zeros((0, 4)), 1.5]}, {"round": 5})
    found = Checkpoints(tmp_path).latest()
    assert found is not None
    assert (found.step, found.meta) == (5, {"round": 5})
    assert found.tree["state"]["graph"]["weights"].shape == (4, 0)
    assert found.tree["state"]["variables"]["batch_stats"] == {}
    assert found.tree["initial"]["0"].shape == (0, 4)
    again = rebuild(like, found.tree["state"])
    assert isinstance(again, State)
    assert [type(level) for level in again.levels] == [Graph] * 12
    assert again.maybe is None
    same(again, state())


@pytest.mark.parametrize("tree", [{}, {"a": {}, "b": ()}, {"a": {"b": jnp.zeros((3, 0))}}], ids=str)
def test_a_tree_without_a_single_number(tmp_path: Path, tree: dict) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(0, tree, {})
    found = checkpoints.latest()
    assert found is not None
    same(rebuild(tree, found.tree), tree)


def test_an_optimiser_comes_back_by_its_example(tmp_path: Path) -> None:
    optimiser = optax.adamw(optax.constant_schedule(1e-3)).init({"w": jnp.ones(3)})
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(0, {"opt": optimiser}, {})
    found = checkpoints.latest()
    assert found is not None
    same(rebuild({"opt": optimiser}, found.tree)["opt"], optimiser)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no Graph: missing \['indices'\], unknown \['other'\]"):
        rebuild(Graph, {"other": 1})
    assert rebuild(Graph, {"indices": 1}) == Graph(1, None)


def test_the_last_two_are_kept_and_one_can_be_replaced(saved: Path) -> None:
    checkpoints = Checkpoints(saved)
    checkpoints.save(2, {"x": jnp.zeros(1)}, {"again": True})
    checkpoints.save(3, {"x": jnp.zeros(1)}, {})
    assert {path.name for path in saved.iterdir()} == {"2", "3"}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def files(step: Path) -> list[Path]:
    return sorted(path for path in step.rglob("*") if path.is_file() and path.stat().st_size)


def damage_one(step: Path, name: str) -> bool:
    found = [path for path in files(step) if path.name == name or path.parent.name == name]
    for path in found:
        cut(path)
    return bool(found)


@pytest.mark.parametrize("name", ["metadata", "_METADATA", "manifest.ocdbt", "d", "all"])
def test_the_older_one_stands_in_for_a_damaged_one(
    saved: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    if name == "all":
        for path in files(saved / "2"):
            cut(path)
    else:
        assert damage_one(saved / "2", name)
    with caplog.at_level(logging.WARNING):
        checkpoints = Checkpoints(saved)
        found = checkpoints.latest()
    assert found is not None
    assert found.meta == {"step": 1}
    np.testing.assert_array_equal(found.tree["x"], [1, 1, 1])
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, said
    assert "checkpoint 2 in" in said[0]
    assert "is damaged" in said[0]
    assert "going on from 1" in said[0]
    # The run goes on and saves that step once more.
    checkpoints.save(2, {"x": jnp.zeros(1)}, {"step": 2})
    again = checkpoints.latest()
    assert again is not None
    assert again.step == 2


def test_where_all_are_damaged_one_line_says_so(saved: Path) -> None:
    for step in ("1", "2"):
        assert damage_one(saved / step, "d")
    with pytest.raises(UserError, match=r"no checkpoint in .* can be read") as caught:
        Checkpoints(saved).latest()
    assert "\n" not in str(caught.value)
    assert "answers" not in str(caught.value)


def test_another_run_s_folder_is_left_as_it_is(saved: Path) -> None:
    half = saved / "3.orbax-checkpoint-tmp-1"
    half.mkdir()
    found = read_latest(saved)
    assert found is not None
    assert found.step == 2
    assert half.exists()
    checkpoints = Checkpoints(saved)
    checkpoints.save(4, {"x": jnp.ones(1)}, {})
    assert not half.exists()


def test_only_orbax_is_silenced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogger("absl").level
    with caplog.at_level(logging.INFO, logger="absl"):
        checkpoints = Checkpoints(tmp_path)
        checkpoints.save(1, {"x": jnp.ones(2)}, {})
        checkpoints.latest()
        assert not caplog.records
        absl.logging.warning("two clusters are empty")
    assert [record.getMessage() for record in caplog.records] == ["two clusters are empty"]
    checkpoints.close()
    assert logging.getLogger("absl").level == before


def test_every_filter_goes_with_its_checkpoints(tmp_path: Path) -> None:
    before = list(logging.getLogger("absl").filters)
    Checkpoints(tmp_path).close()
    assert read_latest(tmp_path) is None
    assert logging.getLogger("absl").filters == before
