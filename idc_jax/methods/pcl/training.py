"""PCL's training: fixed blocks of samples, two views, links within a block."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from idc_jax import losses, ops
from idc_jax.data.residency import Samples, spans, taken
from idc_jax.data.views import Views, view_batch
from idc_jax.models.base import Model, Variables
from idc_jax.ops import sharded
from idc_jax.train.engine import (
    Learner,
    Metrics,
    Program,
    copied,
    descend,
    drive_epochs,
    run_steps,
)
from idc_jax.train.log import Log
from idc_jax.train.loop import epoch_key
from idc_jax.train.parallel import mesh_of, replicate, split

# Links of blocks that are on each device at a time: 64 MB.
_LINKS = 2**26


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
      pseudo_threshold: in the final epochs, each step also draws together the block's most
        similar unlinked pair within a cluster, if its similarity and both samples' confidences
        are above this. 1 never does; the published code's optional stage has 0.9999.
    """

    block_size: int = 128
    warmup_epochs: int = 10
    epochs: int = 40
    final_epochs: int = 91
    learning_rate: float = 1e-5
    clip_norm: float = 20.0
    frozen_norm: bool = False
    pseudo_threshold: float = 1.0


def make_optimizer(training: PclTraining) -> optax.GradientTransformation:
    """Adam behind a clip of the gradient's global norm."""
    return optax.chain(
        optax.clip_by_global_norm(training.clip_norm), optax.adam(training.learning_rate)
    )


def train_epochs(
    key: jax.Array,
    model: Model,
    views: Views,
    learner: Learner,
    data: Samples,
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
      links: int8 ``[g, b, b]``, q; perhaps spread over devices, with blocks of padding at the end.
      training: how.
      epochs: how many passes.
      log: called with each epoch's mean losses.
      progress: show a bar.

    Returns:
      The learner, and the last epoch's mean losses (empty without an epoch).
    """
    # No program depends on how often it is run.
    once = training._replace(warmup_epochs=0, epochs=0, final_epochs=0)
    program = Program(model, views, once, make_optimizer, mesh_of(data))

    def advance(span: range, learner: Learner) -> tuple[Learner, list[Metrics]]:
        order, plan = _plan(epoch_key(key, span.start), blocks)
        found: list[Metrics] = []
        for steps in spans(len(blocks), _LINKS // math.prod(links.shape[1:])):
            own = sharded.rows_at(links, taken(order, steps))
            rows, mask, keys = (taken(part, steps) for part in plan)
            learner, metrics = run_steps(_step, program, learner, data, rows, (own, mask, keys), ())
            found += metrics
        return learner, found

    learner = replicate(copied(learner), program.mesh)
    return drive_epochs(learner, epochs, advance, log=log, progress=progress)


@jax.jit
def _plan(key: jax.Array, blocks: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """A new order of the blocks ``[g]``, and by it their samples ``[g, b]``, masks and keys."""
    order_key, step_key = jax.random.split(key)
    order = jax.random.permutation(order_key, blocks.shape[0])
    keys = jax.random.split(step_key, blocks.shape[0])
    shown = blocks[order]
    return order, (jnp.maximum(shown, 0), shown >= 0, keys)


def _step(
    program: Program, learner: Learner, raw: jax.Array, told: Any, shared: Any
) -> tuple[Learner, Metrics]:
    del shared
    links, mask, step_key = told
    inputs = [
        split(view_batch(program.views.weak, key, raw), program.mesh)
        for key in jax.random.split(step_key)
    ]

    def loss(variables: Variables) -> tuple[jax.Array, Metrics, Variables]:
        terms, moved = _terms(program.model, variables, inputs, links, mask, program.options)
        return sum(terms.values(), jnp.float32(0)), terms, moved

    return descend(program, learner, loss)


def _terms(
    model: Model,
    variables: Variables,
    inputs: list[jax.Array],
    links: jax.Array,
    mask: jax.Array,
    training: PclTraining,
) -> tuple[dict[str, jax.Array], Variables]:
    """Both losses of a block. Each view is a batch of its own, for BatchNorm and attention."""
    train = not training.frozen_norm
    first, moved = model.apply(variables, inputs[0], train, mask)
    second, moved = model.apply(moved, inputs[1], train, mask)
    probs = [jax.nn.softmax(outputs.logits, axis=-1) for outputs in (first, second)]
    constraints: dict[str, Any] = {
        "must_weight": losses.must_link_weight(links, mask, training.block_size)
    }
    if training.pseudo_threshold < 1:
        constraints["pseudo_links"] = surest_pair(
            first.instance, probs[0], links, mask, training.pseudo_threshold
        )
    instance = losses.instance_loss(first.instance, second.instance, links, mask, **constraints)
    cluster = losses.cluster_loss(probs[0], probs[1], links, mask, **constraints)
    return {"instance": instance, "cluster": cluster}, moved


def surest_pair(
    z: jax.Array, probs: jax.Array, links: jax.Array, mask: jax.Array, threshold: float
) -> jax.Array:
    """The most similar pair of one cluster that nobody was asked about, where it is sure.

    Args:
      z: embeddings ``[b, d]`` of unit length.
      probs: cluster probabilities ``[b, c]``.
      links: int ``[b, b]``, q; only pairs with q = 0 can be found.
      mask: bool ``[b]``, False for padding.
      threshold: that the similarity and both confidences have to be above.

    Returns:
      bool ``[b, b]``, symmetric: at most one pair is True.
    """
    sure = mask & (jnp.max(probs, axis=1) > threshold)
    cluster = jnp.argmax(probs, axis=1)
    open_ = (links == 0) & sure[:, None] & sure & (cluster[:, None] == cluster)
    similarity = jnp.where(jnp.triu(open_, 1), ops.inner(z, z), -jnp.inf)
    place = jnp.argmax(similarity)
    found = (
        jnp.zeros(similarity.size, bool).at[place].set(similarity.reshape(-1)[place] > threshold)
    )
    found = found.reshape(similarity.shape)
    return found | found.T
