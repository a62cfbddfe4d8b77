"""A method that registers itself is known everywhere, with its options, and gone when forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import shrink

from configs import digits, features
from idc_jax import ops
from idc_jax.annotate.questions import label_questions
from idc_jax.annotate.store import Store
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.methods.contract import Method, MethodSpec, Options, Parts
from idc_jax.runs import configuration
from idc_jax.runs.compose import run_experiment
from idc_jax.runs.settings import check_settings
from idc_jax.sweeps import sweep
from idc_jax.sweeps.axes import Axis, parse_axes


class ToyOptions(NamedTuple):
    """How the toy plays."""

    games: int = 3
    loud: bool = False


class ToyContext(NamedTuple):
    """The samples themselves."""

    embeddings: jax.Array


class ToyState(NamedTuple):
    """What is predicted."""

    probabilities: jax.Array


def play(parts: Parts, options: Options) -> Method:
    """Ask about the first samples that nobody was asked about; go by the nearest answer."""
    del options
    x = jnp.asarray(parts.data)
    even = jnp.full((len(x), parts.num_clusters), 1 / parts.num_clusters)

    def ask(key, context, state, evidence, round_):
        left = np.flatnonzero(~evidence.asked)[: round_.budget]
        return label_questions(round_.number, left, np.zeros(len(left)))

    def learn(key, context, state, evidence, round_):
        told = np.flatnonzero(evidence.group >= 0)
        nearest = ops.knn(x[told], 1, queries=x).indices[:, 0]
        classes = evidence.group[told][np.asarray(nearest)]
        return ToyState(jax.nn.one_hot(classes, parts.num_clusters)), {"answered": len(told)}

    return Method(lambda key: (ToyContext(x), ToyState(even)), ask, learn)


def toy_spec(**changes: Any) -> MethodSpec:
    """A method that asks for labels, and has a group of options of its own."""
    fields = {
        "name": "toy",
        "summary": "plays",
        "asks": ("label",),
        "build": play,
        "context": ToyContext,
        "state": ToyState,
        "options": {"toy_game": ToyOptions},
        "defaults": {"rounds": 7, "toy_game.games": 5, "model.head": "plain"},
        "recipes": {"paper": {"toy_game.loud": True}},
        **changes,
    }
    return MethodSpec(**{name: fields[name] for name in MethodSpec._fields if name in fields})


@pytest.fixture
def toy() -> Iterator[MethodSpec]:
    spec = toy_spec()
    registry.register(spec)
    yield spec
    registry.forget(spec.name)


@pytest.fixture
def toy_of_pairs() -> Iterator[MethodSpec]:
    spec = toy_spec(asks=("pair",), chooses="pairs", recipes={})
    registry.register(spec)
    yield spec
    registry.forget(spec.name)


def test_a_config_has_its_options_and_starts_from_its_defaults(toy: MethodSpec) -> None:
    config = configuration.get_config("toy")
    assert config.method == "toy"
    assert config.toy_game.to_dict() == {"games": 5, "loud": False}
    assert (config.rounds, config.model.head) == (7, "plain")
    assert configuration.get_config("toy_paper").toy_game.loud
    # In another method's config they are there, and as the class has them.
    assert configuration.get_config().toy_game.to_dict() == ToyOptions()._asdict()
    assert {"toy", "toy_paper"} <= set(configuration.names())


def test_data_sets_treat_it_by_what_it_asks(toy_of_pairs: MethodSpec) -> None:
    assert digits.get_config("toy").budget == digits.get_config("pcl").budget
    assert features.get_config("toy").init == features.get_config("pcl").init
    assert "toy_paper" not in configuration.names()


def test_the_settings_accept_it(toy: MethodSpec) -> None:
    config = digits.get_config("toy")
    check_settings(config)
    config.selector = "medoids"
    check_settings(config)
    config.selector = "guess"
    with pytest.raises(UserError, match=r"selector is 'guess'; choose one of own, random, "):
        check_settings(config)


def test_a_method_of_pairs_chooses_them_itself(toy_of_pairs: MethodSpec) -> None:
    config = digits.get_config("toy")
    check_settings(config)
    with pytest.raises(UserError, match=r"toy asks about pairs, which it chooses itself$"):
        parse_axes(["selector=own,random"], config)
    config.selector = "random"
    with pytest.raises(UserError, match="toy asks about pairs, which it chooses itself; use own"):
        check_settings(config)


def test_its_options_are_swept_and_others_refused(toy: MethodSpec) -> None:
    config = configuration.get_config("toy")
    assert parse_axes(["toy_game.games=1,2"], config) == (Axis("toy_game.games", (1, 2)),)
    with pytest.raises(UserError, match="only dsac reads it, and this is toy"):
        parse_axes(["dsac_training.epochs=1,2"], config)
    with pytest.raises(UserError, match="only toy reads it, and this is idc"):
        parse_axes(["toy_game.games=1,2"], configuration.get_config("idc"))


def test_a_group_of_two_methods_is_read_by_both() -> None:
    spec = toy_spec(options=registry.get("idc").options, defaults={}, recipes={})
    registry.register(spec)
    try:
        assert parse_axes(["finetune.epochs=1,2"], configuration.get_config("idc"))
        assert parse_axes(["finetune.epochs=1,2"], configuration.get_config("toy"))
        with pytest.raises(UserError, match="only idc and toy read it, and this is dsac"):
            parse_axes(["finetune.epochs=1,2"], configuration.get_config("dsac"))
    finally:
        registry.forget(spec.name)


def test_its_options_keep_no_two_points_from_sharing_a_pretraining(toy: MethodSpec) -> None:
    one, other = configuration.get_config("toy"), configuration.get_config("toy")
    other.toy_game.games = 99
    assert sweep._network_key(one, with_seed=True) == sweep._network_key(other, with_seed=True)


def test_it_runs_from_a_config_to_a_report(
    toy: MethodSpec, features_file: Path, home: Path, tmp_path: Path
) -> None:
    config = shrink(features.get_config("toy"), home)
    config.data.path = str(features_file)
    config.budget, config.rounds = 30, 3
    # The blobs lie one after the other.
    config.data.limit = 80
    assert run_experiment(config, tmp_path / "run").exists()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["method"] == "toy"
    assert [entry["questions"] for entry in result["rounds"]] == [0, 10, 20, 30]
    assert result["final"]["acc"] > result["initial"]["acc"]


def test_numbers_that_mean_nothing_end_the_run_and_keep_the_answers(
    features_file: Path, home: Path, tmp_path: Path
) -> None:
    def diverge(parts: Parts, options: Options) -> Method:
        method = play(parts, options)

        def learn(*arguments):
            state, info = method.learn(*arguments)
            return ToyState(state.probabilities * jnp.nan), info

        return method._replace(learn=learn)

    spec = toy_spec(build=diverge)
    registry.register(spec)
    try:
        config = shrink(features.get_config("toy"), home)
        config.data.path = str(features_file)
        with pytest.raises(UserError, match="round 1: toy predicts numbers that are not finite"):
            run_experiment(config, tmp_path / "run")
    finally:
        registry.forget(spec.name)
    with Store(tmp_path / "run" / "answers.db") as store:
        assert len(store.rows()) == 6


def test_it_is_forgotten(toy: MethodSpec) -> None:
    config = configuration.get_config("toy")
    registry.forget("toy")
    try:
        assert "toy_game" not in configuration.get_config()
        with pytest.raises(UserError, match="method is 'toy'"):
            configuration.get_config("toy")
        with pytest.raises(UserError, match="method is 'toy'"):
            check_settings(config)
    finally:
        registry.register(toy)
