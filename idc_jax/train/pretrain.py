"""Pre-training: from images alone to the deep clustering model that IDC starts from.

Instance-level and cluster-level contrast (Li et al., "Contrastive Clustering", 2021), with two
options that pay on data whose pixels or features already say who is near whom: a positive may be
one of a sample's nearest neighbours, and the assignments of a pair may be pulled together (Van
Gansbeke et al., "SCAN", 2020).

An epoch is one compiled scan over data that is on the device, and a few where the data are
streamed; nothing waits for the host inside. Every epoch's randomness is ``fold_in(key, epoch)``,
so a resumed run equals one that was never interrupted. On a mesh of devices each step's batch is
split over them, and all else about the result stays; see :mod:`idc_jax.train.parallel`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from tqdm import tqdm

from idc_jax.data.residency import Samples, Streamed, chunks
from idc_jax.data.views import Views, view_batch
from idc_jax.errors import UserError
from idc_jax.losses.contrastive import ContrastiveTerms, contrastive_terms
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.ops.neighbors import knn
from idc_jax.train.log import Log
from idc_jax.train.loop import epoch_indices, run_network, steps_per_epoch
from idc_jax.train.parallel import mesh_of, replicate, split
from idc_jax.train.pretrain_options import PretrainOptions, check_options, searches_neighbors

__all__ = [
    "PretrainOptions",
    "PretrainState",
    "Pretraining",
    "build",
    "check_options",
    "make_optimizer",
    "pretrain",
    "searches_neighbors",
]

# A cluster below this part of its even share counts as dead, as the collapse watch has it.
LIVE_SHARE = 0.01


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


_Carry = tuple[Variables, optax.OptState]
# The losses by name and the clusters' counts [c], summed over steps.
_Sums = tuple[dict[str, jax.Array], jax.Array]


class Pretraining(NamedTuple):
    """The pieces, for whoever drives the epochs himself.

    Attributes:
      init: ``(key, data [n, ...]) -> state``.
      run_epoch: ``(key, state, data, indices [steps, b]) -> (state, info)``, with the buffers of
        the old state's network and optimiser given up. ``key`` is the run's, not the epoch's;
        ``info`` holds scalars that are still on the device.
      refresh: ``(state, data) -> state`` with the neighbours of the present embedding.
    """

    init: Callable[[jax.Array, Samples], PretrainState]
    run_epoch: Callable[..., tuple[PretrainState, dict[str, jax.Array]]]
    refresh: Callable[[PretrainState, Samples], PretrainState]


def build(model: Model, views: Views, options: PretrainOptions, num_samples: int) -> Pretraining:
    """Compose the pre-training of ``model`` on ``num_samples`` samples.

    Raises:
      UserError: options that cannot be trained with.
    """
    check_options(options, num_samples)

    def init(key: jax.Array, data: Samples) -> PretrainState:
        state = _init(model, views, options, num_samples, key, data[:2])
        if options.neighbors and options.neighbor_start == 0:
            return state._replace(neighbors=_search(_seen(views, data), options))
        return state

    def refresh(state: PretrainState, data: Samples) -> PretrainState:
        found = run_network(model, state.variables, views.val, data)
        return state._replace(neighbors=_search(found.embedding, options))

    return Pretraining(init, partial(_run_epoch, model, views, options), refresh)


def _seen(views: Views, data: Samples) -> jax.Array:
    """What the network is shown of each sample."""
    if isinstance(data, Streamed):
        raise UserError(
            "pretrain.neighbor_start is 0, which compares the samples themselves, and they do not "
            "fit on the device; raise it above 0, or raise data.device_gigabytes"
        )
    return jax.lax.map(lambda raw: views.val(jax.random.key(0), raw), data)


def pretrain(
    key: jax.Array,
    model: Model,
    views: Views,
    data: Samples,
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
      data: raw samples ``[n, ...]``, uint8 images or float32 features, on a device, on each
        device of a mesh, or streamed.
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


def make_optimizer(options: PretrainOptions, num_samples: int) -> optax.GradientTransformation:
    """AdamW with a linear warm-up and a cosine to zero over the whole run."""
    steps = steps_per_epoch(num_samples, options.batch_size) * options.epochs
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, options.learning_rate, max(1, round(options.warmup * steps)), max(2, steps)
    )
    return optax.adamw(schedule, weight_decay=options.weight_decay)


@partial(jax.jit, static_argnames=("model", "views", "options", "num_samples"))
def _init(
    model: Model,
    views: Views,
    options: PretrainOptions,
    num_samples: int,
    key: jax.Array,
    raw: jax.Array,
) -> PretrainState:
    variables = model.init(key, view_batch(views.weak, jax.random.key(0), raw))
    opt_state = make_optimizer(options, num_samples).init(variables["params"])
    alone = _only_self(num_samples, options)
    return PretrainState(variables, opt_state, jnp.int32(0), alone)


def _run_epoch(
    model: Model,
    views: Views,
    options: PretrainOptions,
    key: jax.Array,
    state: PretrainState,
    data: Samples,
    indices: jax.Array,
) -> tuple[PretrainState, dict[str, jax.Array]]:
    mesh = mesh_of(data)
    state = replicate(state, mesh)
    ids, keys = _pair_up(key, state.neighbors, indices, options.neighbor_share)
    carry = (state.variables, state.opt_state)
    sums = []
    for chunk in chunks(data, ids):
        carry, part = _run_steps(
            carry,
            state.epoch,
            chunk.array,
            (chunk.indices, ids[chunk.steps], keys[chunk.steps]),
            model=model,
            views=views,
            options=options,
            num_samples=data.shape[0],
            mesh=mesh,
        )
        sums.append(part)
    info = _summary(tuple(sums), indices.shape[0])
    return PretrainState(*carry, state.epoch + 1, state.neighbors), info


@jax.jit
def _pair_up(
    key: jax.Array, neighbors: jax.Array, indices: jax.Array, share: float
) -> tuple[jax.Array, jax.Array]:
    """What each step shows ``[steps, 2b]``, samples and then partners, and its key ``[steps]``."""
    keys = jax.random.split(key, indices.shape[0])
    partner_keys = jax.vmap(lambda k: jax.random.split(k, 3)[0])(keys)
    partners = jax.vmap(_partners, (0, 0, None, None))(partner_keys, indices, neighbors, share)
    return jnp.concatenate([indices, partners], axis=1), keys


# Compiled once per (network, views, options), however many runs share them.
@partial(
    jax.jit,
    static_argnames=("model", "views", "options", "num_samples", "mesh"),
    donate_argnames=("carry",),
)
def _run_steps(
    carry: _Carry,
    epoch: jax.Array,
    array: jax.Array,
    plan: tuple[jax.Array, jax.Array, jax.Array],
    *,
    model: Model,
    views: Views,
    options: PretrainOptions,
    num_samples: int,
    mesh: Mesh | None,
) -> tuple[_Carry, _Sums]:
    optimizer = make_optimizer(options, num_samples)
    clusters_on = (epoch >= round(options.cluster_start * options.epochs)).astype(jnp.float32)

    def step(carry: _Carry, xs: tuple) -> tuple[_Carry, _Sums]:
        variables, opt_state = carry
        rows, ids, step_key = xs
        shown = _two_views(views, step_key, array, rows, mesh)

        def loss(params):  # type: ignore[no-untyped-def]
            outputs, moved = model.apply({**variables, "params": params}, shown, True)
            terms = _terms(outputs, ids, options)
            return _total(terms, options, clusters_on), (terms, outputs.logits, moved)

        (total, (terms, logits, moved)), grads = jax.value_and_grad(loss, has_aux=True)(
            variables["params"]
        )
        updates, opt_state = optimizer.update(grads, opt_state, variables["params"])
        params = optax.apply_updates(variables["params"], updates)
        info = {"loss": total, **terms._asdict()}
        return ({**moved, "params": params}, opt_state), (info, _histogram(logits))

    carry, sums = jax.lax.scan(step, carry, plan)
    return carry, jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), sums)


def _two_views(
    views: Views, key: jax.Array, array: jax.Array, rows: jax.Array, mesh: Mesh | None
) -> jax.Array:
    """A view of each of ``rows``, its first half and its second with a key of their own."""
    _, *keys = jax.random.split(key, 3)
    halves = jnp.split(rows, 2)
    shown = [
        split(view_batch(views.weak, k, array[half]), mesh)
        for k, half in zip(keys, halves, strict=True)
    ]
    return split(jnp.concatenate(shown), mesh)


@partial(jax.jit, static_argnames="steps")
def _summary(sums: tuple[_Sums, ...], steps: int) -> dict[str, jax.Array]:
    infos, counts = jax.tree.map(lambda *parts: sum(parts), *sums)
    return {**{name: value / steps for name, value in infos.items()}, **_liveness(counts)}


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
