"""The contract of an interactive clustering method."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from idc_jax.annotate.questions import Answers, Questions
from idc_jax.train.log import Log
from idc_jax.train.start import Begin

__all__ = ["Begin", "Log", "Method", "State"]

# A pytree of arrays alone: what a checkpoint holds.
State = Any


class Method(NamedTuple):
    """Four functions, pure in (key, state, ...); `learn` and `init` may stream from the data.

    Attributes:
      init: ``(key) -> state``: load or pre-train the network, embed, cluster.
      ask: ``(key, state, round, budget) -> (state, questions)``: at most ``budget`` questions
        that were never asked before. What it returns is frozen.
      learn: ``(key, state, answers) -> (state, info)``: ``answers`` are those of one round;
        the state carries the earlier ones. ``info`` is a flat dict of scalars to log.
      predict: ``(state) -> probabilities [n, c]``, rows summing to one.
      embed: ``(state) -> embeddings [n, d]``, for maps and galleries.
      restore: ``(tree) -> state``: the inverse of ``flax.serialization.to_state_dict(state)``,
        for checkpoints.
    """

    init: Callable[[jax.Array], State]
    ask: Callable[[jax.Array, State, int, int], tuple[State, Questions]]
    learn: Callable[[jax.Array, State, Answers], tuple[State, dict[str, float]]]
    predict: Callable[[State], jax.Array]
    embed: Callable[[State], jax.Array]
    restore: Callable[[dict[str, Any]], State]
