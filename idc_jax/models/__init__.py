"""Networks: Flax Linen behind ``Model(init, apply)``."""

from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.models.registry import as_model, build, build_module, names

__all__ = ["Model", "Outputs", "Variables", "as_model", "build", "build_module", "names"]
