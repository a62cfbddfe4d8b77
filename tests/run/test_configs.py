"""Every config with every method, on data of its own kind: a few steps each, from end to end."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict, config_flags
from PIL import Image
from small import shrink

from idc_jax.methods import registry
from idc_jax.runs.compose import run_experiment

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    p.stem for p in (ROOT / "configs").glob("*.py") if p.stem not in ("__init__", "base")
)
# What stands in for data that a test machine does not have is made here, in its real format;
# TensorFlow Datasets are read from a prepared folder in tests/data, and here replaced by images.
FOLDERS = ("image_folder", "imagenet10", "imagenet10_2", "imagenet_dogs")


def load(name: str, method: str) -> ConfigDict:
    flag = config_flags.config_flags._ConfigFileParser("config")
    return flag.parse(f"{ROOT / 'configs' / name}.py:{method}")


@pytest.mark.parametrize("method", registry.names())
@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_parses_and_is_locked(name: str, method: str) -> None:
    config = load(name, method)
    assert config.method == method
    assert config.is_locked
    with pytest.raises(AttributeError):
        config.bugdet = 1
    text = (ROOT / "configs" / f"{name}.py").read_text()
    assert f"python launch.py --config=configs/{name}.py" in text


def small_data(config: ConfigDict, tmp_path: Path) -> None:
    """Point ``config`` to sixty samples of the kind that it reads."""
    rng = np.random.default_rng(0)
    source = config.data.source
    if source == "features":
        middles = rng.normal(size=(4, 16)) * 2
        labels = np.repeat(np.arange(4), 15)
        features = (middles[labels] + rng.normal(size=(60, 16))).astype(np.float32)
        # CIFAR100-4's features come with the hundred fine labels.
        fine = np.arange(60) % 100
        path = tmp_path / "features.npz"
        np.savez(path, features=features, labels=labels, fine_labels=fine)
        config.data.path = str(path)
    elif source == "idx":
        config.data.path = str(tmp_path / "idx")
        _write_idx(tmp_path / "idx", rng)
    elif source in ("folder", "tfds"):
        config.data.source = "folder"
        config.data.path = str(tmp_path / "folder")
        config.data.image_size = 8
        classes = tuple(config.data.classes) or tuple(f"class_{k}" for k in range(10))
        _write_folder(tmp_path / "folder", classes, rng)
    else:
        config.data.limit = 60


def _write_idx(folder: Path, rng: np.random.Generator) -> None:
    folder.mkdir()
    for split, count in (("train", 40), ("t10k", 20)):
        images = rng.integers(0, 255, (count, 8, 8), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        with gzip.open(folder / f"{split}-images-idx3-ubyte.gz", "wb") as file:
            file.write(struct.pack(">IIII", 2051, count, 8, 8) + images.tobytes())
        with gzip.open(folder / f"{split}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">II", 2049, count) + labels.tobytes())


def _write_folder(folder: Path, classes: tuple[str, ...], rng: np.random.Generator) -> None:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(-(-60 // len(classes))):
            pixels = rng.integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


@pytest.mark.parametrize(
    ("name", "method"),
    # Each config once, and every method on images and on features.
    [(name, "idc") for name in CONFIGS if name != "image_folder"]
    + [(name, method) for name in ("digits", "features") for method in ("dsac", "pcl", "ipc")]
    + [(name, "graph_committee") for name in ("features", "image_folder")],
)
def test_every_config_runs(name: str, method: str, tmp_path: Path) -> None:
    config = load(name, method)
    with config.unlocked():
        small_data(config, tmp_path)
        shrink(config, tmp_path)
    config.data.target_map = ""
    # The published networks take a minute each to compile; their own tests build them.
    config.model.name = "mlp"
    config.model.embedding_dim = 8
    config.views.size = 0
    run_experiment(config, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["method"] == method
    assert 0 < found["questions"]["asked"] <= 12
    assert 0 <= found["final"]["acc"] <= 1
    logged = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in logged]
    trained = [line for line in logged if line["phase"] in ("train", "finetune", "refine")]
    assert all(line.get("epochs") or line.get("steps") for line in trained)
    # The graph committee trains no network.
    assert bool(trained) == (method != "graph_committee")


def test_a_run_s_folder_is_called_after_its_config_and_method() -> None:
    told = {
        "digits.py": "digits",
        "digits.py:idc": "digits_idc",
        "digits.py:dsac": "digits_dsac",
        "features.py": "features_graph_committee",
        "features.py:idc": "features_idc",
        "features.py:idc_paper": "features_idc_paper",
    }
    # Flags are global: a process of its own for them.
    script = (
        "import sys\nfrom idc_jax import launch\n"
        "for name in sys.argv[1:]:\n"
        "    launch.flags.FLAGS.unparse_flags()\n"
        "    launch._parse(['launch.py', f'--config=configs/{name}'])\n"
        "    print(launch._workdir(launch._config()).as_posix())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [f"runs/{folder}" for folder in told.values()]
