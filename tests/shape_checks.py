"""What checks the annotations of the array rooms while the tests run."""

from collections.abc import Iterator
from contextlib import contextmanager

from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import Array, Shaped, config

_SCALAR = Shaped[Array, ""]
# Under jit a number is a scalar array, and an int passes for a float, as for mypy.
check = beartype(
    conf=BeartypeConf(
        hint_overrides=FrozenDict(
            {int: int | _SCALAR, float: float | int | _SCALAR, bool: bool | _SCALAR}
        )
    )
)


@contextmanager
def off() -> Iterator[None]:
    """For what a function itself says of what is not as annotated."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)
