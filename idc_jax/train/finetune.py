"""IDC's fine-tuning: learn from the answers without forgetting what was clear already.

L = L_pos + L_neg + L_reg of "Interactive Deep Clustering via Value Mining". BatchNorm sees the
samples of each term alone, as in the published code, which runs the network three times. The
shapes follow from how many answers there may ever be, never from how many there are: what was
compiled for the first answers serves all later ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from idc_jax import losses
from idc_jax.data.residency import Samples
from idc_jax.data.views import Views, view_batch
from idc_jax.models.base import Model, Variables
from idc_jax.train.engine import (
    Learner,
    Metrics,
    Program,
    begin,
    descend,
    drive_steps,
    train_only,
)
from idc_jax.train.finetune_options import FinetuneOptions, check_options, schedule
from idc_jax.train.log import Log
from idc_jax.train.loop import host_generator, repeated_epochs
from idc_jax.train.parallel import mesh_of, split

__all__ = ["FinetuneOptions", "Supervision", "check_options", "finetune", "schedule"]

_UNLABELLED_RATIO = 5


class Supervision(NamedTuple):
    """What is known of the samples.

    Attributes:
      labels: int32 ``[n]``, the cluster of a sample, or -1 for none.
      rejected: bool ``[n, c]``, clusters that a sample is known not to be of.
      asked: bool ``[n]``, kept out of L_reg where ``exclude_queried`` is set.
      skipped: bool ``[n]``, of which people could not say: they take their places in the batches,
        as the published loader has them, so that an epoch's steps follow from the questions.
      targets: float32 ``[n, c]``, soft pseudo-labels for ``pseudo_labels="graph"``, a row's sum
        being its weight; ``[0, c]`` otherwise.
    """

    labels: jax.Array
    rejected: jax.Array
    asked: jax.Array
    skipped: jax.Array
    targets: jax.Array


class _Setup(NamedTuple):
    """What a step is compiled for: how, and how many of a step's rows may be labelled."""

    options: FinetuneOptions
    labelled: int


class _Told(NamedTuple):
    """What a step is told, ``[b + u]``: the labelled samples, and then samples of all.

    Attributes:
      samples: their indices in the data.
      real: False for padding.
      step: which step it is.
      regularise: whether L_reg counts.
    """

    samples: Any
    real: Any
    step: Any
    regularise: Any


def finetune(
    key: jax.Array,
    model: Model,
    views: Views,
    data: Samples,
    variables: Variables,
    supervision: Supervision,
    store: jax.Array,
    options: FinetuneOptions,
    *,
    capacity: int,
    log: Log,
    progress: bool = True,
) -> tuple[Variables, jax.Array, dict[str, float]]:
    """Fine-tune ``variables`` on what is known.

    L_pos learns from samples with a label, L_neg from others with rejected clusters; with those
    that were skipped they are the pool.

    Args:
      key: fixes batches, views and sampled negatives.
      model: the network.
      views: ``strong`` trains, ``val`` makes pseudo-labels.
      data: raw samples ``[n, ...]``, on a device, on each device of a mesh, spread over them, or
        streamed; those beyond the labels' are not looked at.
      variables: the network so far; it is left as it is.
      supervision: what is known.
      store: int32 ``[n]``, pseudo-labels of ``pseudo_labels="store"``.
      options: how.
      capacity: the most samples that the labelled pool may hold in this run: calls of one
        capacity share what is compiled. A larger pool has room for a power of two.
      log: called with the mean losses of a few dozen steps at a time.
      progress: show a bar.

    Returns:
      The new variables, the new store, and the losses of the last steps.
    """
    pool = _pool(supervision)
    if not pool.size:
        return variables, store, {}
    # Links may make the pool larger than what was asked: a few sizes only.
    room = capacity if pool.size <= capacity else 1 << (pool.size - 1).bit_length()
    width = min(options.batch_size, room)
    steps, batch = schedule(pool.size, options)
    program = Program(model, views, _Setup(options, width), _optimizer, mesh_of(data))
    plan_key, run_key = jax.random.split(key)
    restart = options.restart_unlabelled
    told = _Told(
        *_plan(plan_key, pool, len(supervision.labels), steps, batch, width, restart=restart),
        step=np.arange(steps, dtype=np.uint32),
        regularise=np.arange(steps) >= options.regularise_from * steps,
    )
    learner, info = drive_steps(
        _step,
        program,
        begin(program, variables, store),
        data,
        told.samples,
        told,
        (supervision, run_key),
        phase="finetune",
        about="fine-tuning",
        log=log,
        progress=progress,
    )
    return learner.variables, learner.memory, info


def _optimizer(setup: _Setup) -> optax.GradientTransformation:
    """Adam with coupled L2, leaving alone the instance head, which no loss here touches."""
    options = setup.options
    adam = optax.chain(
        optax.add_decayed_weights(options.weight_decay), optax.adam(options.learning_rate)
    )
    return train_only(adam, lambda name: name != "instance_head")


def _pool(supervision: Supervision) -> np.ndarray:
    """The samples that something is known of, and those skipped; none if nothing is known."""
    labels, rejected = np.asarray(supervision.labels), np.asarray(supervision.rejected)
    known = (labels >= 0) | rejected.any(axis=1)
    return np.flatnonzero(known | (np.asarray(supervision.skipped) & known.any()))


