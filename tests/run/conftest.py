"""A data set small enough to run a whole experiment on in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from small import shrink

from configs import features
from idc_jax.runs.compose import run_experiment


@pytest.fixture(scope="session")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Four overlapping blobs: features [160, 8] and labels [160]."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 40)
    middles = rng.normal(size=(4, 8)) * 2
    return (middles[labels] + rng.normal(size=(160, 8))).astype(np.float32), labels


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data and its cache are kept, once for all tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def features_file(home: Path, blobs: tuple[np.ndarray, np.ndarray]) -> Path:
    path = home / "blobs.npz"
    np.savez(path, features=blobs[0], labels=blobs[1])
    return path


@pytest.fixture
def tiny(features_file: Path, home: Path) -> ConfigDict:
    """IDC on the blobs, two rounds of six questions, a few steps each."""
    return _tiny(features_file, home)


@pytest.fixture(scope="session")
def whole(features_file: Path, home: Path) -> Path:
    """The folder of a finished run of ``tiny``; to be read, and copied before it is changed."""
    run_experiment(_tiny(features_file, home), home / "whole")
    return home / "whole"


def _tiny(features_file: Path, home: Path) -> ConfigDict:
    config = shrink(features.get_config("idc"), home)
    config.data.path = str(features_file)
    return config
