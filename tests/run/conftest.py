"""A data set small enough to run a whole experiment on in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import features


@pytest.fixture(scope="session")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Four overlapping blobs: features [160, 8] and labels [160]."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 40)
    middles = rng.normal(size=(4, 8)) * 2
    return (middles[labels] + rng.normal(size=(160, 8))).astype(np.float32), labels


@pytest.fixture
def features_file(tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]) -> Path:
    path = tmp_path / "blobs.npz"
    np.savez(path, features=blobs[0], labels=blobs[1])
    return path


@pytest.fixture
def tiny(features_file: Path, tmp_path: Path) -> ConfigDict:
    """IDC on the blobs, two rounds of six questions, a few steps each."""
    config = shrink(features.get_config(), tmp_path)
    config.data.path = str(features_file)
    return config


def shrink(config: ConfigDict, tmp_path: Path) -> ConfigDict:
    """Make ``config`` a matter of seconds; what it does stays the same."""
    config.num_clusters = 4
    config.budget, config.rounds = 12, 2
    config.progress = False
    config.report.map = False
    config.data.cache = str(tmp_path / "cache")
    config.model.width = 8
    config.pretrain.epochs = 1
    config.pretrain.batch_size = 32
    config.idc.head_steps = min(config.idc.head_steps, 5)
    config.finetune.epochs, config.finetune.min_steps = 2, 0
    config.finetune.batch_size = 6
    config.dsac_training.epochs = 1
    config.dsac_training.batch_size = config.dsac_training.labelled_batch = 16
    config.pcl_training.block_size = 32
    config.pcl_training.warmup_epochs = config.pcl_training.epochs = 1
    return config
