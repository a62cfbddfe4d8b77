"""PCL: "do these two belong together?", asked within fixed blocks of samples.

"Personalized Clustering via Targeted Representation Learning". The answers, closed under
transitivity, pull and push the two views' embeddings and cluster probabilities, so that the
clusters turn towards what the person has in mind. The network may attend over a block: then a
prediction depends on the block, and the blocks are fixed at the start, cover every sample once
and predict it once.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple, get_args

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax

from idc_jax.annotate.questions import DIFFERENT, SAME, Answers, Questions, pair_questions
from idc_jax.data.views import Views
from idc_jax.errors import UserError
from idc_jax.methods.base import Begin, Log, Method
from idc_jax.methods.closure import Closure, asked_pairs, block_links, close_links
from idc_jax.methods.pcl_pairs import PairPicks, Unknown, pick_pairs
from idc_jax.methods.pcl_training import (
    Learner,
    PclTraining,
    make_optimizer,
    run_blocks,
    scatter_blocks,
    train_epochs,
)
from idc_jax.models.attention import BlockModel, with_attention, without_attention
from idc_jax.models.base import Model, Variables
from idc_jax.models.heads import HeadLayout

Attention = Literal["random", "identity", "none"]


class PclOptions(NamedTuple):
    """The method's options.

    Attributes:
      picks: ``"both"`` (S_up + S_hp), one of the two terms alone, or ``"random"``: uniform over
        the unknown pairs.
      per_block: at most so many questions of one block in a round; 0 for as many as the round's
        budget needs. 1 with a round per epoch is the paper's own schedule, one pair per block
        per step.
      distinct: pairs of one round share no sample where that can be helped: what is asked at
        once then covers more of a block than its few most striking samples.
      attention: over the samples of a block, put between a trained backbone and its heads:
        ``"random"`` starts it at random, as a new layer is; ``"identity"`` starts it as an
        average over similar samples, which keeps what the network knows; ``"none"`` leaves it
        out (the paper's ablation).
      num_heads: of the attention.
    """

    picks: PairPicks = "both"
    per_block: int = 0
    distinct: bool = True
    attention: Attention = "identity"
    num_heads: int = 8


class PclState(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      variables: the network's.
      opt_state: the optimiser's; training goes on where it stopped.
      blocks: int32 ``[g, b]``, the samples of each block, -1 for padding: first the training
        split's blocks, then the others'.
      pairs: int32 ``[total_budget, 2]``, the pairs answered so far, then zeros.
      choice: int32 ``[total_budget]``, the answers.
      answered: int32 scalar, how many there are.
    """

    variables: Variables
    opt_state: optax.OptState
    blocks: jax.Array
    pairs: jax.Array
    choice: jax.Array
    answered: jax.Array


def build(
    plain: Model,
    views: Views,
    data: jax.Array,
    train: np.ndarray,
    *,
    num_clusters: int,
    head: HeadLayout,
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
      head: the layout of the network's heads.
      total_budget: answers of the whole run, 10,000 in the paper; hard pairs count the more, the
        less of it is left.
      begin: gives the plain network's first variables (contrastive clustering's); attention
        comes to them fresh.
      options: what is asked.
      training: how the network is trained.
      log: called with the losses of every epoch.
      progress: show bars.

    Raises:
      UserError: options that mean nothing, or no sample to train on.
    """
    check_options(options, training, train)
    model = _attending(plain, num_clusters, head, options.attention, options.num_heads)
    num_samples = data.shape[0]
    train_blocks = -(-int(np.sum(train)) // training.block_size)

    def init(key: jax.Array) -> PclState:
        block_key, begin_key, attention_key, warm_key = jax.random.split(key, 4)
        sample = views.val(attention_key, data[0])[None]
        variables = merge(model.init(attention_key, sample), begin(begin_key))
        state = PclState(
            variables=variables,
            opt_state=make_optimizer(training).init(variables["params"]),
            blocks=jnp.asarray(make_blocks(block_key, train, training.block_size)),
            pairs=jnp.zeros((total_budget, 2), jnp.int32),
            choice=jnp.zeros(total_budget, jnp.int32),
            answered=jnp.int32(0),
        )
        return fit(warm_key, state, links_of(state)[0], training.warmup_epochs)[0]

    def links_of(state: PclState) -> tuple[jax.Array, Closure]:
        closure = closure_of(state, num_samples)
        links = block_links(closure, np.asarray(state.blocks)[:train_blocks])
        return jnp.asarray(links), closure

    def fit(
        key: jax.Array, state: PclState, links: jax.Array, epochs: int
    ) -> tuple[PclState, dict[str, float]]:
        learner, info = train_epochs(
            key,
            model,
            views,
            Learner(state.variables, state.opt_state),
            data,
            state.blocks[:train_blocks],
            links,
            training,
            epochs,
            log=log,
            progress=progress,
        )
        return state._replace(variables=learner.variables, opt_state=learner.opt_state), info

    def ask(
        key: jax.Array, state: PclState, round_: int, budget: int
    ) -> tuple[PclState, Questions]:
        blocks = np.asarray(state.blocks)[:train_blocks]
        known, _ = links_of(state)
        asked = asked_pairs(np.asarray(state.pairs)[: int(state.answered)], blocks)
        first_key, second_key, pick_key = jax.random.split(key, 3)
        first, second = (
            run_blocks(k, model, state.variables, views.weak, data, blocks).instance
            for k in (first_key, second_key)
        )
        places, values = pick_pairs(
            pick_key,
            options.picks,
            (first, second),
            Unknown(known, jnp.asarray(asked), jnp.asarray(blocks >= 0)),
            budget,
            left=1.0 - int(state.answered) / total_budget,
            per_block=options.per_block,
            distinct=options.distinct,
        )
        return state, pair_questions(round_, blocks.reshape(-1)[places], values)

    def learn(
        key: jax.Array, state: PclState, answers: Answers
    ) -> tuple[PclState, dict[str, float]]:
        state = record(state, answers)
        links, closure = links_of(state)
        # No room for another round like this one: it was the last.
        spent = total_budget - int(state.answered) < len(answers.choice)
        epochs = training.epochs + (training.final_epochs if spent else 0)
        state, info = fit(key, state, links, epochs)
        return state, {**info, **_counts(state, closure, links)}

    def over_all(state: PclState, field: str) -> jax.Array:
        # `val` ignores its key; any will do.
        outputs = run_blocks(
            jax.random.key(0), model, state.variables, views.val, data, state.blocks
        )
        return scatter_blocks(getattr(outputs, field), state.blocks, num_samples)

    def predict(state: PclState) -> jax.Array:
        return jax.nn.softmax(over_all(state, "logits"), axis=-1)

    def embed(state: PclState) -> jax.Array:
        return over_all(state, "embedding")

    def restore(tree: dict[str, Any]) -> PclState:
        blank = make_optimizer(training).init(tree["variables"]["params"])
        opt_state = flax.serialization.from_state_dict(blank, tree["opt_state"])
        return PclState(**{**tree, "opt_state": opt_state})

    return Method(init, ask, learn, predict, embed, restore)


def make_blocks(key: jax.Array, train: np.ndarray, size: int) -> np.ndarray:
    """Shuffle the samples into blocks of ``size``, training samples first.

    Args:
      key: of the shuffle; the blocks stay the same for the whole run.
      train: bool ``[n]``.
      size: b.

    Returns:
      int32 ``[g, b]``, each sample once; the last training block and the very last block are
      padded with -1.
    """
    order = np.asarray(jax.random.permutation(key, len(train)))
    parts = [order[train[order]], order[~train[order]]]
    padded = [np.append(part, np.full(-len(part) % size, -1)) for part in parts]
    return np.concatenate(padded).reshape(-1, size).astype(np.int32)


def record(state: PclState, answers: Answers) -> PclState:
    """Append one round's answers, also the skipped ones: nobody is asked twice."""
    count, more = int(state.answered), len(answers.choice)
    pairs = np.concatenate([np.asarray(state.pairs)[:count], answers.indices.reshape(-1, 2)])
    choice = np.concatenate([np.asarray(state.choice)[:count], answers.choice])
    room = max(len(state.choice) - count - more, 0)
    return state._replace(
        pairs=jnp.asarray(np.pad(pairs, ((0, room), (0, 0))).astype(np.int32)),
        choice=jnp.asarray(np.pad(choice, (0, room)).astype(np.int32)),
        answered=jnp.int32(count + more),
    )


def closure_of(state: PclState, num_samples: int) -> Closure:
    """Everything that the answers so far imply."""
    count = int(state.answered)
    return close_links(
        num_samples, np.asarray(state.pairs)[:count], np.asarray(state.choice)[:count]
    )


def merge(fresh: Variables, trained: Variables) -> Variables:
    """Put trained parameters and statistics over fresh ones; what is new stays fresh."""
    return {name: {**part, **trained.get(name, {})} for name, part in fresh.items()}


def check_options(options: PclOptions, training: PclTraining, train: np.ndarray) -> None:
    """Refuse options that mean nothing.

    Raises:
      UserError: naming the option, what it is and what would do.
    """
    for name, kinds in (("picks", PairPicks), ("attention", Attention)):
        value = getattr(options, name)
        if value not in get_args(kinds):
            raise UserError(
                f"pcl.{name} is {value!r}; one of {', '.join(get_args(kinds))} would do"
            )
    if options.per_block < 0:
        raise UserError(f"pcl.per_block is {options.per_block}; 0 or more would do")
    if training.block_size < 2:
        raise UserError(f"pcl.block_size is {training.block_size}; a pair needs at least 2")
    if np.sum(train) < 2:
        raise UserError("pcl trains on the training split, but fewer than 2 samples belong to it")


@functools.lru_cache(maxsize=32)
def _attending(
    plain: Model, num_clusters: int, head: HeadLayout, attention: Attention, num_heads: int
) -> BlockModel:
    """The same parts give the same functions, so that a second run compiles nothing anew."""
    if attention == "none":
        return without_attention(plain)
    return with_attention(
        plain, num_clusters=num_clusters, head=head, num_heads=num_heads, start=attention
    )


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
