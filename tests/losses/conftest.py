"""A loss mixes no types and no ranks unsaid, and is finite on the way as well."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    with (
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.debug_nans(True),
    ):
        yield
