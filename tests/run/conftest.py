"""A data set small enough to run a whole experiment on in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from small import shrink

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
