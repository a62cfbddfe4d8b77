"""Which samples or pairs to ask about: selectors on arrays alone, one result type."""

from idc_jax.selectors.base import Selection
from idc_jax.selectors.idc import idc
from idc_jax.selectors.random import random

__all__ = ["Selection", "idc", "random"]
