"""What a configuration may say: checked before anything is loaded."""

from __future__ import annotations

from typing import Any, get_args

from idc_jax import models, selectors
from idc_jax.annotate.questions import QuestionKind
from idc_jax.data.sources import SOURCES
from idc_jax.data.target_maps import TARGET_MAPS
from idc_jax.errors import UserError, check_at_least, check_one_of, check_within
from idc_jax.methods import registry
from idc_jax.methods.common.searching import How
from idc_jax.methods.contract import OWN, MethodSpec
from idc_jax.models.importing import check_normalisation
from idc_jax.runs.auto import AUTO

# A year of days and nights.
_MOST_MINUTES = 525_600
# Of a device; more is a slip.
_MOST_GIGABYTES = 1_000_000


def check_settings(config: Any) -> None:
    """Refuse an impossible value in ``config`` (any object with the config's attributes).

    Raises:
      UserError: one line that says what came and what to give instead.
    """
    spec = registry.get(config.method)
    check_one_of("data.source", config.data.source, tuple(SOURCES))
    check_one_of("model.name", config.model.name, ("auto", *models.names()))
    check_one_of("neighbors", config.neighbors, get_args(How))
    check_one_of("annotator.kind", config.annotator.kind, ("oracle", "page", "file"))
    check_one_of("annotator.oracle", config.annotator.oracle, ("aligned", "exemplar"))
    check_one_of("views.weak", config.views.weak, ("crop", "warp"))
    check_one_of("views.strong", config.views.strong, ("randaugment", "weak"))
    check_normalisation(config.views.normalisation)
    check_at_least("views.size", config.views.size, 0)
    check_one_of("annotator.fusion", config.annotator.fusion, ("majority", "dawid_skene"))
    _check_selector(config.selector, spec)
    kinds_of(config.questions, spec)
    check_one_of("model.dtype", config.model.dtype, ("float32", "bfloat16"))
    if config.data.target_map:
        check_one_of("data.target_map", config.data.target_map, tuple(TARGET_MAPS))
    if config.num_clusters != 0:
        reason = "one cluster leaves nothing to ask; 0 has the number found"
        check_at_least("num_clusters", config.num_clusters, 2, reason)
    check_at_least("budget", config.budget, 1, "a run asks at least one question")
    check_at_least("rounds", config.rounds, 1)
    check_at_least("annotator.votes", config.annotator.votes, 1)
    check_at_least("seed", config.seed, 0)
    if not 0 <= config.minutes < _MOST_MINUTES:
        raise UserError(f"minutes is {config.minutes}; it must be at least 0 (by the budget)")
    if config.rounds > config.budget and not config.minutes:
        raise UserError(f"rounds is {config.rounds}, more than the budget of {config.budget}")
    check_within("data.device_gigabytes", config.data.device_gigabytes, 0, _MOST_GIGABYTES)
    for name in ("error_rate", "skip_rate"):
        check_within(f"annotator.{name}", config.annotator[name], 0, 1)
    _check_path(config)


def kinds_of(questions: str, spec: MethodSpec) -> tuple[QuestionKind, ...]:
    """The kinds of questions that ``questions`` names: "own", "auto", or kinds joined by commas.

    Raises:
      UserError: it names another, or one that cannot be asked for the method.
    """
    if questions in (OWN, AUTO):
        return spec.asks if questions == AUTO else spec.asks[:1]
    kinds = tuple(dict.fromkeys(part.strip() for part in questions.split(",")))
    if other := [kind for kind in kinds if kind not in spec.asks]:
        raise UserError(
            f"questions is {questions!r}, but {other[0]!r} can't be asked for {spec.name}; "
            f"use {OWN}, {AUTO}, or some of {','.join(spec.asks)}"
        )
    return tuple(kind for kind in spec.asks if kind in kinds)


def _check_selector(selector: str, spec: MethodSpec) -> None:
    if spec.chooses == "samples":
        check_one_of("selector", selector, (OWN, *selectors.names(spec.chooses)))
    elif selector != OWN:
        raise UserError(
            f"selector is {selector!r}, but {spec.name} asks about {spec.chooses}, which it "
            f"chooses itself; use {OWN}"
        )


def _check_path(config: Any) -> None:
    if config.data.source in ("folder", "features") and not config.data.path:
        raise UserError(
            f"data.source is {config.data.source!r}, which needs --config.data.path=..."
        )
    if config.annotator.kind == "file" and not config.annotator.file:
        raise UserError("annotator.kind is 'file', which needs --config.annotator.file=...")
