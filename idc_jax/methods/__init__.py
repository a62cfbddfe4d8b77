"""Interactive clustering methods, a package each, all in one contract.

A package that has a ``SPEC`` is found by :mod:`idc_jax.methods.registry`; nothing else names it.
"""
