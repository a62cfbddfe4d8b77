"""PCL: "do these two belong together?", asked within fixed blocks of samples.

"Personalized Clustering via Targeted Representation Learning". The answers, closed under
transitivity, pull and push the two views' embeddings and cluster probabilities, so that the
clusters turn towards what the person has in mind. The network may attend over a block: then a
prediction depends on the block, and the blocks are fixed at the start, cover every sample once
and predict it once.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.annotate.closure import Closure, asked_pairs, block_links
from idc_jax.annotate.questions import DIFFERENT, SAME, Answers, Questions, pair_questions
from idc_jax.data.views import Views
from idc_jax.methods.contract import Begin, Log, Method
from idc_jax.methods.pcl.pairs import Unknown, pick_pairs
from idc_jax.methods.pcl.state import (
    PclOptions,
    PclState,
    check_options,
    closure_of,
    make_blocks,
    record,
)
from idc_jax.methods.pcl.training import (
    Learner,
    PclTraining,
    make_optimizer,
    run_blocks,
    scatter_blocks,
    train_epochs,
)
from idc_jax.models.attention import with_attention
from idc_jax.models.base import Model, Outputs, Variables

__all__ = ["PclOptions", "PclState", "build", "check_options", "make_blocks", "record"]


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below."""

    model: Model
    views: Views
    data: jax.Array
    train: np.ndarray
    total_budget: int
    begin: Begin
    options: PclOptions
    training: PclTraining
    log: Log
    progress: bool


def build(
    plain: Model,
    views: Views,
    data: jax.Array,
    train: np.ndarray,
    *,
    num_clusters: int,
    total_budget: int,
    begin: Begin,
    options: PclOptions,
    training: PclTraining,
    log: Log,
    progress: bool = True,
) -> Method:
    """Compose the method on ``data``.

    Args:
      plain: the network without attention, with ``num_clusters`` outputs.
      views: ``weak`` trains and asks, ``val`` predicts.
      data: raw samples ``[n, ...]`` on the device.
      train: bool ``[n]``, the samples to train on and ask about; the others are only predicted.
      num_clusters: c.
      total_budget: answers of the whole run, 10,000 in the paper; hard pairs count the more, the
        less of it is left.
      begin: gives the plain network's first variables (contrastive clustering's); attention
        comes to them fresh, unless they have it.
      options: what is asked.
      training: how the network is trained.
      log: called with the losses of every epoch.
      progress: show bars.

    Raises:
      UserError: options that mean nothing, or no sample to train on.
    """
    check_options(options, training, train)
    model = plain
    if options.attention != "none":
        model = with_attention(plain, num_heads=options.num_heads, start=options.attention)
    setting = _Setting(
        model=model,
        views=views,
        data=data,
        train=train,
        total_budget=total_budget,
        begin=begin,
        options=options,
        training=training,
        log=log,
        progress=progress,
    )
    return Method(
        init=partial(_init, setting),
        ask=partial(_ask, setting),
        learn=partial(_learn, setting),
        predict=lambda state: jax.nn.softmax(_over_all(setting, state).logits, axis=-1),
        embed=lambda state: _over_all(setting, state).embedding,
        restore=partial(_restore, setting),
    )


def _init(setting: _Setting, key: jax.Array) -> PclState:
    block_key, begin_key, attention_key, warm_key = jax.random.split(key, 4)
    training, budget = setting.training, setting.total_budget
    sample = setting.views.val(attention_key, setting.data[0])[None]
    variables = merge(setting.model.init(attention_key, sample), setting.begin(begin_key))
    state = PclState(
        variables=variables,
        opt_state=make_optimizer(training).init(variables["params"]),
        blocks=jnp.asarray(make_blocks(block_key, setting.train, training.block_size)),
        pairs=jnp.zeros((budget, 2), jnp.int32),
        choice=jnp.zeros(budget, jnp.int32),
        answered=jnp.int32(0),
    )
    links, _ = _links(setting, state)
    return _fit(setting, warm_key, state, links, training.warmup_epochs)[0]


