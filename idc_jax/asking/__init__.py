"""Questions of several kinds under one budget, whatever the method that learns from them."""

from idc_jax.asking.known import Known
from idc_jax.asking.mixture import CARRIES, Budget, ask

__all__ = ["CARRIES", "Budget", "Known", "ask"]
