"""Bad input: one clear line, and nothing half-written left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from idc_jax import selectors
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.runs.compose import run_experiment

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": 0}, "budget is 0"),
        ({"budget": 161}, "budget is 161, but there are 160 samples"),
        ({"num_clusters": 1}, "num_clusters is 1"),
        ({"num_clusters": 200}, "num_clusters is 200, but there are 160 samples"),
        ({"minutes": -1.0}, "minutes is -1.0; it must be at least 0 (by the budget)"),
        ({"minutes": float("nan")}, "minutes is nan"),
        ({"rounds": 0}, "rounds is 0"),
        ({"rounds": 13}, "rounds is 13"),
        ({"selector": "guess"}, "selector is 'guess'"),
        ({"questions": "word"}, "questions is 'word'"),
        ({"selector": "pcl"}, "selector is 'pcl'"),
        (
            {"method": "pcl", "selector": "random"},
            "pcl asks about pairs, which it chooses itself; use own",
        ),
        ({"method": "kmeans"}, "method is 'kmeans'"),
        ({"model.name": "vit"}, "model.name is 'vit'"),
        ({"model.name": "resnet_small"}, "the data are features"),
        ({"annotator.kind": "phone"}, "annotator.kind is 'phone'"),
        ({"annotator.error_rate": 1.5}, "error_rate is 1.5"),
        ({"annotator.kind": "file"}, "annotator.file"),
        ({"data.path": ""}, "data.path"),
        ({"data.path": "nowhere.npz"}, "nowhere.npz"),
        ({"init": "nowhere.pth"}, "nowhere.pth"),
        ({"idc.centers": "median"}, "idc.centers is 'median'"),
        ({"idc.num_candidates": 0}, "idc.num_candidates is 0"),
        ({"finetune.learning_rate": 0.0}, "finetune.learning_rate is 0.0"),
        ({"finetune.pseudo_labels": "oracle"}, "finetune.pseudo_labels is 'oracle'"),
        ({"data.device_gigabytes": 1e-9}, "data.device_gigabytes"),
    ],
    ids=str,
)
def test_impossible_values(tiny: ConfigDict, tmp_path: Path, changes: dict, said: str) -> None:
    tiny.update_from_flattened_dict(changes)
    refused(tiny, tmp_path / "run", said)


def refused(config: ConfigDict, workdir: Path, said: str) -> None:
    with pytest.raises(UserError) as caught:
        run_experiment(config, workdir)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert not workdir.exists()


def test_features_that_are_not_finite(
    tiny: ConfigDict, tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    features = blobs[0].copy()
    features[[3, 77], 1] = np.nan, np.inf
    np.savez(tmp_path / "bad.npz", features=features, labels=blobs[1])
    tiny.data.path = str(tmp_path / "bad.npz")
    refused(tiny, tmp_path / "run", "3, 77")


def test_labels_of_the_wrong_length(
    tiny: ConfigDict, tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    np.savez(tmp_path / "bad.npz", features=blobs[0], labels=blobs[1][:-1])
    tiny.data.path = str(tmp_path / "bad.npz")
    refused(tiny, tmp_path / "run", "159")


def test_a_simulated_annotator_needs_labels(
    tiny: ConfigDict, tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    np.save(tmp_path / "plain.npy", blobs[0])
    tiny.data.path = str(tmp_path / "plain.npy")
    refused(tiny, tmp_path / "run", "annotator.kind=page")


@pytest.fixture
def of_images(tiny: ConfigDict, tmp_path: Path) -> ConfigDict:
    tiny.data.source, tiny.data.image_size = "folder", 8
    tiny.data.path = str(tmp_path / "images")
    tiny.model.name = "resnet_small"
    (tmp_path / "images").mkdir()
    return tiny


def test_an_empty_folder(of_images: ConfigDict, tmp_path: Path) -> None:
    refused(of_images, tmp_path / "run", "images")


def test_a_folder_with_nothing_but_a_truncated_image(of_images: ConfigDict, tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    (tmp_path / "images" / "cut.png").write_bytes(data[: len(data) // 2])
    refused(of_images, tmp_path / "run", "cut.png")


def test_a_workdir_that_cannot_be_made(tiny: ConfigDict, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="is not a folder"):
        run_experiment(tiny, tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "in the way"


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "launch.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--config=configs/digits.py", "--config.bugdet=50"), "bugdet"),
        (("--config=configs/digits.py", "--config.budget=0", "--workdir=DIR"), "budget is 0"),
        (("--config=configs/digits.py", "--config.budget=many"), "budget"),
        (("--config=configs/digits.py", "--sweep=bugdet=1", "--workdir=DIR"), "mean budget?"),
        (("--config=configs/nowhere.py",), "nowhere.py"),
        (
            ("--config=configs/digits.py:nonsense",),
            "error: method is 'nonsense'; choose one of dsac, ",
        ),
        (("--config=configs/digits.py:pcl_papers", "--config.budget=5"), "idc_paper, "),
        ((), "--config"),
    ],
    ids=str,
)
def test_the_command_line_says_one_line_and_exits_with_2(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = launch(*(a.replace("DIR", str(tmp_path / "run")) for a in arguments))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_help_and_options() -> None:
    shown = launch("--help")
    assert shown.returncode == 0
    assert "--config" in shown.stdout
    assert "--sweep=NAME=A,B,C" in shown.stdout
    options = launch("--config=configs/digits.py", "--options")
    assert options.returncode == 0
    assert "budget: 50" in options.stdout


def test_help_lists_what_may_stand_behind_the_colon() -> None:
    shown = launch("--help").stdout
    assert all(f":{spec.name} " in shown and spec.summary in shown for spec in registry.specs())
    assert ":dsac_paper, :idc_paper, :idc_code, :ipc_paper, :pcl_paper, :pcl_code" in shown


def test_help_lists_who_may_choose_the_samples() -> None:
    shown = launch("--help").stdout
    told = shown.partition("--config.selector=NAME")[2].partition("flags:")[0]
    listed = told.partition(":")[2].replace(",", " ").split()
    assert listed == list(selectors.names("samples"))
