"""Arrays by kind and shape in signatures, as ``Float[Array, "n d"]``.

Readers are told by them, and the tests check them at run time (jaxtyping's import hook). Whoever
imports the arrays needs JAX and NumPy alone: without jaxtyping they are plain arrays.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from jax import Array

if TYPE_CHECKING or importlib.util.find_spec("jaxtyping"):
    from jaxtyping import Bool, Float, Int, Num, PRNGKeyArray
else:
    PRNGKeyArray = Array

    class _Plain:
        def __class_getitem__(cls, kind_and_shape: Any) -> type[Array]:
            return kind_and_shape[0]

    Bool = Float = Int = Num = _Plain

__all__ = ["Array", "Bool", "Float", "Int", "Num", "PRNGKeyArray"]
