"""Interactive deep clustering in JAX.

The array-only parts are importable on their own and need JAX and NumPy alone::

    from idc_jax import losses, ops, scores, selectors

Everything that trains, reads data or talks to a person lives in the other subpackages
(``idc_jax.models``, ``idc_jax.methods``, ``idc_jax.annotate``, ...) and is imported by name. For a
clustering that a person steers from Python::

    from idc_jax import Session

and for scikit-learn's own tools (pipelines, cross-validation)::

    from idc_jax import InteractiveClusterer
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Loaded where somebody asks for it: it needs far more than the arrays do.
    if name in ("InteractiveClusterer", "Session"):
        from idc_jax import session

        return getattr(session, name)
    raise AttributeError(f"module 'idc_jax' has no attribute {name!r}")
