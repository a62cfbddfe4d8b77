"""Interactive clustering from Python: ask, answer, predict, without files or flags."""

from idc_jax.session.estimator import InteractiveClusterer
from idc_jax.session.parts import Batch, Group
from idc_jax.session.session import Session

__all__ = ["Batch", "Group", "InteractiveClusterer", "Session"]
