"""What training loops have in common: a step down a loss's gradient, and epochs one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import optax
from tqdm import tqdm

from idc_jax.models.base import Variables
from idc_jax.train.log import Log

Carry = TypeVar("Carry")
# ``(variables) -> (terms, moved)``: the weighted losses by name, and the variables with
# BatchNorm's averages moved.
Loss = Callable[[Variables], tuple[dict[str, jax.Array], Variables]]


def descend(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    variables: Variables,
    opt_state: optax.OptState,
) -> tuple[Variables, optax.OptState, dict[str, jax.Array]]:
    """Take one step down the sum of ``loss``'s terms.

    Args:
      loss: gives the terms to sum and the moved statistics.
      optimizer: of the parameters.
      variables: the network's.
      opt_state: the optimiser's.

    Returns:
      The new variables and optimiser state, and the terms before the step.
    """

    def total(params):  # type: ignore[no-untyped-def]
        terms, moved = loss({**variables, "params": params})
        return sum(terms.values()), (terms, moved)

    grads, (terms, moved) = jax.grad(total, has_aux=True)(variables["params"])
    updates, opt_state = optimizer.update(grads, opt_state, variables["params"])
    params = optax.apply_updates(variables["params"], updates)
    return {**moved, "params": params}, opt_state, terms


def run_epochs(
    key: jax.Array,
    epochs: int,
    carry: Carry,
    epoch: Callable[[jax.Array, Carry], tuple[Carry, dict[str, jax.Array]]],
    *,
    log: Log,
    progress: bool,
) -> tuple[Carry, dict[str, float]]:
    """Run epochs one after the other, each with a key of its own.

    Args:
      key: of all epochs.
      epochs: how many.
      carry: what an epoch moves.
      epoch: ``(key, carry) -> (carry, mean losses)``, compiled.
      log: called with each epoch's mean losses.
      progress: show a bar.

    Returns:
      The last carry, and the last epoch's mean losses (empty without an epoch).
    """
    info: dict[str, float] = {}
    for number in tqdm(range(epochs), desc="training", unit="epoch", disable=not progress):
        carry, means = epoch(jax.random.fold_in(key, number), carry)
        info = {name: float(value) for name, value in means.items()}
        log({"phase": "train", "epoch": number + 1, "epochs": epochs, **info})
    return carry, info
