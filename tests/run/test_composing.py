"""What is put together at the start: each thing once, and nothing that nobody uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from small import shrink

from configs import features
from idc_jax.data import residency
from idc_jax.data.finite import bad_rows
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.runs import parts
from idc_jax.runs.compose import make_method
from idc_jax.train import start


@pytest.fixture
def committee(features_file: Path, home: Path) -> ConfigDict:
    config = shrink(features.get_config("graph_committee"), home)
    config.data.path = str(features_file)
    return config


def begun(config: ConfigDict, workdir: Path) -> Any:
    dataset = parts.load_dataset(config)
    parts.check_against_data(config, dataset)
    return make_method(config, dataset, workdir, lambda values: None)


def test_the_samples_are_uploaded_once(
    committee: ConfigDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded: list[tuple[int, ...]] = []
    upload, put = residency.upload, jax.numpy.asarray

    def counted(array: np.ndarray, sharding: Any) -> Any:
        uploaded.append(array.shape)
        return upload(array, sharding)

    def asarray(array: Any, *args: Any, **options: Any) -> Any:
        if isinstance(array, np.ndarray) and len(array) == 160:
            uploaded.append(array.shape)
        return put(array, *args, **options)

    monkeypatch.setattr(residency, "upload", counted)
    monkeypatch.setattr(jax.numpy, "asarray", asarray)
    begun(committee, tmp_path)
    assert uploaded == [(160, 8)]


def test_a_network_that_nobody_uses_is_never_begun(
    committee: ConfigDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def used(*args: Any) -> None:
        raise AssertionError("a view was made for a network")

    monkeypatch.setattr(start, "view_batch", used)
    begun(committee, tmp_path).init(jax.random.key(0))
    committee.graph_committee.space = "network"
    with pytest.raises(AssertionError, match="for a network"):
        begun(committee, tmp_path).init(jax.random.key(0))


@pytest.mark.parametrize("method", registry.names())
def test_samples_that_are_compared_as_they_are_have_to_fit(method: str, tiny: ConfigDict) -> None:
    tiny.method, tiny.data.source, tiny.data.limit, tiny.model.name = method, "digits", 40, "mlp"
    tiny.data.device_gigabytes = 1e-6
    dataset = parts.load_dataset(tiny)
    for group in registry.get(method).options:
        if "space" in tiny[group]:
            tiny[group].space = "network"
            parts.check_against_data(tiny, dataset)
            tiny[group].space = "input"
            with pytest.raises(UserError, match=f"use {group}.space=network"):
                parts.check_against_data(tiny, dataset)
            return
    parts.check_against_data(tiny, dataset)


def test_pairs_may_be_more_than_samples(tiny: ConfigDict) -> None:
    tiny.budget = 161
    dataset = parts.load_dataset(tiny)
    with pytest.raises(UserError, match="budget is 161"):
        parts.check_against_data(tiny, dataset)
    tiny.method = "pcl"
    parts.check_against_data(tiny, dataset)


def test_rows_that_are_no_numbers_are_found_in_every_chunk() -> None:
    x = np.zeros((20_000, 2), np.float32)
    wanted = [0, 8191, 8192, 19_999]
    x[wanted, 1] = np.nan, np.inf, -np.inf, np.nan
    np.testing.assert_array_equal(bad_rows(x), wanted)
    assert not len(bad_rows(x[1:8000]))
    assert not len(bad_rows(x[:0]))
