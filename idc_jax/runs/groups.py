"""How many groups a run begins with where nobody says it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from idc_jax import hosts
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.ops.inputs import in_32_bits
from idc_jax.outlook import Candidates, candidates, number_of_groups
from idc_jax.runs.parts import embed

# As many groups as people may name where the number is not theirs to know.
NO_LIMIT = 10_000


def with_number_of_groups(
    config: ConfigDict, dataset: Dataset, before: Mapping[str, Any]
) -> tuple[ConfigDict, dict[str, Any]]:
    """``config`` with a number of groups, found in the samples where it names none.

    Args:
      config: as it was resolved so far; it stays as it is.
      dataset: as it was loaded.
      before: what the run decided when it was begun, by option; empty for a new run.

    Returns:
      The config, and what was decided, to be kept: empty where the number was given.

    Raises:
      UserError: fewer than two samples.
    """
    if config.num_clusters:
        return config, {}
    kept = before.get("candidates")
    if kept is None:
        seen = embed(config, dataset) if config.data.embed_with else dataset
        x = seen.inputs.reshape(dataset.size, -1)
        kept = hosts.told(lambda: find_candidates(x, config.seed))
    number = first_number(kept, dataset.size)
    config = copy.deepcopy(config)
    config.num_clusters = number
    print(_in_words(_candidates(kept), number), flush=True)
    return config, {"num_clusters": number, "candidates": kept}


def find_candidates(x: np.ndarray, seed: int) -> dict[str, list[float]]:
    """The candidates of samples ``x`` ``[n, d]``, as they are kept.

    Raises:
      UserError: fewer than two samples.
    """
    if len(x) < 2:
        raise UserError(f"the samples are {len(x)}; at least 2 are needed to find groups")
    with in_32_bits():
        found = candidates(jax.random.key(seed), x)
    return {"numbers": found.numbers.tolist(), "stability": np.round(found.stability, 4).tolist()}


def first_number(kept: Mapping[str, list[float]], size: int) -> int:
    """The number of groups to begin with, of ``size`` samples."""
    return max(2, min(_candidates(kept).guess, size))


def most_groups(wanted: int, method: str, classes: int = 0) -> int:
    """How many groups people may name: any number where the method grows with them.

    Args:
      wanted: as it was given; 0 where the number is to be found, and none is too many.
      method: its name.
      classes: of the data set that have names.
    """
    free = not wanted or registry.get(method).grows
    return max(NO_LIMIT if free else wanted, classes)


def _candidates(kept: Mapping[str, list[float]]) -> Candidates:
    return Candidates(np.array(kept["numbers"], int), np.array(kept["stability"]))


def _in_words(found: Candidates, number: int) -> str:
    others = [str(n) for n in found.numbers[found.peaks].tolist() if n != number]
    also = f"; {', '.join(others)} would fit, too" if others else ""
    likely = number_of_groups(np.zeros(0, int), number).estimate
    return (
        f"groups: {number} to begin with{also}; before any answer, {likely.low:.0f} to "
        f"{likely.high:.0f} are likely"
    )
