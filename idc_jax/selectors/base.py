"""What every selector takes and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax


class Selection(NamedTuple):
    """Picks in the order they were made.

    Attributes:
      indices: int32 ``[m]``, unique; -1 where fewer samples than asked for were allowed.
        Selectors of pairs return ``[m, 2]``, the lower index first.
      values: float32 ``[m]``, each pick's value when it was picked; -inf beside -1.
    """

    indices: jax.Array
    values: jax.Array


class SelectorInputs(NamedTuple):
    """What is known when a selection is made; a selector says which of it it needs.

    Attributes:
      embeddings: ``[n, d]``.
      probabilities: ``[n, c]``, rows summing to one.
      centers: cluster centres ``[c, d]``.
      assignments: int ``[n]``, cluster of each sample.
      labelled: bool ``[n]``, samples asked about before.
      allowed: bool ``[n]``, samples that may be asked about.
      known: int ``[b, s, s]``, for selectors of pairs, what is known of the pairs within each
        block of ``s`` consecutive samples: 1 same, -1 different, 0 unknown.
    """

    embeddings: jax.Array
    probabilities: jax.Array | None = None
    centers: jax.Array | None = None
    assignments: jax.Array | None = None
    labelled: jax.Array | None = None
    allowed: jax.Array | None = None
    known: jax.Array | None = None


# (key, inputs, budget) -> selection; ``budget`` is a Python int, fixed when traced.
Select = Callable[[jax.Array, SelectorInputs, int], Selection]


class Selector(NamedTuple):
    """A selector by name.

    Attributes:
      name: as on the command line.
      select: ``(key, inputs, budget) -> Selection``, pure.
      needs: names of the optional fields of :class:`SelectorInputs` that must be given.
      asks: ``"samples"`` or ``"pairs"``.
    """

    name: str
    select: Select
    needs: tuple[str, ...] = ()
    asks: str = "samples"
