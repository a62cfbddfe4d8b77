"""Interactive clustering from Python: ask, answer, predict, without files or flags."""

from idc_jax.session.session import Batch, Group, Session

__all__ = ["Batch", "Group", "Session"]
