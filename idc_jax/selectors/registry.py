"""Selectors by name, under one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError, check_one_of
from idc_jax.ops import inputs as wants
from idc_jax.selectors import masks
from idc_jax.selectors.badge import badge
from idc_jax.selectors.base import Selection, Selector, SelectorInputs
from idc_jax.selectors.dsac import dsac
from idc_jax.selectors.herding import facility_location, max_herding, probcover, u_herding
from idc_jax.selectors.idc import idc
from idc_jax.selectors.ipc import ipc
from idc_jax.selectors.k_center import k_center
from idc_jax.selectors.medoids import medoids
from idc_jax.selectors.pcl import pcl
from idc_jax.selectors.random import random
from idc_jax.selectors.typiclust import typiclust
from idc_jax.selectors.uncertainty import entropy, margin

_WANTED = {
    "key": wants.key,
    "embeddings": wants.floats("n d"),
    "probabilities": wants.floats("n k"),
    "centers": wants.floats("c d"),
    "assignments": wants.ints("n"),
    "labelled": wants.flags("n"),
    "allowed": wants.flags("n"),
    "known": wants.floats("b s s"),
    "budget": wants.count(0),
}
# Samples of one block of pairs where nothing says how large the blocks are.
_PAIR_BLOCK = 128


def _masks(inputs: SelectorInputs) -> dict[str, Any]:
    return {"labelled": inputs.labelled, "allowed": inputs.allowed}


def _random(key: jax.Array, inputs: SelectorInputs, budget: int) -> Selection:
    return random(key, inputs.embeddings.shape[0], budget, **_masks(inputs))


def _dsac(key: jax.Array, inputs: SelectorInputs, budget: int, **options: Any) -> Selection:
    del key
    centers, assignments = (cast(jax.Array, a) for a in (inputs.centers, inputs.assignments))
    options = _masks(inputs) | options
    return dsac(inputs.embeddings, centers, assignments, budget, **options)[0]


def _pcl(key: jax.Array, inputs: SelectorInputs, budget: int, **options: Any) -> Selection:
    del key
    n = inputs.embeddings.shape[0]
    size = min(n, _PAIR_BLOCK) if inputs.known is None else inputs.known.shape[1]
    num_blocks = -(-n // size)
    padding = num_blocks * size - n
    blocked = jnp.pad(inputs.embeddings, ((0, padding), (0, 0))).reshape(num_blocks, size, -1)
    usable = jnp.ones((n,), bool) if inputs.allowed is None else inputs.allowed
    valid = jnp.pad(usable, (0, padding)).reshape(num_blocks, size)
    known = inputs.known
    if known is None:
        known = jnp.zeros((num_blocks, size, size), jnp.int8)
    return pcl(blocked, known, budget, valid=valid, **options)


def _of_probabilities(function: Callable[..., Selection]) -> Callable[..., Selection]:
    # Any: what comes is checked here.
    def select(key: Any, inputs: SelectorInputs, budget: Any) -> Selection:
        del key
        return function(inputs.probabilities, budget, **_masks(inputs))

    return select


def _keyed(function: Callable[..., Selection]) -> Callable[..., Selection]:
    def select(key: jax.Array, inputs: SelectorInputs, budget: int, **options: Any) -> Selection:
        return function(key, inputs.embeddings, budget, **_masks(inputs), **options)

    return select


def _keyless(function: Callable[..., Selection], *fields: str) -> Callable[..., Selection]:
    """A function of the embeddings and further ``fields`` of the inputs, without a key."""

    def select(key: jax.Array, inputs: SelectorInputs, budget: int, **options: Any) -> Selection:
        del key
        given = (getattr(inputs, field) for field in fields)
        return function(inputs.embeddings, *given, budget, **_masks(inputs), **options)

    return select


def _badge(key: jax.Array, inputs: SelectorInputs, budget: int) -> Selection:
    probabilities = cast(jax.Array, inputs.probabilities)
    return badge(key, inputs.embeddings, probabilities, budget, **_masks(inputs))


def _probcover(key: jax.Array, inputs: SelectorInputs, budget: int, **options: Any) -> Selection:
    del key
    if "radius" not in options and inputs.assignments is None:
        raise UserError("selector 'probcover' needs assignments or a radius")
    options = _masks(inputs) | {"assignments": inputs.assignments} | options
    return probcover(inputs.embeddings, budget, **options)


_SELECTORS = {
    selector.name: selector
    for selector in (
        Selector("random", _random),
        Selector("idc", _keyless(idc, "centers"), needs=("centers",)),
        Selector("dsac", _dsac, needs=("centers", "assignments")),
        Selector("pcl", _pcl, asks="pairs"),
        Selector("ipc", _keyless(ipc, "centers"), needs=("centers",), asks="pairs"),
        Selector("margin", _of_probabilities(margin), needs=("probabilities",)),
        Selector("entropy", _of_probabilities(entropy), needs=("probabilities",)),
        Selector("k_center", _keyless(k_center)),
        Selector("typiclust", _keyed(typiclust)),
        Selector("probcover", _probcover),
        Selector("max_herding", _keyless(max_herding)),
        Selector("u_herding", _keyless(u_herding, "probabilities"), needs=("probabilities",)),
        Selector("badge", _badge, needs=("probabilities",)),
        Selector("facility_location", _keyless(facility_location)),
        Selector("medoids", _keyed(medoids)),
    )
}


def register(selector: Selector) -> None:
    """Add a selector that lives elsewhere: configs, sweeps and :func:`get` know it from then on.

    Raises:
      UserError: the name is taken.
    """
    if selector.name in _SELECTORS:
        raise UserError(f"there is a selector {selector.name!r} already")
    _SELECTORS[selector.name] = selector


def forget(name: str) -> None:
    """Take back what :func:`register` did for ``name``."""
    del _SELECTORS[name]


def _nothing(selector: Selector) -> Selection:
    """No picks, without a program compiled for them."""
    empty = masks.nothing(0)
    if selector.asks == "pairs":
        return empty._replace(indices=jnp.zeros((0, 2), jnp.int32))
    return empty


def names(asks: Literal["samples", "pairs"] | None = None) -> tuple[str, ...]:
    """The names that :func:`get` knows: all, or those of selectors of samples, or of pairs."""
    return tuple(name for name, found in _SELECTORS.items() if asks in (None, found.asks))


def get(name: str, **options: Any) -> Selector:
    """The selector called ``name``, with its own options set.

    Args:
      name: one of :func:`names`.
      **options: keyword arguments of the function of that name in ``idc_jax.selectors``.

    Returns:
      A :class:`~idc_jax.selectors.Selector`, whose ``select`` is ``(key, inputs, budget)``.

    Raises:
      UserError: no selector of that name; and, from ``select``, inputs that it needs missing.
    """
    check_one_of("selector", name, _SELECTORS)
    selector = _SELECTORS[name]

    # Any: what comes is checked here.
    def select(key: Any, inputs: SelectorInputs, budget: Any) -> Selection:
        given = wants.check(_WANTED, {**inputs._asdict(), "key": key, "budget": budget})
        key, budget = given.pop("key"), given.pop("budget")
        inputs = inputs._replace(**given)
        missing = [field for field in selector.needs if getattr(inputs, field) is None]
        if missing:
            raise UserError(f"selector {name!r} needs {', '.join(missing)} as well")
        if budget == 0:
            return _nothing(selector)
        return selector.select(key, inputs, budget, **options)

    return selector._replace(select=select)
