"""The neighbours by which a method compares samples: exact, or nearly all of them, much sooner."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import jax

from idc_jax import ops
from idc_jax.errors import check_one_of
from idc_jax.train.log import Log

# (x [n, d], k) -> the k nearest other rows of each.
Search = Callable[[jax.Array, int], ops.Neighbors]
How = Literal["auto", "exact", "approximate"]

# Share of the true neighbours that an approximate search is to find.
_RECALL = 0.95
# Samples from which "auto" searches approximately: below, an exact search takes seconds, and on
# 60,000 features the committee's accuracy is better by some .004 with all neighbours.
_FROM = 100_000
# The same on an accelerator: one H100 searches a million exactly in 16 s, and approximately in more
# than 60.
_FROM_ON_ACCELERATORS = 2_000_000
# Samples whose true neighbours say what was reached.
_QUERIES = 256


def searcher(how: How, log: Log) -> Search:
    """The search that ``how`` names.

    Args:
      how: ``"exact"``; ``"approximate"``, 0.95 of the true neighbours; ``"auto"``, approximate
        from 100,000 samples on, on accelerators from 2,000,000.
      log: hears what share of the true neighbours each approximate search has found, measured on
        256 samples.

    Raises:
      UserError: ``how`` is none of the three.
    """
    check_one_of("neighbors", how, get_args(How))
    return ops.knn if how == "exact" else partial(_search, how, log)


def _search(how: How, log: Log, x: jax.Array, k: int) -> ops.Neighbors:
    if how == "auto" and _are_few(x.shape[0], {device.platform for device in x.devices()}):
        return ops.knn(x, k)
    found = ops.approximate_knn(x, k, recall=_RECALL)
    reached = float(ops.recall(jax.random.key(0), x, found, min(_QUERIES, x.shape[0])))
    log({"phase": "neighbors", "neighbors": k, "recall": reached})
    return found


def _are_few(num_samples: int, platforms: set[str]) -> bool:
    """Whether an exact search of so many samples is soon done."""
    return num_samples < (_FROM if platforms == {"cpu"} else _FROM_ON_ACCELERATORS)
