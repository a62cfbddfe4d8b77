"""Interactive clustering methods, all in one contract (:class:`Method`)."""

from idc_jax.methods.base import Log, Method, State

__all__ = ["Log", "Method", "State"]
