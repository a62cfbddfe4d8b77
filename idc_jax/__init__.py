"""Interactive deep clustering in JAX.

The array-only parts are importable on their own and need JAX and NumPy alone::

    from idc_jax import losses, ops, scores, selectors

Everything that trains, reads data or talks to a person lives in the other subpackages
(``idc_jax.models``, ``idc_jax.methods``, ``idc_jax.annotate``, ...) and is imported by name.
"""

__version__ = "0.1.0"
