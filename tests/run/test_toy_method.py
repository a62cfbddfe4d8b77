"""A method that registers itself is known everywhere, with its options, and gone when forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from configs import base, digits, features
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.methods.contract import MethodSpec
from idc_jax.runs.settings import check_settings
from idc_jax.sweeps import sweep
from idc_jax.sweeps.axes import Axis, parse_axes


class ToyOptions(NamedTuple):
    """How the toy plays."""

    games: int = 3
    loud: bool = False


class Nothing(NamedTuple):
    """What a method that is never built keeps."""


def toy_spec(**changes: Any) -> MethodSpec:
    """A method that asks for labels, and has a group of options of its own."""

    def build(*parts: Any) -> Any:
        raise NotImplementedError

    fields = {
        "name": "toy",
        "summary": "plays",
        "asks": ("label",),
        "build": build,
        "context": Nothing,
        "state": Nothing,
        "options": {"toy_game": ToyOptions},
        "defaults": {"rounds": 7, "toy_game.games": 5, "model.head": "plain"},
        "published": {"toy_game.loud": True},
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
    spec = toy_spec(asks=("pair",), chooses="pairs", published=None)
    registry.register(spec)
    yield spec
    registry.forget(spec.name)


def test_a_config_has_its_options_and_starts_from_its_defaults(toy: MethodSpec) -> None:
    config = base.get_config("toy")
    assert config.method == "toy"
    assert config.toy_game.to_dict() == {"games": 5, "loud": False}
    assert (config.rounds, config.model.head) == (7, "plain")
    assert base.get_config("toy_published").toy_game.loud
    # In another method's config they are there, and as the class has them.
    assert base.get_config().toy_game.to_dict() == ToyOptions()._asdict()
    assert {"toy", "toy_published"} <= set(base.names())


def test_data_sets_treat_it_by_what_it_asks(toy_of_pairs: MethodSpec) -> None:
    assert digits.get_config("toy").budget == digits.get_config("pcl").budget
    assert features.get_config("toy").init == features.get_config("pcl").init
    assert "toy_published" not in base.names()


def test_the_settings_accept_it(toy: MethodSpec) -> None:
    config = digits.get_config("toy")
    check_settings(config)
    config.selector = "medoids"
    check_settings(config)
    config.selector = "guess"
    with pytest.raises(UserError, match=r"selector is 'guess'; one of own, random, .* would do"):
        check_settings(config)


def test_a_method_of_pairs_chooses_them_itself(toy_of_pairs: MethodSpec) -> None:
    config = digits.get_config("toy")
    check_settings(config)
    with pytest.raises(UserError, match=r"toy asks about pairs, which it chooses itself$"):
        parse_axes(["selector=own,random"], config)
    config.selector = "random"
    with pytest.raises(UserError, match="toy asks about pairs, which it chooses itself; own would"):
        check_settings(config)


def test_its_options_are_swept_and_others_refused(toy: MethodSpec) -> None:
    config = base.get_config("toy")
    assert parse_axes(["toy_game.games=1,2"], config) == (Axis("toy_game.games", (1, 2)),)
    with pytest.raises(UserError, match="only dsac reads it, and this is toy"):
        parse_axes(["dsac_training.epochs=1,2"], config)
    with pytest.raises(UserError, match="only toy reads it, and this is idc"):
        parse_axes(["toy_game.games=1,2"], base.get_config("idc"))


def test_a_group_of_two_methods_is_read_by_both() -> None:
    spec = toy_spec(options=registry.get("idc").options, defaults={}, published=None)
    registry.register(spec)
    try:
        assert parse_axes(["finetune.epochs=1,2"], base.get_config("idc"))
        assert parse_axes(["finetune.epochs=1,2"], base.get_config("toy"))
        with pytest.raises(UserError, match="only idc and toy read it, and this is dsac"):
            parse_axes(["finetune.epochs=1,2"], base.get_config("dsac"))
    finally:
        registry.forget(spec.name)


def test_its_options_keep_no_two_points_from_sharing_a_pretraining(toy: MethodSpec) -> None:
    one, other = base.get_config("toy"), base.get_config("toy")
    other.toy_game.games = 99
    assert sweep._network_key(one, with_seed=True) == sweep._network_key(other, with_seed=True)


def test_it_is_forgotten(toy: MethodSpec) -> None:
    config = base.get_config("toy")
    registry.forget("toy")
    try:
        assert "toy_game" not in base.get_config()
        with pytest.raises(UserError, match="method is 'toy'"):
            base.get_config("toy")
        with pytest.raises(UserError, match="method is 'toy'"):
            check_settings(config)
    finally:
        registry.register(toy)
