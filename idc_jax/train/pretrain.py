"""Pre-training: from images alone to the deep clustering model that IDC starts from.

Instance-level and cluster-level contrast (Li et al., "Contrastive Clustering", 2021), with two
options that pay on data whose pixels or features already say who is near whom: a positive may be
one of a sample's nearest neighbours, and the assignments of a pair may be pulled together (Van
Gansbeke et al., "SCAN", 2020).

An epoch is one compiled scan over data that is on the device; nothing waits for the host inside.
Every epoch's randomness is ``fold_in(key, epoch)``, so a resumed run equals one that was never
interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from idc_jax.data.views import Views, view_batch
from idc_jax.errors import UserError
from idc_jax.losses.contrastive import ContrastiveTerms, contrastive_terms
from idc_jax.methods.base import Log
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.ops.neighbors import knn
from idc_jax.train.loop import epoch_indices, run_network, steps_per_epoch

# A cluster below this part of its even share counts as dead, as the collapse watch has it.
LIVE_SHARE = 0.01


class PretrainOptions(NamedTuple):
    """How to pre-train.

    Attributes:
      epochs: passes over the data.
      batch_size: samples per step, each in two views; capped at the data's size.
      learning_rate: AdamW's highest, after a linear warm-up; falls to 0 along a cosine.
      weight_decay: AdamW's, decoupled.
      warmup: share of all steps over which the learning rate rises.
      instance_weight: weight of the instance-level contrast.
      cluster_weight: weight of the cluster-level contrast.
      entropy_weight: weight of the term that keeps the clusters even.
      agreement_weight: weight of the assignments' agreement within a pair (SCAN's).
      cluster_start: share of the epochs before the cluster head's three terms set in.
      instance_temperature: of the instance-level contrast.
      cluster_temperature: of the cluster-level contrast.
      neighbors: a positive may come from this many nearest neighbours; 0 for views of the
        sample itself only.
      neighbor_start: share of the epochs after which neighbours are taken, by the embedding at
        that moment and again every ``neighbor_every`` epochs. 0 takes the input's own
        neighbours from the first step on.
      neighbor_every: epochs between two searches.
      neighbor_share: how often the positive is a neighbour, where neighbours are taken.
    """

    epochs: int = 200
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.05
    instance_weight: float = 1.0
    cluster_weight: float = 1.0
    entropy_weight: float = 1.0
    agreement_weight: float = 0.0
    cluster_start: float = 0.0
    instance_temperature: float = 0.5
    cluster_temperature: float = 1.0
    neighbors: int = 0
    neighbor_start: float = 0.5
    neighbor_every: int = 10
    neighbor_share: float = 0.5


class PretrainState(NamedTuple):
    """What a checkpoint of the pre-training holds.

    Attributes:
      variables: the network's.
      opt_state: the optimiser's.
      epoch: int32 scalar, epochs done.
      neighbors: int32 ``[n, k]``, who may stand in as a sample's positive; the sample itself
        where none may yet.
    """

    variables: Variables
    opt_state: optax.OptState
    epoch: jax.Array
    neighbors: jax.Array


class Pretraining(NamedTuple):
    """The pieces, for whoever drives the epochs himself.

    Attributes:
      init: ``(key, data [n, ...]) -> state``.
      run_epoch: ``(key, state, data, indices [steps, b]) -> (state, info)``, compiled, with the
        old state's buffers given up. ``key`` is the run's, not the epoch's; ``info`` holds scalars
        that are still on the device.
      refresh: ``(state, data) -> state`` with the neighbours of the present embedding.
    """

    init: Callable[[jax.Array, jax.Array], PretrainState]
    run_epoch: Callable[..., tuple[PretrainState, dict[str, jax.Array]]]
    refresh: Callable[[PretrainState, jax.Array], PretrainState]


def build(model: Model, views: Views, options: PretrainOptions, num_samples: int) -> Pretraining:
    """Compose the pre-training of ``model`` on ``num_samples`` samples.

    Raises:
      UserError: options that cannot be trained with.
    """
    check_options(options, num_samples)

    def init(key: jax.Array, data: jax.Array) -> PretrainState:
        state = _init(model, views, options, key, data)
        if options.neighbors and options.neighbor_start == 0:
            values = jax.lax.map(lambda raw: views.val(jax.random.key(0), raw), data)
            return state._replace(neighbors=_search(values, options))
        return state

    def refresh(state: PretrainState, data: jax.Array) -> PretrainState:
        found = run_network(model, state.variables, views.val, data)
        return state._replace(neighbors=_search(found.embedding, options))

    return Pretraining(init, partial(_run_epoch, model, views, options), refresh)


def pretrain(
    key: jax.Array,
    model: Model,
    views: Views,
    data: jax.Array,
    options: PretrainOptions,
    *,
    log: Log,
    start: PretrainState | None = None,
    on_epoch: Callable[[PretrainState, int], None] | None = None,
    progress: bool = True,
) -> PretrainState:
    """Pre-train ``model`` on ``data``.

    Args:
      key: fixes everything: initialisation, batches, views.
      model: the network; its cluster head has as many outputs as clusters are wanted.
      views: ``weak`` trains, ``val`` embeds for the neighbour search.
      data: raw samples ``[n, ...]``, uint8 images or float32 features, resident on the device.
      options: how.
      log: called after each epoch with the losses, ``live_clusters`` (those with a fair share of
        at least 1 %) and ``assignment_entropy`` (1 where the clusters are even).
      start: a state to go on from, one that ``on_epoch`` was given in a run with the same
        arguments; the result then equals that of an uninterrupted run.
      on_epoch: called with the state and the number of epochs done. The state's buffers are given
        up afterwards: copy what has to outlive the call.
      progress: show a bar.

    Returns:
      The last state; ``state.variables`` is the pre-trained network.
    """
    num_samples = data.shape[0]
    pieces = build(model, views, options, num_samples)
    init_key, epoch_key = jax.random.split(key)
    state = pieces.init(init_key, data) if start is None else start
    pending: dict[str, jax.Array] = {}
    first = int(state.epoch)
    bar = tqdm(
        range(first, options.epochs),
        desc="pre-training",
        unit="epoch",
        initial=first,
        total=options.epochs,
        disable=not progress,
    )
    for epoch in bar:
        if searches_neighbors(options, epoch):
            state = pieces.refresh(state, data)
        order = jax.random.fold_in(epoch_key, 2 * epoch)
        indices = epoch_indices(order, num_samples, options.batch_size)
        state, info = pieces.run_epoch(
            jax.random.fold_in(epoch_key, 2 * epoch + 1), state, data, indices
        )
        # One epoch late: the device is at work on the next while the host reads.
        _report(log, bar, pending)
        pending = {"epoch": jnp.int32(epoch + 1), "epochs": jnp.int32(options.epochs), **info}
        if on_epoch is not None:
            on_epoch(state, epoch + 1)
    _report(log, bar, pending)
    return state


def searches_neighbors(options: PretrainOptions, epoch: int) -> bool:
    """Whether neighbours are looked for before ``epoch`` (from 0)."""
    if not options.neighbors:
        return False
    since = epoch - round(options.neighbor_start * options.epochs)
    if options.neighbor_start == 0 and since == 0:
        return False
    return since >= 0 and since % options.neighbor_every == 0


def make_optimizer(options: PretrainOptions, num_samples: int) -> optax.GradientTransformation:
    """AdamW with a linear warm-up and a cosine to zero over the whole run."""
    steps = steps_per_epoch(num_samples, options.batch_size) * options.epochs
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, options.learning_rate, max(1, round(options.warmup * steps)), max(2, steps)
    )
    return optax.adamw(schedule, weight_decay=options.weight_decay)


def check_options(options: PretrainOptions, num_samples: int) -> None:
    """Refuse options that cannot be trained with.

    Raises:
      UserError: naming the option, what it is and what would do.
    """
    if num_samples < 2:
        raise UserError(f"pre-training needs at least 2 samples; there are {num_samples}")
    for name in ("epochs", "batch_size", "neighbor_every"):
        if getattr(options, name) < 1:
            raise UserError(f"pretrain.{name} is {getattr(options, name)}; 1 or more would do")
    for name in ("learning_rate", "instance_temperature", "cluster_temperature"):
        if not getattr(options, name) > 0:
            raise UserError(f"pretrain.{name} is {getattr(options, name)}; it has to be above 0")


@partial(jax.jit, static_argnames=("model", "views", "options"))
def _init(
    model: Model, views: Views, options: PretrainOptions, key: jax.Array, data: jax.Array
) -> PretrainState:
    sample = view_batch(views.weak, jax.random.key(0), data[:2])
    variables = model.init(key, sample)
    opt_state = make_optimizer(options, data.shape[0]).init(variables["params"])
    alone = _only_self(data.shape[0], options)
    return PretrainState(variables, opt_state, jnp.int32(0), alone)


# Compiled once per (network, views, options), however many runs share them.
@partial(jax.jit, static_argnames=("model", "views", "options"), donate_argnames=("state",))
def _run_epoch(
    model: Model,
    views: Views,
    options: PretrainOptions,
    key: jax.Array,
    state: PretrainState,
    data: jax.Array,
    indices: jax.Array,
) -> tuple[PretrainState, dict[str, jax.Array]]:
    optimizer = make_optimizer(options, data.shape[0])
    clusters_on = (state.epoch >= round(options.cluster_start * options.epochs)).astype(jnp.float32)

    def step(carry, xs):  # type: ignore[no-untyped-def]
        variables, opt_state = carry
        chosen, step_key = xs
        partner_key, first_key, second_key = jax.random.split(step_key, 3)
        partners = _partners(partner_key, chosen, state.neighbors, options.neighbor_share)
        first = view_batch(views.weak, first_key, data[chosen])
        second = view_batch(views.weak, second_key, data[partners])
        ids = jnp.concatenate([chosen, partners])

        def loss(params):  # type: ignore[no-untyped-def]
            outputs, moved = model.apply(
                {**variables, "params": params}, jnp.concatenate([first, second]), True
            )
            terms = _terms(outputs, ids, options)
            return _total(terms, options, clusters_on), (terms, outputs.logits, moved)

        (total, (terms, logits, moved)), grads = jax.value_and_grad(loss, has_aux=True)(
            variables["params"]
        )
        updates, opt_state = optimizer.update(grads, opt_state, variables["params"])
        params = optax.apply_updates(variables["params"], updates)
        info = {"loss": total, **terms._asdict()}
        return ({**moved, "params": params}, opt_state), (info, _histogram(logits))

    keys = jax.random.split(key, indices.shape[0])
    carry, (infos, counts) = jax.lax.scan(step, (state.variables, state.opt_state), (indices, keys))
    info = {**jax.tree.map(jnp.mean, infos), **_liveness(jnp.sum(counts, axis=0))}
    return PretrainState(*carry, state.epoch + 1, state.neighbors), info


def _terms(outputs: Outputs, ids: jax.Array, options: PretrainOptions) -> ContrastiveTerms:
    half = ids.shape[0] // 2
    return contrastive_terms(
        (outputs.instance[:half], outputs.instance[half:]),
        (outputs.logits[:half], outputs.logits[half:]),
        jnp.ones(half, bool),
        instance_temperature=options.instance_temperature,
        cluster_temperature=options.cluster_temperature,
        ids=ids,
    )


def _total(terms: ContrastiveTerms, options: PretrainOptions, clusters_on: jax.Array) -> jax.Array:
    clusters = (
        options.cluster_weight * terms.cluster
        + options.entropy_weight * terms.entropy
        + options.agreement_weight * terms.agreement
    )
    return options.instance_weight * terms.instance + clusters_on * clusters


def _partners(key: jax.Array, chosen: jax.Array, neighbors: jax.Array, share: float) -> jax.Array:
    which_key, take_key = jax.random.split(key)
    column = jax.random.randint(which_key, chosen.shape, 0, neighbors.shape[1])
    take = jax.random.bernoulli(take_key, share, chosen.shape)
    return jnp.where(take, neighbors[chosen, column], chosen)


def _only_self(num_samples: int, options: PretrainOptions) -> jax.Array:
    width = max(1, min(options.neighbors, num_samples - 1))
    return jnp.tile(jnp.arange(num_samples, dtype=jnp.int32)[:, None], (1, width))


def _search(values: jax.Array, options: PretrainOptions) -> jax.Array:
    flat = values.reshape(values.shape[0], -1)
    return knn(flat, options.neighbors, metric="cosine").indices.astype(jnp.int32)


def _histogram(logits: jax.Array) -> jax.Array:
    return jnp.sum(jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1]), axis=0)


def _liveness(counts: jax.Array) -> dict[str, jax.Array]:
    share = counts / jnp.sum(counts)
    num_clusters = counts.shape[0]
    entropy = -jnp.sum(share * jnp.log(jnp.maximum(share, 1e-12)))
    return {
        "live_clusters": jnp.sum(share >= LIVE_SHARE / num_clusters),
        "assignment_entropy": entropy / np.log(max(num_clusters, 2)),
    }


def _report(log: Log, bar: tqdm, info: dict[str, jax.Array]) -> None:
    if not info:
        return
    values = {name: np.asarray(value).item() for name, value in info.items()}
    log({f"pretrain/{name}": value for name, value in values.items()})
    bar.set_postfix(loss=f"{values['loss']:.3f}", live=values["live_clusters"], refresh=False)
