"""Fitting a network to soft targets: how a cluster head starts, and how a graph is distilled."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import optax

from idc_jax.data.views import View, view_batch
from idc_jax.models.base import Model, Variables


@partial(jax.jit, static_argnames=("model", "view", "steps", "batch_size", "head_only"))
def fit_targets(
    key: jax.Array,
    model: Model,
    view: View,
    variables: Variables,
    data: jax.Array,
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
      variables: where it starts.
      data: raw samples ``[n, ...]``.
      targets: ``[n, c]``, rows summing to one.
      steps: how many.
      batch_size: drawn with replacement.
      learning_rate: AdamW's, falling to 0 along a cosine.
      head_only: keep everything but the cluster head, BatchNorm's averages too.

    Returns:
      The fitted variables and the mean loss of each step ``[steps]``.
    """
    optimizer = optax.adamw(optax.cosine_decay_schedule(learning_rate, steps), weight_decay=1e-4)

    def step(carry, step_key):  # type: ignore[no-untyped-def]
        variables, opt_state = carry
        draw_key, view_key = jax.random.split(step_key)
        chosen = jax.random.randint(draw_key, (batch_size,), 0, data.shape[0])
        shown = view_batch(view, view_key, data[chosen])

        def loss(params):  # type: ignore[no-untyped-def]
            outputs, moved = model.apply({**variables, "params": params}, shown, not head_only)
            return optax.softmax_cross_entropy(outputs.logits, targets[chosen]).mean(), moved

        (value, moved), grads = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        updates, opt_state = optimizer.update(grads, opt_state, variables["params"])
        if head_only:
            updates = _only_cluster_head(updates)
        params = optax.apply_updates(variables["params"], updates)
        return ({**moved, "params": params}, opt_state), value

    start = (variables, optimizer.init(variables["params"]))
    (variables, _), losses = jax.lax.scan(step, start, jax.random.split(key, steps))
    return variables, losses


def _only_cluster_head(updates: dict) -> dict:
    return {
        name: tree if name == "cluster_head" else jax.tree.map(jnp.zeros_like, tree)
        for name, tree in updates.items()
    }
