"""What a configuration may say: checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idc_jax import models, selectors
from idc_jax.data.sources import SOURCES
from idc_jax.data.target_maps import TARGET_MAPS
from idc_jax.errors import UserError

METHODS = ("idc", "dsac", "pcl", "graph_committee")


def check_settings(config: Any) -> None:
    """Refuse an impossible value in ``config`` (any object with the config's attributes).

    Raises:
      UserError: one line that says what came and what would do.
    """
    _one_of("method", config.method, METHODS)
    _one_of("data.source", config.data.source, tuple(SOURCES))
    _one_of("model.name", config.model.name, models.names())
    _one_of("annotator.kind", config.annotator.kind, ("oracle", "page", "file"))
    _one_of("annotator.oracle", config.annotator.oracle, ("aligned", "exemplar"))
    _one_of("views.weak", config.views.weak, ("crop", "warp"))
    _one_of("views.strong", config.views.strong, ("randaugment", "weak"))
    _one_of("annotator.fusion", config.annotator.fusion, ("majority", "dawid_skene"))
    _one_of("selector", config.selector, selectors.names())
    _one_of("model.dtype", config.model.dtype, ("float32", "bfloat16"))
    if config.data.target_map:
        _one_of("data.target_map", config.data.target_map, tuple(TARGET_MAPS))
    _at_least("num_clusters", config.num_clusters, 2, "one cluster leaves nothing to ask")
    _at_least("budget", config.budget, 1, "a run asks at least one question")
    _at_least("rounds", config.rounds, 1, "")
    _at_least("annotator.votes", config.annotator.votes, 1, "")
    _at_least("seed", config.seed, 0, "")
    if config.rounds > config.budget:
        raise UserError(f"rounds is {config.rounds}, more than the budget of {config.budget}")
    for name in ("error_rate", "skip_rate"):
        rate = config.annotator[name]
        if not 0 <= rate <= 1:
            raise UserError(f"annotator.{name} is {rate}; a rate from 0 to 1 would do")
    _check_path(config)


def _check_path(config: Any) -> None:
    if config.data.source in ("folder", "features") and not config.data.path:
        raise UserError(
            f"data.source is {config.data.source!r}, which needs --config.data.path=..."
        )
    if config.annotator.kind == "file" and not config.annotator.file:
        raise UserError("annotator.kind is 'file', which needs --config.annotator.file=...")


def _one_of(name: str, value: str, known: tuple[str, ...] | Mapping[str, Any]) -> None:
    if value not in known:
        raise UserError(f"{name} is {value!r}; one of {', '.join(known)} would do")


def _at_least(name: str, value: int, least: int, why: str) -> None:
    if value < least:
        raise UserError(
            f"{name} is {value}; {least} or more would do" + (f": {why}" if why else "")
        )
