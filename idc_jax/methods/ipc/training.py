"""IPC's training: a small network on fixed features, taught by clusters, then by pairs."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from idc_jax import losses
from idc_jax.data.views import Views
from idc_jax.errors import check_at_least
from idc_jax.models.base import Model, Variables
from idc_jax.models.heads import ClusterNet
from idc_jax.models.mlp import MLP
from idc_jax.train.engine import Learner, Metrics, Program, begin, descend, drive_steps, train_only
from idc_jax.train.log import Log
from idc_jax.train.loop import host_generator, repeated_epochs, steps_per_epoch
from idc_jax.train.parallel import mesh_of, split

# Samples of the whole data set in a step, for each pair in it.
_UNLABELLED_RATIO = 5


class IpcTraining(NamedTuple):
    """How IPC trains; the defaults are the paper's: 100 epochs, the first ten without answers.

    Attributes:
      hidden: units of the hidden layer.
      warmup_epochs: passes over the samples in which the network learns the first clusters.
      warmup_batch: samples of a step in them.
      epochs: passes over the answers; one is floor(answers / batch_size) steps.
      batch_size: pairs per step, and at most so many labelled samples.
      min_steps: at least so many steps, however few answers there are.
      learning_rate: Adam's.
      threshold: τ of the pseudo-labels.
      quota: share of a batch that one step may add to them.
      pair_weight: of the pairs' loss.
      pseudo_weight: of the pseudo-labels' loss.
    """

    hidden: int = 512
    warmup_epochs: int = 10
    warmup_batch: int = 320
    epochs: int = 90
    batch_size: int = 64
    min_steps: int = 0
    learning_rate: float = 1e-4
    threshold: float = 0.9
    quota: float = 0.2
    pair_weight: float = 1.0
    pseudo_weight: float = 1.0


class Taught(NamedTuple):
    """What is known of the samples.

    Attributes:
      labels: int32 ``[n]``, the output of a sample, or -1 for none.
      rejected: bool ``[n, c]``, outputs that a sample is known not to be of.
    """

    labels: jax.Array
    rejected: jax.Array


class _Told(NamedTuple):
    """What a step is told of its rows: first and second samples of pairs, labelled ones, any.

    Attributes:
      samples: int32 ``[r]``.
      real: bool ``[r]``, False for padding.
      same: bool ``[b]``, of each pair.
    """

    samples: Any
    real: Any
    same: Any


def network(num_clusters: int, hidden: int) -> Model:
    """W → hidden, BatchNorm, ReLU → c."""
    # Nobody looks at the instance head.
    return Model(ClusterNet(MLP((hidden,), 0), num_clusters, instance_dim=1, head="linear"))


def check_training(training: IpcTraining) -> None:
    """Refuse options that cannot be trained with.

    Raises:
      UserError: naming the option, its value and what it must be.
    """
    for name in ("hidden", "warmup_batch", "batch_size"):
        check_at_least(f"ipc_training.{name}", getattr(training, name), 1)
    for name in ("warmup_epochs", "epochs", "min_steps", "pair_weight", "pseudo_weight"):
        check_at_least(f"ipc_training.{name}", getattr(training, name), 0)


def warm_up(
    key: jax.Array,
    model: Model,
    views: Views,
    variables: Variables,
    x: jax.Array,
    clusters: jax.Array,
    training: IpcTraining,
    *,
    log: Log,
    progress: bool,
) -> Variables:
    """Teach the network the ``clusters`` ``[n]`` of ``x`` ``[n, d]``, each with the same weight.

    Rows of ``x`` beyond those are not looked at.
    """
    size = len(clusters)
    batch = min(training.warmup_batch, size)
    steps = training.warmup_epochs * steps_per_epoch(size, batch)
    if not steps:
        return variables
    rows = repeated_epochs(host_generator(key), size, batch, steps).astype(np.int32)
    program = _program(model, views, training, x)
    learner, _ = drive_steps(
        _warm_step,
        program,
        begin(program, variables),
        x,
        rows,
        rows,
        clusters,
        phase="warm_up",
        about="warming up",
        log=log,
        progress=progress,
    )
    return learner.variables


def refine(
    key: jax.Array,
    model: Model,
    views: Views,
    variables: Variables,
    x: jax.Array,
    clusters: jax.Array,
    pairs: np.ndarray,
    taught: Taught,
    training: IpcTraining,
    *,
    answers: int,
    log: Log,
    progress: bool,
) -> tuple[Variables, dict[str, float]]:
    """Teach the network what was said.

    Args:
      key: draws the batches.
      model: of :func:`network`.
      views: not looked through: features are shown as they are.
      variables: the network so far; it is left as it is.
      x: ``[n, d]``; rows beyond those of the clusters are not looked at.
      clusters: int32 ``[n]``, the first pseudo-labels.
      pairs: int ``[p, 3]``, two samples, and 1 if they are of one group, else 0.
      taught: what is known of single samples.
      training: how.
      answers: how many there were, which says how long it takes.
      log: called with the mean losses of a few dozen steps at a time.
      progress: show a bar.

    Returns:
      The new variables, and the losses of the last steps; empty where nothing is known.
    """
    told = _plan(host_generator(key), pairs, taught, len(clusters), training, answers)
    if told is None:
        return variables, {}
    program = _program(model, views, training, x)
    learner, info = drive_steps(
        _step,
        program,
        begin(program, variables, clusters),
        x,
        told.samples,
        told,
        taught,
        phase="refine",
        about="learning from pairs",
        log=log,
        progress=progress,
    )
    return learner.variables, info


def _program(model: Model, views: Views, training: IpcTraining, x: jax.Array) -> Program:
    # No program depends on how often it is run.
    once = training._replace(warmup_epochs=0, epochs=0, min_steps=0)
    return Program(model, views, once, _optimizer, mesh_of(x))


def _optimizer(training: IpcTraining) -> optax.GradientTransformation:
    adam = optax.adam(training.learning_rate)
    return train_only(adam, lambda name: name != "instance_head")


def _plan(
    generator: np.random.Generator,
    pairs: np.ndarray,
    taught: Taught,
    num_samples: int,
    training: IpcTraining,
    answers: int,
) -> _Told | None:
    """Who is in which step, made on the host; None where nothing is known."""
    pool = np.flatnonzero(
        (np.asarray(taught.labels) >= 0) | np.asarray(taught.rejected).any(axis=1)
    )
    if not len(pairs) and not len(pool):
        return None
    width = training.batch_size
    per_epoch = max(answers // width, len(pool) // width, 1)
    steps = max(training.epochs * per_epoch, training.min_steps, 1)
    drawn, paired = _drawn(generator, len(pairs), width, steps)
    of_pool, labelled = _drawn(generator, len(pool), width, steps)
    count = min(_UNLABELLED_RATIO * width, num_samples)
    unlabelled = repeated_epochs(generator, num_samples, count, steps)
    pairs = np.pad(pairs, ((0, int(not len(pairs))), (0, 0)))
    pool = np.pad(pool, (0, int(not len(pool))))
    samples = [pairs[drawn, 0], pairs[drawn, 1], pool[of_pool], unlabelled]
    real = [paired, paired, labelled, np.ones(unlabelled.shape, bool)]
    return _Told(
        np.concatenate(samples, axis=1).astype(np.int32),
        np.concatenate(real, axis=1),
        pairs[drawn, 2] == 1,
    )


def _drawn(
    generator: np.random.Generator, count: int, width: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places ``[steps, width]`` of what there are ``count`` of, and which of them are real."""
    batch = min(count, width)
    places = np.zeros((steps, width), np.int64)
    if batch:
        places[:, :batch] = repeated_epochs(generator, count, batch, steps)
    return places, np.broadcast_to(np.arange(width) < batch, places.shape)


