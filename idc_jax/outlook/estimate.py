"""A number that is not known for sure."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """What is expected, and where it lies with a chance of 90 %.

    Attributes:
      value: what is expected.
      low: the truth is below it in one case of twenty.
      high: likewise above.
    """

    value: float
    low: float
    high: float
