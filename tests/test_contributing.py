"""CONTRIBUTING.md, followed literally: what it adds works as it says."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import features
from idc_jax import data, models, selectors
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.runs.compose import run_experiment
from idc_jax.selectors import SelectorInputs

TEXT = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text()


@pytest.fixture
def follow() -> Iterator[Callable[[str], None]]:
    """Runs what stands under a heading, and takes it back in the end."""
    undo = []

    def run(heading: str, forget: Callable[[], object]) -> None:
        section = re.split(r"^## ", TEXT, flags=re.MULTILINE)
        text = next(part for part in section if part.startswith(heading))
        (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        # Flax looks classes up in their module.
        module = sys.modules["contributed"] = ModuleType("contributed")
        exec(compile(snippet, heading, "exec", dont_inherit=True), vars(module))
        undo.append(forget)

    yield run
    for forget in undo:
        forget()
    sys.modules.pop("contributed", None)


def test_a_selector(follow) -> None:
    follow("A selector", lambda: selectors.forget("outlying"))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(30, 4)), jnp.float32)
    far = jnp.argsort(-jnp.linalg.norm(x - x.mean(0), axis=1))
    labelled = jnp.zeros(30, bool).at[far[0]].set(True)
    found = selectors.get("outlying").select(
        jax.random.key(0), SelectorInputs(x, labelled=labelled), 3
    )
    np.testing.assert_array_equal(found.indices, far[1:4])
    assert "outlying" in selectors.names("samples")
    with pytest.raises(UserError, match="there is a selector 'outlying' already"):
        selectors.register(selectors.get("outlying"))


def test_a_network(follow) -> None:
    follow("A network", lambda: models.forget("pooled"))
    model = models.build("pooled", num_clusters=3, input_shape=(8, 8, 3), width=16)
    images = jnp.zeros((2, 8, 8, 3))
    outputs, _ = model.apply(model.init(jax.random.key(0), images), images, train=False)
    assert outputs.embedding.shape == (2, 16)
    assert outputs.logits.shape == (2, 3)
    with pytest.raises(UserError, match="there is a network 'pooled' already"):
        models.register("pooled", lambda **options: None)


def test_a_method_and_a_data_source(follow, tmp_path: Path) -> None:
    follow("A method", lambda: registry.forget("nearest"))
    follow("A data source", lambda: data.SOURCES.pop("rings"))
    config = features.get_config("nearest")
    config.data.source, config.num_clusters, config.nearest.neighbors = "rings", 2, 3
    config.budget, config.rounds = 40, 2
    config.report.map = config.progress = False
    run_experiment(config, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (found["method"], found["dataset"], found["num_samples"]) == ("nearest", "rings", 200)
    assert found["final"]["acc"] > 0.9 > found["initial"]["acc"]
