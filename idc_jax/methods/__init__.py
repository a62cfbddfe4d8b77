"""Interactive clustering methods, all in one contract (:class:`Method`)."""

from idc_jax.methods.contract import Begin, Log, Method, State

__all__ = ["Begin", "Log", "Method", "State"]
