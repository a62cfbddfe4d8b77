"""Which samples or pairs to ask about: selectors on arrays alone, one result type."""

from idc_jax.selectors.badge import badge
from idc_jax.selectors.base import Selection, Selector, SelectorInputs
from idc_jax.selectors.dsac import dsac
from idc_jax.selectors.herding import facility_location, max_herding, probcover, u_herding
from idc_jax.selectors.idc import idc, idc_from_scores
from idc_jax.selectors.ipc import ipc
from idc_jax.selectors.k_center import k_center
from idc_jax.selectors.medoids import medoids
from idc_jax.selectors.partitioned import idc_partitioned
from idc_jax.selectors.pcl import pcl
from idc_jax.selectors.random import random
from idc_jax.selectors.registry import forget, get, names, register
from idc_jax.selectors.typiclust import typiclust
from idc_jax.selectors.uncertainty import entropy, margin

__all__ = [
    "Selection",
    "Selector",
    "SelectorInputs",
    "badge",
    "dsac",
    "entropy",
    "facility_location",
    "forget",
    "get",
    "idc",
    "idc_from_scores",
    "idc_partitioned",
    "ipc",
    "k_center",
    "margin",
    "max_herding",
    "medoids",
    "names",
    "pcl",
    "probcover",
    "random",
    "register",
    "typiclust",
    "u_herding",
]
