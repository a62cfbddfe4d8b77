"""One round of DSAC's training: self-paced, class and centre losses in mini-batches."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from idc_jax import losses, ops
from idc_jax.data.views import Views, view_batch
from idc_jax.methods.contract import Log
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.train.loop import epoch_indices
from idc_jax.train.parallel import mesh_of, replicate, split
from idc_jax.train.steps import descend, run_epochs


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
    data: jax.Array,
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
      data: raw samples ``[n, ...]``.
      targets: towards what.
      options: how.
      log: called with each epoch's mean losses.
      progress: show a bar.

    Returns:
      The new variables, and the last epoch's mean losses.
    """
    # No program depends on how often it is run.
    once = options._replace(epochs=0)

    def epoch(epoch_key, carry):  # type: ignore[no-untyped-def]
        order_key, step_key = jax.random.split(epoch_key)
        batches = epoch_indices(order_key, data.shape[0], options.batch_size)
        *carry, means = _epoch(
            model, views, once, step_key, *carry, data, spread, batches, mesh=mesh
        )
        return carry, means

    mesh = mesh_of(data)
    spread = replicate(targets, mesh)
    carry = replicate([variables, make_optimizer(options).init(variables["params"])], mesh)
    carry, info = run_epochs(key, options.epochs, carry, epoch, log=log, progress=progress)
    return carry[0], info


def make_optimizer(options: DsacTraining) -> optax.GradientTransformation:
    """AdamW at a constant rate."""
    return optax.adamw(options.learning_rate, weight_decay=options.weight_decay)


@partial(jax.jit, static_argnames=("model", "views", "options", "mesh"))
def _epoch(
    model: Model,
    views: Views,
    options: DsacTraining,
    key: jax.Array,
    variables: Variables,
    opt_state: optax.OptState,
    data: jax.Array,
    targets: Targets,
    batches: jax.Array,
    *,
    mesh: Mesh | None,
) -> tuple[Variables, optax.OptState, dict[str, jax.Array]]:
    optimizer = make_optimizer(options)
    labelled_first = jnp.argsort(targets.classes < 0, stable=True)
    num_labelled = jnp.sum(targets.classes >= 0)

    def step(carry, xs):  # type: ignore[no-untyped-def]
        batch, step_key = xs
        draw_key, view_key = jax.random.split(step_key)
        places = jax.random.randint(
            draw_key, (options.labelled_batch,), 0, jnp.maximum(num_labelled, 1)
        )
        chosen = jnp.concatenate([batch, labelled_first[places]])
        inputs = split(view_batch(views.weak, view_key, data[chosen]), mesh)

        def loss(variables: Variables) -> tuple[dict[str, jax.Array], Variables]:
            outputs, moved = model.apply(variables, inputs, True)
            return _terms(outputs, chosen, batch.shape[0], targets, options), moved

        *carry, terms = descend(loss, optimizer, *carry)
        return tuple(carry), terms

    keys = jax.random.split(key, batches.shape[0])
    carry, terms = jax.lax.scan(step, (variables, opt_state), (batches, keys))
    return *carry, jax.tree.map(jnp.mean, terms)


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