def _warm_step(
    program: Program, learner: Learner, raw: jax.Array, told: jax.Array, clusters: jax.Array
) -> tuple[Learner, Metrics]:
    seen = split(raw, program.mesh)
    targets, every = clusters[told], jnp.ones(len(told), bool)

    def loss(variables: Variables) -> tuple[jax.Array, Metrics, Variables]:
        outputs, moved = program.model.apply(variables, seen, True)
        return losses.positive(outputs.logits, targets, every, balanced=True), {}, moved

    return descend(program, learner, loss)


def _step(
    program: Program, learner: Learner, raw: jax.Array, told: _Told, taught: Taught
) -> tuple[Learner, Metrics]:
    training: IpcTraining = program.options
    width = len(told.same)
    paired, labelled, free = (
        told.real & (place >= start) & (place < stop)
        for place in (jnp.arange(len(told.real)),)
        for start, stop in ((0, 2 * width), (2 * width, 3 * width), (3 * width, len(told.real)))
    )
    seen = split(raw, program.mesh)
    here = told.samples[3 * width :]
    probs = jax.nn.softmax(
        program.model.apply(learner.variables, seen, False)[0].logits[3 * width :]
    )
    store = losses.update_pseudo_labels(
        learner.memory,
        here,
        probs,
        jnp.ones(len(here), bool),
        fraction=training.quota,
        threshold=training.threshold,
    )

    def loss(variables: Variables) -> tuple[jax.Array, Metrics, Variables]:
        # One pass: pairs are a batch of their own for BatchNorm all the same. Labels are not: few
        # samples of one class, normalised by themselves, look like any others.
        groups = jnp.stack((paired, labelled | free), axis=1)
        outputs, moved = program.model.apply(variables, seen, True, groups)
        first, second, named, any_ = jnp.split(outputs.logits, [width, 2 * width, 3 * width])
        apart = losses.pair_loss(first, second, told.same, told.real[:width])
        said = told.samples[2 * width : 3 * width]
        labels = taught.labels[said]
        refused = jnp.where(taught.rejected[said], jnp.arange(named.shape[-1]), -1)
        inside = labelled[2 * width : 3 * width]
        pseudo = store[here]
        terms = {
            "pairs": losses.masked_mean(apart, told.real[:width]),
            "positive": losses.positive(named, labels, inside & (labels >= 0), balanced=True),
            "negative": losses.negative(named, refused, inside & (labels < 0), key=None),
            "pseudo": losses.regularisation(any_, pseudo, pseudo >= 0, balanced=True),
        }
        total = (
            training.pair_weight * terms["pairs"]
            + terms["positive"]
            + terms["negative"]
            + training.pseudo_weight * terms["pseudo"]
        )
        return total, terms, moved

    return descend(program, learner, loss, memory=store)
