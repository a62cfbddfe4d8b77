"""Fitting a network to soft targets: how a cluster head starts, and how a graph is distilled."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from idc_jax.data.residency import Samples, chunks
from idc_jax.data.views import View, view_batch
from idc_jax.models.base import Model, Variables
from idc_jax.train.parallel import mesh_of, replicate, split

_Carry = tuple[Variables, optax.OptState]


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
    mesh = mesh_of(data)
    optimizer = _optimizer(learning_rate, steps)
    carry = replicate((variables, optimizer.init(variables["params"])), mesh)
    chosen, keys = _draw(key, steps, batch_size, data.shape[0])
    losses = []
    for chunk in chunks(data, chosen):
        plan = (chunk.indices, chosen[chunk.steps], keys[chunk.steps])
        carry, part = _fit(
            carry,
            chunk.array,
            targets,
            plan,
            model=model,
            view=view,
            schedule=(learning_rate, steps),
            head_only=head_only,
            mesh=mesh,
        )
        losses.append(part)
    return carry[0], jnp.concatenate(losses)


def _optimizer(learning_rate: float, steps: int) -> optax.GradientTransformation:
    return optax.adamw(optax.cosine_decay_schedule(learning_rate, steps), weight_decay=1e-4)


@partial(jax.jit, static_argnames=("steps", "batch_size", "num_samples"))
def _draw(
    key: jax.Array, steps: int, batch_size: int, num_samples: int
) -> tuple[jax.Array, jax.Array]:
    """The samples of each step ``[steps, b]``, and a key for its views ``[steps]``."""
    draw_keys, view_keys = jax.vmap(jax.random.split)(jax.random.split(key, steps)).T
    draw = partial(jax.random.randint, shape=(batch_size,), minval=0, maxval=num_samples)
    return jax.vmap(draw)(draw_keys), view_keys


@partial(jax.jit, static_argnames=("model", "view", "schedule", "head_only", "mesh"))
def _fit(
    carry: _Carry,
    array: jax.Array,
    targets: jax.Array,
    plan: tuple[jax.Array, jax.Array, jax.Array],
    *,
    model: Model,
    view: View,
    schedule: tuple[float, int],
    head_only: bool,
    mesh: Mesh | None,
) -> tuple[_Carry, jax.Array]:
    optimizer = _optimizer(*schedule)

    def step(carry: _Carry, xs: tuple) -> tuple[_Carry, jax.Array]:
        variables, opt_state = carry
        rows, chosen, view_key = xs
        shown = split(view_batch(view, view_key, array[rows]), mesh)

        def loss(params):  # type: ignore[no-untyped-def]
            outputs, moved = model.apply({**variables, "params": params}, shown, not head_only)
            return optax.softmax_cross_entropy(outputs.logits, targets[chosen]).mean(), moved

        (value, moved), grads = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        updates, opt_state = optimizer.update(grads, opt_state, variables["params"])
        if head_only:
            updates = _only_cluster_head(updates)
        params = optax.apply_updates(variables["params"], updates)
        return ({**moved, "params": params}, opt_state), value

    return jax.lax.scan(step, carry, plan)


def _only_cluster_head(updates: dict) -> dict:
    return {
        name: tree if name == "cluster_head" else jax.tree.map(jnp.zeros_like, tree)
        for name, tree in updates.items()
    }
