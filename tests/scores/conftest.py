"""A score mixes no types unsaid, and is finite on the way as well."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    with jax.numpy_dtype_promotion("strict"), jax.debug_nans(True):
        yield
