"""PCL: "do these two belong together?", asked within fixed blocks of samples.

"Personalized Clustering via Targeted Representation Learning". The answers, closed under
transitivity, pull and push the two views' embeddings and cluster probabilities, so that the
clusters turn towards what the person has in mind. The network may attend over a block: then a
prediction depends on the block, and the blocks are fixed at the start, cover every sample once
and predict it once.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.annotate.closure import asked_pairs, block_links
from idc_jax.annotate.evidence import Evidence, says_something
from idc_jax.annotate.questions import DIFFERENT, SAME, Questions, pair_questions
from idc_jax.data.residency import Samples, some
from idc_jax.methods.contract import Method, Options, Parts, Round
from idc_jax.methods.pcl.blocks import Make, in_order, make_blocks, of_blocks
from idc_jax.methods.pcl.pairs import Unknown, pick_pairs, turning_point
from idc_jax.methods.pcl.state import PclContext, PclOptions, PclState, check_options
from idc_jax.methods.pcl.training import PclTraining, make_optimizer, train_epochs
from idc_jax.models.attention import with_attention, without_attention
from idc_jax.models.base import Variables
from idc_jax.ops import sharded
from idc_jax.scores.pcl import UNCERTAIN
from idc_jax.train.engine import Learner
from idc_jax.train.loop import run_blocks
from idc_jax.train.parallel import mesh_of

__all__ = ["PclOptions", "build", "check_options", "make_blocks"]


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below.

    Attributes:
      parts: the network among them with its attention.
      data: raw samples ``[n, ...]``.
      train: bool ``[n]``, the samples to train on and ask about; the others are only predicted.
      options: what is asked.
      training: how the network is trained.
    """

    parts: Parts
    data: Samples
    train: np.ndarray
    options: PclOptions
    training: PclTraining


def build(parts: Parts, options: Options) -> Method:
    """Compose the method; see :class:`~idc_jax.methods.contract.MethodSpec`.

    Raises:
      UserError: options that mean nothing, or no sample to train on.
    """
    own, training, data = options["pcl"], options["pcl_training"], parts.data
    train = np.ones(parts.num_samples, bool) if parts.train is None else parts.train
    check_options(own, training, train)
    if own.attention == "none":
        model = without_attention(parts.model)
    else:
        model = with_attention(parts.model, num_heads=own.num_heads, start=own.attention)
    parts = parts._replace(model=model)
    setting = _Setting(parts, data, train, own, training)
    return Method(
        init=partial(_init, setting),
        ask=partial(_ask, setting),
        learn=partial(_learn, setting),
        restore=partial(_restore, setting),
    )


def _init(setting: _Setting, key: jax.Array) -> tuple[PclContext, PclState]:
    block_key, begin_key, attention_key, warm_key = jax.random.split(key, 4)
    training, parts = setting.training, setting.parts
    sample = parts.views.val(attention_key, some(setting.data, 1)[0])[None]
    variables = merge(parts.model.init(attention_key, sample), parts.begin(begin_key))
    blocks = make_blocks(block_key, setting.train, training.block_size)
    context = PclContext(jnp.asarray(blocks))
    learner = Learner(variables, make_optimizer(training).init(variables["params"]))
    links = _of_train_blocks(setting, context, _no_links)
    learner, _ = _train(setting, warm_key, context, learner, links, training.warmup_epochs)
    return context, _predicted(setting, context, learner)


def _ask(
    setting: _Setting,
    key: jax.Array,
    context: PclContext,
    state: PclState,
    evidence: Evidence,
    round_: Round,
) -> Questions:
    options, blocks = setting.options, _train_blocks(setting, context)
    model, weak = setting.parts.model, setting.parts.views.weak
    unknown = Unknown(
        known=_links(setting, context, evidence),
        asked=_of_train_blocks(setting, context, partial(asked_pairs, evidence.pairs[:, :2])),
        valid=_of_train_blocks(setting, context, _is_valid),
    )
    first_key, second_key, pick_key = jax.random.split(key, 3)
    first, second = (
        run_blocks(
            k, model, state.variables, weak, setting.data, blocks, only=("instance",)
        ).instance
        for k in (first_key, second_key)
    )
    places, values = pick_pairs(
        pick_key,
        options.picks,
        (first, second),
        unknown,
        round_.budget,
        uncertain_at=_uncertain_at(setting, context, state, (first, second), unknown.valid),
        left=_left(options, round_, len(blocks)),
        per_block=options.per_block,
        distinct=options.distinct,
    )
    return pair_questions(round_.number, blocks.reshape(-1)[places], values)


def _uncertain_at(
    setting: _Setting,
    context: PclContext,
    state: PclState,
    views: tuple[jax.Array, jax.Array],
    valid: jax.Array,
) -> jax.Array | float:
    """At which similarity a pair is least certain."""
    if setting.options.uncertain == "fixed":
        return UNCERTAIN
    predicted = np.asarray(state.probabilities).argmax(axis=-1).astype(np.int32)
    groups = _of_train_blocks(setting, context, lambda blocks: predicted[blocks.clip(0)])
    return turning_point(views, groups, valid)


