"""One round of DSAC's training: self-paced, class and centre losses in mini-batches."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from idc_jax import losses, ops
from idc_jax.data.residency import Samples
from idc_jax.data.views import Views, view_batch
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.train.engine import (
    Learner,
    Metrics,
    Program,
    begin,
    descend,
    drive_epochs,
    run_steps,
)
from idc_jax.train.log import Log
from idc_jax.train.loop import epoch_indices, epoch_key
from idc_jax.train.parallel import mesh_of, split


class DsacTraining(NamedTuple):
    """How a round trains. The defaults are the paper's on CIFAR-20.

    Attributes:
      epochs: passes over all samples in a round.
      batch_size: samples of a step that the self-paced loss sees.
      labelled_batch: samples of a step that the class and centre losses see, drawn with
        replacement from the answers and pseudo-labels.
      learning_rate: AdamW's, constant; a small network from scratch wants 1e-3.
      weight_decay: AdamW's, decoupled.
      unsupervised_weight: of L_u; 1 in the paper.
      center_weight: γ of L_center; .001, 1 and .01 in the paper on STL-10, CIFAR-10 and -20.
      unit_embeddings: measure distances between embeddings of unit length, as the pre-training
        compares them; False, the paper's, takes them as they are.
    """

    epochs: int = 100
    batch_size: int = 128
    labelled_batch: int = 128
    learning_rate: float = 2e-5
    weight_decay: float = 1e-4
    unsupervised_weight: float = 1.0
    center_weight: float = 0.01
    unit_embeddings: bool = False


class Targets(NamedTuple):
    """What a round trains towards; constant within it.

    Attributes:
      classes: int32 ``[n]``, answers and pseudo-labels, -1 without.
      weights: float32 ``[n]``, the compactness C_i.
      class_centers: float32 ``[c, d]``, c' of each class.
      centers: float32 ``[c, d]``, of the clusters.
      assignments: int32 ``[n]``, the cluster of each sample.
      age: float32 scalar, λ.
    """

    classes: jax.Array
    weights: jax.Array
    class_centers: jax.Array
    centers: jax.Array
    assignments: jax.Array
    age: jax.Array


def embedding(outputs: Outputs, options: DsacTraining) -> jax.Array:
    """The embedding ``[b, d]`` in which distances are measured."""
    return ops.normalize(outputs.embedding) if options.unit_embeddings else outputs.embedding


def train_round(
    key: jax.Array,
    model: Model,
    views: Views,
    variables: Variables,
    data: Samples,
    targets: Targets,
    options: DsacTraining,
    *,
    log: Log,
    progress: bool,
) -> tuple[Variables, dict[str, float]]:
    """Train for a round from ``variables``, with a fresh optimiser.

    Args:
      key: of the batches and views.
      model: the network.
      views: ``weak`` trains.
      variables: where it starts.
      data: raw samples ``[n, ...]``; those beyond the targets' are not looked at.
      targets: towards what.
      options: how.
      log: called with each epoch's mean losses.
      progress: show a bar.

    Returns:
      The new variables, and the last epoch's mean losses.
    """
    # No program depends on how often it is run.
    program = Program(model, views, options._replace(epochs=0), make_optimizer, mesh_of(data))

    def advance(span: range, learner: Learner) -> tuple[Learner, list[Metrics]]:
        rows, keys = _draw(
            epoch_key(key, span.start),
            targets.classes,
            num_samples=len(targets.classes),
            batch_size=options.batch_size,
            labelled_batch=options.labelled_batch,
        )
        return run_steps(_step, program, learner, data, rows, (rows, keys), targets)

    learner, info = drive_epochs(
        begin(program, variables), options.epochs, advance, log=log, progress=progress
    )
    return learner.variables, info


def make_optimizer(options: DsacTraining) -> optax.GradientTransformation:
    """AdamW at a constant rate."""
    return optax.adamw(options.learning_rate, weight_decay=options.weight_decay)


@partial(jax.jit, static_argnames=("num_samples", "batch_size", "labelled_batch"))
def _draw(
    key: jax.Array, classes: jax.Array, *, num_samples: int, batch_size: int, labelled_batch: int
) -> tuple[jax.Array, jax.Array]:
    """Who is in each step of an epoch ``[steps, b + l]``, and a key for its views ``[steps]``."""
    order_key, step_key = jax.random.split(key)
    batches = epoch_indices(order_key, num_samples, batch_size)
    labelled_first = jnp.argsort(classes < 0, stable=True)
    most = jnp.maximum(jnp.sum(classes >= 0), 1)
    keys = jax.random.split(step_key, batches.shape[0])
    draw_keys, view_keys = jax.vmap(jax.random.split)(keys).T
    draw = partial(jax.random.randint, shape=(labelled_batch,), minval=0, maxval=most)
    labelled = labelled_first[jax.vmap(draw)(draw_keys)]
    return jnp.concatenate([batches, labelled.astype(jnp.int32)], axis=1), view_keys


def _step(
    program: Program, learner: Learner, raw: jax.Array, told: Any, targets: Targets
) -> tuple[Learner, Metrics]:
    rows, view_key = told
    options = program.options
    shown = split(view_batch(program.views.weak, view_key, raw), program.mesh)

    def loss(variables: Variables) -> tuple[jax.Array, Metrics, Variables]:
        outputs, moved = program.model.apply(variables, shown, True)
        some = len(rows) - options.labelled_batch
        terms = _terms(outputs, rows, some, targets, options)
        return sum(terms.values(), jnp.float32(0)), terms, moved

    return descend(program, learner, loss)


def _terms(
    outputs: Outputs, chosen: jax.Array, some: int, targets: Targets, options: DsacTraining
) -> dict[str, jax.Array]:
    """The weighted losses: the first ``some`` rows are any samples, those after are labelled."""
    z = embedding(outputs, options)
    classes = targets.classes[chosen]
    free, named = chosen[:some], chosen[some:]
    mask = classes[some:] >= 0
    weights = targets.weights[named]
    own = targets.centers[targets.assignments[free]]
    unsupervised = losses.self_paced(z[:some], own, targets.age, classes[:some] < 0)
    supervised = losses.weighted_class(outputs.logits[some:], classes[some:], weights, mask)
    towards = targets.class_centers[jnp.maximum(classes[some:], 0)]
    centered = losses.weighted_center(z[some:], towards, weights, mask)
    return {
        "self_paced": options.unsupervised_weight * unsupervised,
        "class": supervised,
        "center": options.center_weight * centered,
    }
