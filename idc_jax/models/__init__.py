"""Networks: Flax Linen behind :class:`Model`'s ``init`` and ``apply``."""

from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.models.registry import build, build_module, forget, names, register

__all__ = ["Model", "Outputs", "Variables", "build", "build_module", "forget", "names", "register"]