def _left(options: PclOptions, round_: Round, blocks: int) -> jax.Array:
    """The share ``[g]`` of the budget that is left when each block is asked about."""
    asked = np.full(blocks, round_.asked, np.float32)
    if options.share == "step":
        asked += round_.budget * np.arange(blocks) / blocks
    return jnp.maximum(1.0 - asked / round_.total, 0.0)


def _learn(
    setting: _Setting,
    key: jax.Array,
    context: PclContext,
    state: PclState,
    evidence: Evidence,
    round_: Round,
) -> tuple[PclState, dict[str, float]]:
    training, new = setting.training, says_something(evidence, round_.since)
    if not new and not round_.last:
        return state, {}
    fit_key, final_key = jax.random.split(key)
    links = _links(setting, context, evidence)
    learner, info = _learner(setting, state), dict[str, float]()
    if new:
        learner, info = _train(setting, fit_key, context, learner, links, training.epochs)
    if round_.last:
        learner, final = _train(
            setting, final_key, context, learner, links, training.final_epochs, pseudo_links=True
        )
        info = final or info
    if not new and not info:
        return state, {}
    return _predicted(setting, context, learner), {**info, **_counts(evidence, links)}


def _train(
    setting: _Setting,
    key: jax.Array,
    context: PclContext,
    learner: Learner,
    links: jax.Array,
    epochs: int,
    *,
    pseudo_links: bool = False,
) -> tuple[Learner, dict[str, float]]:
    training = setting.training
    if not pseudo_links:
        training = training._replace(pseudo_threshold=1.0)
    return train_epochs(
        key,
        setting.parts.model,
        setting.parts.views,
        learner,
        setting.data,
        jnp.asarray(_train_blocks(setting, context)),
        links,
        training,
        epochs,
        log=setting.parts.log,
        progress=setting.parts.progress,
    )


def _train_blocks(setting: _Setting, context: PclContext) -> np.ndarray:
    count = -(-int(np.sum(setting.train)) // setting.training.block_size)
    return np.asarray(context.blocks)[:count]


def _of_train_blocks(setting: _Setting, context: PclContext, make: Make) -> jax.Array:
    return of_blocks(make, _train_blocks(setting, context), mesh_of(setting.data))


def _links(setting: _Setting, context: PclContext, evidence: Evidence) -> jax.Array:
    return _of_train_blocks(setting, context, partial(block_links, evidence.closure))


def _no_links(blocks: np.ndarray) -> np.ndarray:
    return np.zeros((*blocks.shape, blocks.shape[1]), np.int8)


def _is_valid(blocks: np.ndarray) -> np.ndarray:
    return blocks >= 0


def _learner(setting: _Setting, state: PclState) -> Learner:
    blank = jax.eval_shape(make_optimizer(setting.training).init, state.variables["params"])
    moments = jax.tree.unflatten(jax.tree.structure(blank), state.moments)
    return Learner(state.variables, moments)


def _predicted(setting: _Setting, context: PclContext, learner: Learner) -> PclState:
    """The state of a trained network: its outputs over all blocks, in the samples' own order."""
    data, count, blocks = setting.data, setting.parts.num_samples, np.asarray(context.blocks)
    # `val` ignores its key; any will do.
    outputs = run_blocks(
        jax.random.key(0),
        setting.parts.model,
        learner.variables,
        setting.parts.views.val,
        data,
        blocks,
        only=("embedding", "logits"),
    )
    embeddings, logits = (
        in_order(values, blocks, count, mesh_of(data))
        for values in (outputs.embedding, outputs.logits)
    )
    return PclState(
        variables=learner.variables,
        moments=tuple(jax.tree.leaves(learner.opt_state)),
        embeddings=embeddings,
        probabilities=jax.nn.softmax(sharded.first(logits, count), axis=-1),
    )


def _restore(setting: _Setting, context: PclContext, state: PclState) -> PclState:
    if len(state.embeddings):
        return state
    made = _predicted(setting, context, _learner(setting, state))
    return state._replace(embeddings=made.embeddings)


def merge(fresh: Variables, trained: Variables) -> Variables:
    """Put trained parameters and statistics over fresh ones.

    What is new stays fresh, and what the network has no place for is left out.
    """
    return {
        collection: {name: trained.get(collection, {}).get(name, own) for name, own in part.items()}
        for collection, part in fresh.items()
    }


def _counts(evidence: Evidence, links: jax.Array) -> dict[str, float]:
    choice = evidence.pairs[:, 2]
    return {
        "answered": float(len(choice) + evidence.asked.sum()),
        "same": float(np.sum(choice == SAME)),
        "different": float(np.sum(choice == DIFFERENT)),
        "contradictions": float(len(evidence.closure.conflicts) + len(evidence.closure.refused)),
        "must_links": float(jnp.sum(links == 1)) / 2,
        "cannot_links": float(jnp.sum(links == -1)) / 2,
    }
