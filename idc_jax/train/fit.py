"""Fitting a network to soft targets: how a cluster head starts, and how a graph is distilled."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from idc_jax.data.residency import Samples
from idc_jax.data.views import View, Views, view_batch
from idc_jax.models.base import Model, Variables
from idc_jax.train.engine import Learner, Metrics, Program, begin, descend, run_steps, train_only
from idc_jax.train.parallel import mesh_of, split


class _Options(NamedTuple):
    steps: int
    learning_rate: float
    head_only: bool


def fit_targets(
    key: jax.Array,
    model: Model,
    view: View,
    variables: Variables,
    data: Samples,
    targets: jax.Array,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    head_only: bool,
) -> tuple[Variables, jax.Array]:
    """Minimise the cross-entropy of the cluster head with ``targets``.

    Args:
      key: draws batches and views.
      model: the network.
      view: what it is shown.
      variables: where it starts; they are left as they are.
      data: raw samples ``[n, ...]``; those beyond the targets' are not drawn.
      targets: ``[n, c]``, rows summing to one.
      steps: how many.
      batch_size: drawn with replacement.
      learning_rate: AdamW's, falling to 0 along a cosine.
      head_only: keep everything but the cluster head, BatchNorm's averages too.

    Returns:
      The fitted variables and the mean loss of each step ``[steps]``.
    """
    options = _Options(steps, learning_rate, head_only)
    program = Program(model, Views(view, view, view), options, _optimizer, mesh_of(data))
    chosen, keys = _draw(key, steps, batch_size, len(targets))
    learner = begin(program, variables)
    learner, found = run_steps(_step, program, learner, data, chosen, (chosen, keys), targets)
    return learner.variables, jnp.concatenate([part["loss"] for part in found])


def _optimizer(options: _Options) -> optax.GradientTransformation:
    rate = optax.cosine_decay_schedule(options.learning_rate, options.steps)
    adam = optax.adamw(rate, weight_decay=1e-4)
    return train_only(adam, lambda name: not options.head_only or name == "cluster_head")


@partial(jax.jit, static_argnames=("steps", "batch_size", "num_samples"))
def _draw(
    key: jax.Array, steps: int, batch_size: int, num_samples: int
) -> tuple[jax.Array, jax.Array]:
    """The samples of each step ``[steps, b]``, and a key for its views ``[steps]``."""
    draw_keys, view_keys = jax.vmap(jax.random.split)(jax.random.split(key, steps)).T
    draw = partial(jax.random.randint, shape=(batch_size,), minval=0, maxval=num_samples)
    return jax.vmap(draw)(draw_keys), view_keys


def _step(
    program: Program, learner: Learner, raw: jax.Array, told: Any, targets: jax.Array
) -> tuple[Learner, Metrics]:
    chosen, view_key = told
    shown = split(view_batch(program.views.weak, view_key, raw), program.mesh)

    def loss(variables: Variables) -> tuple[jax.Array, Metrics, Variables]:
        outputs, moved = program.model.apply(variables, shown, not program.options.head_only)
        return optax.softmax_cross_entropy(outputs.logits, targets[chosen]).mean(), {}, moved

    return descend(program, learner, loss)