def _plan(
    key: jax.Array,
    pool: np.ndarray,
    num_samples: int,
    steps: int,
    batch: int,
    width: int,
    *,
    restart: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Who is in which step, ``[steps, width + u]``, and whether that is more than padding.

    It is made on the host, where no new number of answers needs a new program.
    """
    generator = host_generator(key)
    labelled = pool[repeated_epochs(generator, len(pool), batch, steps)]
    some = min(_UNLABELLED_RATIO * batch, num_samples)
    longest = len(pool) // batch if restart else None
    unlabelled = repeated_epochs(generator, num_samples, some, steps, longest=longest)
    parts = (labelled, width), (unlabelled, min(_UNLABELLED_RATIO * width, num_samples))
    samples = [np.pad(a, ((0, 0), (0, to - a.shape[1]))) for a, to in parts]
    real = [np.broadcast_to(np.arange(to) < a.shape[1], (steps, to)) for a, to in parts]
    return np.concatenate(samples, axis=1).astype(np.int32), np.concatenate(real, axis=1)


class _Subsets(NamedTuple):
    """Which of a step's rows each loss is about, bool ``[b + u]`` each.

    In the order in which the published code shows them to the network, which is that in which
    BatchNorm's averages move.
    """

    free: jax.Array
    named: jax.Array
    refused: jax.Array


def _step(
    program: Program, learner: Learner, raw: jax.Array, told: _Told, shared: Any
) -> tuple[Learner, Metrics]:
    known, run_key = shared
    setup: _Setup = program.options
    value_key, *view_keys, draw_key = jax.random.split(jax.random.fold_in(run_key, told.step), 4)
    memory, pseudo = _pseudo_labels(value_key, program, learner, raw, told, known)
    labels = known.labels[told.samples]
    labelled = told.real & (jnp.arange(len(told.samples)) < setup.labelled)
    learnt = told.real & ~labelled & (pseudo >= 0)
    learnt &= ~(setup.options.exclude_queried & known.asked[told.samples])
    # Of those skipped nothing is known.
    refused = labelled & (labels < 0) & known.rejected[told.samples].any(axis=1)
    subsets = _Subsets(learnt, labelled & (labels >= 0), refused)
    # Keys of their own for the labelled rows, so that room for more of them changes no draw.
    counts = setup.labelled, len(raw) - setup.labelled
    drawn = [jax.random.split(key, count) for key, count in zip(view_keys, counts, strict=True)]
    seen = split(jax.vmap(program.views.strong)(jnp.concatenate(drawn), raw), program.mesh)

    def loss(variables: Variables) -> tuple[jax.Array, Metrics, Variables]:
        # One pass: each subset is a batch of its own all the same.
        outputs, moved = program.model.apply(variables, seen, True, jnp.stack(subsets, axis=1))
        terms = _terms(draw_key, setup, outputs.logits, told, known, subsets, pseudo)
        return _total(terms, setup.options, told.regularise), terms, moved

    return descend(program, learner, loss, memory=memory)


def _pseudo_labels(
    key: jax.Array,
    program: Program,
    learner: Learner,
    raw: jax.Array,
    told: _Told,
    known: Supervision,
) -> tuple[jax.Array, jax.Array]:
    """The store after this batch, and the pseudo-label of each row (-1 for none)."""
    options, labelled = program.options.options, program.options.labelled
    samples, real = told.samples[labelled:], told.real[labelled:]
    store = learner.memory
    if options.pseudo_labels == "graph":
        found = jnp.argmax(known.targets[samples], axis=-1)
    else:
        shown = split(view_batch(program.views.val, key, raw[labelled:]), program.mesh)
        logits = program.model.apply(learner.variables, shown, False, real)[0].logits
        probs = jax.nn.softmax(logits)
        found = losses.confident_labels(probs, threshold=options.threshold)
    if options.pseudo_labels == "store":
        store = losses.update_pseudo_labels(
            store, samples, probs, real, fraction=options.quota, threshold=options.threshold
        )
        found = store[samples]
    return store, jnp.concatenate([jnp.full(labelled, -1, found.dtype), found])


def _terms(
    key: jax.Array,
    setup: _Setup,
    logits: jax.Array,
    told: _Told,
    known: Supervision,
    subsets: _Subsets,
    pseudo: jax.Array,
) -> Metrics:
    """The three losses, not yet weighted."""
    options, samples = setup.options, told.samples
    labels = known.labels[samples]
    positive = losses.positive(logits, labels, subsets.named, balanced=options.balanced)
    candidates = jnp.where(known.rejected[samples], jnp.arange(logits.shape[-1]), -1)
    draw = key if options.negative == "sampled" else None
    negative = losses.negative(logits, candidates, subsets.refused, key=draw)
    if options.pseudo_labels == "graph":
        apart = optax.softmax_cross_entropy(logits, known.targets[samples])
        regularisation = losses.masked_mean(apart, subsets.free)
    else:
        regularisation = losses.regularisation(
            logits, pseudo, subsets.free, balanced=options.balanced
        )
        if not options.balanced:
            # The paper's 1/N counts the whole batch, confident or not.
            regularisation *= subsets.free.sum() / told.real[setup.labelled :].sum()
    return {"positive": positive, "negative": negative, "regularisation": regularisation}


def _total(terms: Metrics, options: FinetuneOptions, regularise: jax.Array) -> jax.Array:
    return (
        options.positive_weight * terms["positive"]
        + options.negative_weight * terms["negative"]
        + options.regularisation_weight * regularise.astype(jnp.float32) * terms["regularisation"]
    )