def _ask(
    setting: _Setting, key: jax.Array, state: PclState, round_: int, budget: int
) -> tuple[PclState, Questions]:
    options = setting.options
    blocks = _train_blocks(setting, state)
    known, _ = _links(setting, state)
    asked = asked_pairs(np.asarray(state.pairs)[: int(state.answered)], blocks)
    first_key, second_key, pick_key = jax.random.split(key, 3)
    first, second = (
        run_blocks(
            k, setting.model, state.variables, setting.views.weak, setting.data, jnp.asarray(blocks)
        ).instance
        for k in (first_key, second_key)
    )
    places, values = pick_pairs(
        pick_key,
        options.picks,
        (first, second),
        Unknown(known, jnp.asarray(asked), jnp.asarray(blocks >= 0)),
        budget,
        left=1.0 - int(state.answered) / setting.total_budget,
        per_block=options.per_block,
        distinct=options.distinct,
    )
    return state, pair_questions(round_, blocks.reshape(-1)[places], values)


def _learn(
    setting: _Setting, key: jax.Array, state: PclState, answers: Answers
) -> tuple[PclState, dict[str, float]]:
    training = setting.training
    fit_key, final_key = jax.random.split(key)
    state = record(state, answers)
    links, closure = _links(setting, state)
    state, info = _fit(setting, fit_key, state, links, training.epochs)
    # No room for another round like this one: it was the last.
    if setting.total_budget - int(state.answered) < len(answers.choice):
        last = _fit(setting, final_key, state, links, training.final_epochs, pseudo_links=True)
        state, info = last[0], last[1] or info
    return state, {**info, **_counts(state, closure, links)}


def _fit(
    setting: _Setting,
    key: jax.Array,
    state: PclState,
    links: jax.Array,
    epochs: int,
    *,
    pseudo_links: bool = False,
) -> tuple[PclState, dict[str, float]]:
    training = setting.training
    if not pseudo_links:
        training = training._replace(pseudo_threshold=1.0)
    learner, info = train_epochs(
        key,
        setting.model,
        setting.views,
        Learner(state.variables, state.opt_state),
        setting.data,
        jnp.asarray(_train_blocks(setting, state)),
        links,
        training,
        epochs,
        log=setting.log,
        progress=setting.progress,
    )
    return state._replace(variables=learner.variables, opt_state=learner.opt_state), info


def _train_blocks(setting: _Setting, state: PclState) -> np.ndarray:
    count = -(-int(np.sum(setting.train)) // setting.training.block_size)
    return np.asarray(state.blocks)[:count]


def _links(setting: _Setting, state: PclState) -> tuple[jax.Array, Closure]:
    """What the answers imply within the blocks trained on, ``[g, b, b]``, and everywhere."""
    closure = closure_of(state, setting.data.shape[0])
    return jnp.asarray(block_links(closure, _train_blocks(setting, state))), closure


def _over_all(setting: _Setting, state: PclState) -> Outputs:
    """The network over all blocks, in the samples' own order ``[n, ...]``."""
    # `val` ignores its key; any will do.
    outputs = run_blocks(
        jax.random.key(0),
        setting.model,
        state.variables,
        setting.views.val,
        setting.data,
        state.blocks,
    )
    return jax.tree.map(
        lambda values: scatter_blocks(values, state.blocks, setting.data.shape[0]), outputs
    )


def _restore(setting: _Setting, tree: dict[str, Any]) -> PclState:
    blank = make_optimizer(setting.training).init(tree["variables"]["params"])
    opt_state = flax.serialization.from_state_dict(blank, tree["opt_state"])
    return PclState(**{**tree, "opt_state": opt_state})


def merge(fresh: Variables, trained: Variables) -> Variables:
    """Put trained parameters and statistics over fresh ones.

    What is new stays fresh, and what the network has no place for is left out.
    """
    return {
        collection: {name: trained.get(collection, {}).get(name, own) for name, own in part.items()}
        for collection, part in fresh.items()
    }


def _counts(state: PclState, closure: Closure, links: jax.Array) -> dict[str, float]:
    choice = np.asarray(state.choice)[: int(state.answered)]
    return {
        "answered": float(len(choice)),
        "same": float(np.sum(choice == SAME)),
        "different": float(np.sum(choice == DIFFERENT)),
        "contradictions": float(len(closure.conflicts)),
        "must_links": float(jnp.sum(links == 1)) / 2,
        "cannot_links": float(jnp.sum(links == -1)) / 2,
    }
