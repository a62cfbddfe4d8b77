"""Which samples or pairs to ask about: selectors on arrays alone, one result type."""

from idc_jax.selectors.base import Selection, Selector, SelectorInputs
from idc_jax.selectors.dsac import dsac
from idc_jax.selectors.idc import idc
from idc_jax.selectors.medoids import medoids
from idc_jax.selectors.pcl import pcl
from idc_jax.selectors.random import random
from idc_jax.selectors.registry import get, names
from idc_jax.selectors.uncertainty import entropy, margin

__all__ = [
    "Selection",
    "Selector",
    "SelectorInputs",
    "dsac",
    "entropy",
    "get",
    "idc",
    "margin",
    "medoids",
    "names",
    "pcl",
    "random",
]
