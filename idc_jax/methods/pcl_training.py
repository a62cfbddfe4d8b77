"""PCL's training: fixed blocks of samples, two views, links within a block."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from tqdm import tqdm

from idc_jax import losses
from idc_jax.data.views import View, Views, view_batch
from idc_jax.methods.base import Log
from idc_jax.models.attention import BlockModel
from idc_jax.models.base import Outputs, Variables


class PclTraining(NamedTuple):
    """How PCL trains. The defaults are the published code's: 501 epochs in ten rounds.

    Attributes:
      block_size: samples of a block, which is a step's batch.
      warmup_epochs: epochs without links before the first question.
      epochs: epochs after each round's answers.
      final_epochs: further epochs after the last answers of the budget.
      learning_rate: Adam's, constant; a small network from scratch wants 3e-4 to 1e-3.
      clip_norm: of the gradient.
      frozen_norm: leave BatchNorm's statistics alone, as the published code happens to.
    """

    block_size: int = 128
    warmup_epochs: int = 10
    epochs: int = 40
    final_epochs: int = 91
    learning_rate: float = 1e-5
    clip_norm: float = 20.0
    frozen_norm: bool = False


class Learner(NamedTuple):
    """What training moves: the network's variables and the optimiser's state."""

    variables: Variables
    opt_state: optax.OptState


def make_optimizer(training: PclTraining) -> optax.GradientTransformation:
    """Adam behind a clip of the gradient's global norm."""
    return optax.chain(
        optax.clip_by_global_norm(training.clip_norm), optax.adam(training.learning_rate)
    )


def train_epochs(
    key: jax.Array,
    model: BlockModel,
    views: Views,
    learner: Learner,
    data: jax.Array,
    blocks: jax.Array,
    links: jax.Array,
    training: PclTraining,
    epochs: int,
    *,
    log: Log,
    progress: bool,
) -> tuple[Learner, dict[str, float]]:
    """Train for some epochs, each a pass over all blocks in a new order.

    Args:
      key: of the order and the views.
      model: sees a block at a time.
      views: ``weak`` is used twice.
      learner: to go on from.
      data: raw samples ``[n, ...]``.
      blocks: int32 ``[g, b]``, the samples of each block, -1 for padding.
      links: int8 ``[g, b, b]``, q.
      training: how.
      epochs: how many passes.
      log: called with each epoch's mean losses.
      progress: show a bar.

    Returns:
      The learner, and the last epoch's mean losses (empty without an epoch).
    """
    info: dict[str, float] = {}
    for epoch in tqdm(range(epochs), desc="training", unit="epoch", disable=not progress):
        epoch_key = jax.random.fold_in(key, epoch)
        learner, means = _epoch(model, views, training, epoch_key, learner, data, blocks, links)
        info = {name: float(value) for name, value in means.items()}
        log({"phase": "train", "epoch": epoch + 1, "epochs": epochs, **info})
    return learner, info


@partial(jax.jit, static_argnames=("model", "view"))
def run_blocks(
    key: jax.Array,
    model: BlockModel,
    variables: Variables,
    view: View,
    data: jax.Array,
    blocks: jax.Array,
) -> Outputs:
    """The evaluated network over every block, ``[g, b, ...]`` each; padding means nothing."""

    def one(xs: tuple[jax.Array, jax.Array]) -> Outputs:
        block, block_key = xs
        raw = data[_filled(block)]
        return model.apply(variables, view_batch(view, block_key, raw), block >= 0, False)[0]

    return jax.lax.map(one, (blocks, jax.random.split(key, blocks.shape[0])))


def scatter_blocks(values: jax.Array, blocks: jax.Array, num_samples: int) -> jax.Array:
    """Put ``[g, b, d]`` back into the samples' own order, ``[n, d]``."""
    places = jnp.where(blocks >= 0, blocks, num_samples).reshape(-1)
    rows = values.reshape(-1, values.shape[-1])
    return jnp.zeros((num_samples, rows.shape[-1])).at[places].set(rows, mode="drop")


@partial(jax.jit, static_argnames=("model", "views", "training"))
def _epoch(
    model: BlockModel,
    views: Views,
    training: PclTraining,
    key: jax.Array,
    learner: Learner,
    data: jax.Array,
    blocks: jax.Array,
    links: jax.Array,
) -> tuple[Learner, dict[str, jax.Array]]:
    optimizer = make_optimizer(training)
    order_key, step_key = jax.random.split(key)

    def step(learner: Learner, xs: tuple[jax.Array, jax.Array]):  # type: ignore[no-untyped-def]
        which, step_key = xs
        block = blocks[which]
        first_key, second_key = jax.random.split(step_key)
        raw = data[_filled(block)]
        inputs = [view_batch(views.weak, k, raw) for k in (first_key, second_key)]

        def loss(params):  # type: ignore[no-untyped-def]
            variables = {**learner.variables, "params": params}
            terms, moved = _terms(model, variables, inputs, links[which], block >= 0, training)
            return sum(terms.values()), (terms, moved)

        params = learner.variables["params"]
        grads, (terms, moved) = jax.grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, learner.opt_state, params)
        variables = {**moved, "params": optax.apply_updates(params, updates)}
        return Learner(variables, opt_state), terms

    order = jax.random.permutation(order_key, blocks.shape[0])
    learner, terms = jax.lax.scan(
        step, learner, (order, jax.random.split(step_key, blocks.shape[0]))
    )
    return learner, jax.tree.map(jnp.mean, terms)


def _terms(
    model: BlockModel,
    variables: Variables,
    inputs: list[jax.Array],
    links: jax.Array,
    mask: jax.Array,
    training: PclTraining,
) -> tuple[dict[str, jax.Array], Variables]:
    """Both losses of a block. Each view is a batch of its own, for BatchNorm and attention."""
    train = not training.frozen_norm
    first, moved = model.apply(variables, inputs[0], mask, train)
    second, moved = model.apply(moved, inputs[1], mask, train)
    weight = losses.must_link_weight(links, mask, training.block_size)
    instance = losses.instance_loss(
        first.instance, second.instance, links, mask, must_weight=weight
    )
    probs = [jax.nn.softmax(outputs.logits, axis=-1) for outputs in (first, second)]
    cluster = losses.cluster_loss(probs[0], probs[1], links, mask, must_weight=weight)
    return {"instance": instance, "cluster": cluster}, moved


def _filled(block: jax.Array) -> jax.Array:
    """The block's samples ``[b]``; a real one stands in for padding, so BatchNorm sees data."""
    count = jnp.maximum(jnp.sum(block >= 0), 1)
    return jnp.maximum(block[jnp.arange(block.shape[0]) % count], 0)
