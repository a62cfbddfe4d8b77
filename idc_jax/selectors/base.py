"""What every selector returns."""

from typing import NamedTuple

import jax


class Selection(NamedTuple):
    """Picks in the order they were made.

    Attributes:
      indices: int32 ``[m]``, unique; -1 where fewer samples than asked for were allowed.
      values: float32 ``[m]``, each pick's value when it was picked; -inf beside -1.
    """

    indices: jax.Array
    values: jax.Array
