"""The contract of a network: two stateless functions over plain dicts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import jax

from idc_jax.models.heads import ClusterNet, HeadLayout
from idc_jax.models.outputs import Outputs

__all__ = ["Model", "Outputs", "Variables"]

Variables = dict[str, Any]
"""Flax's collections: parameters, and what BatchNorm has seen."""


@dataclass(frozen=True)
class Model:
    """A network as two stateless functions.

    Models of equal modules are equal and hash alike: as a static argument of a compiled function,
    a model that is built a second time compiles nothing anew.

    Attributes:
      module: the network.
    """

    module: ClusterNet

    @property
    def num_clusters(self) -> int:
        """The cluster head's width."""
        return self.module.num_clusters

    @property
    def head(self) -> HeadLayout:
        """The layout of both heads."""
        return self.module.head

    @property
    def instance_dim(self) -> int:
        """The instance head's width."""
        return self.module.instance_dim

    def init(self, key: jax.Array, x: jax.Array) -> Variables:
        """Draw fresh variables for inputs like ``x`` ``[b, ...]``.

        Returns:
          A plain dict with ``"params"`` and, where the network has BatchNorm, ``"batch_stats"``.
        """
        return dict(_init(self.module, key, x))

    def apply(
        self, variables: Variables, x: jax.Array, train: bool, mask: jax.Array | None = None
    ) -> tuple[Outputs, Variables]:
        """Run the network on ``x`` ``[b, ...]``.

        Args:
          variables: of :meth:`init`.
          x: inputs ``[b, ...]``.
          train: with True BatchNorm uses the batch's statistics, and the returned variables carry
            the moved averages; with False the variables come back unchanged.
          mask: bool ``[b]``, False for padding, whose outputs mean nothing and which neither
            BatchNorm's statistics nor attention take notice of; None for no padding. Or bool
            ``[b, g]``, several batches in one: what a row is a member of (at most one) is all that
            it is normalised with and attends to.

        Returns:
          The outputs and the variables.
        """
        if not train:
            outputs = self.module.apply(variables, x, train=False, mask=mask)
            return cast(Outputs, outputs), variables
        outputs, moved = self.module.apply(
            variables, x, train=True, mask=mask, mutable=["batch_stats"]
        )
        return cast(Outputs, outputs), {**variables, **moved}


@partial(jax.jit, static_argnums=0)
def _init(module: ClusterNet, key: jax.Array, x: jax.Array) -> Any:
    return module.init(key, x, train=False)
