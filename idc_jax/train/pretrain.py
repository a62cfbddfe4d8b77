"""Pre-training: from images alone to the deep clustering model that IDC starts from.

Instance-level and cluster-level contrast (Li et al., "Contrastive Clustering", 2021), with two
options that pay on data whose pixels or features already say which samples are near each other: a
positive may be one of a sample's nearest neighbours, and the assignments of a pair may be pulled
together (Van Gansbeke et al., "SCAN", 2020).

An epoch is one compiled scan over data that is on the device, and a few where the data are
streamed; nothing waits for the host inside. Every epoch's randomness is ``fold_in(key, epoch)``,
so a resumed run equals one that was never interrupted. On a mesh of devices each step's batch is
split over them, and all else about the result stays; see :mod:`idc_jax.train.parallel`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from idc_jax.data.residency import Samples, Streamed, some
from idc_jax.data.views import View, Views, view_batch
from idc_jax.errors import UserError
from idc_jax.losses.contrastive import ContrastiveTerms, contrastive_terms
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.ops import sharded
from idc_jax.ops.arrays import normalize
from idc_jax.ops.blocks import map_rows
from idc_jax.ops.neighbors import knn
from idc_jax.train.engine import (
    Learner,
    Metrics,
    Program,
    begin,
    descend,
    drive,
    means,
    run_steps,
)
from idc_jax.train.log import Log
from idc_jax.train.loop import epoch_indices, epoch_key, run_network, steps_per_epoch
from idc_jax.train.parallel import mesh_of, replicate, split
from idc_jax.train.pretrain_options import PretrainOptions, check_options, searches_neighbors

__all__ = [
    "PretrainOptions",
    "PretrainState",
    "Pretraining",
    "build",
    "check_options",
    "pretrain",
    "searches_neighbors",
    "summary",
]

# A cluster below this part of its even share counts as dead, as the collapse watch has it.
LIVE_SHARE = 0.01
# Samples that are prepared for the network at a time.
_BLOCK = 512


class PretrainState(NamedTuple):
    """What a checkpoint of the pre-training holds.

    Attributes:
      variables: the network's.
      opt_state: the optimiser's.
      epoch: int32 scalar, epochs done.
      neighbors: int32 ``[n, k]``, those that may stand in as a sample's positive; the sample itself
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
      run_epoch: ``(key, state, data, indices [steps, b]) -> (state, metrics)``, with the buffers of
        the old state's network and optimiser given up. ``key`` is the epoch's; the metrics are
        still on the device, and :func:`summary` reads them.
      refresh: ``(state, data) -> state`` with the neighbours of the present embedding.
    """

    init: Callable[[jax.Array, Samples], PretrainState]
    run_epoch: Callable[..., tuple[PretrainState, list[Metrics]]]
    refresh: Callable[[PretrainState, Samples], PretrainState]


def build(model: Model, views: Views, options: PretrainOptions, num_samples: int) -> Pretraining:
    """Compose the pre-training of ``model`` on ``num_samples`` samples.

    Raises:
      UserError: options that cannot be trained with.
    """
    check_options(options, num_samples)
    program = Program(model, views, _Setup(options, num_samples), _optimizer, None)

    def init(key: jax.Array, data: Samples) -> PretrainState:
        state = _init(program, key, some(data, 2))
        if options.neighbors and options.neighbor_start == 0:
            return state._replace(neighbors=_search(_seen(views, data), num_samples, options))
        return state

    def refresh(state: PretrainState, data: Samples) -> PretrainState:
        found = run_network(model, state.variables, views.val, data, only=("embedding",))
        return state._replace(neighbors=_search(found.embedding, num_samples, options))

    return Pretraining(init, partial(_run_epoch, program), refresh)


def _seen(views: Views, data: Samples) -> jax.Array:
    """What the network is shown of each sample."""
    if isinstance(data, Streamed):
        raise UserError(
            "pretrain.neighbor_start is 0, which compares the samples themselves, and they do not "
            "fit on the device; raise it above 0, or raise data.device_gigabytes"
        )
    with sharded.like(data):
        return _shown(views.val, data)


@partial(jax.jit, static_argnames=("view",))
def _shown(view: View, data: jax.Array) -> jax.Array:
    return map_rows(lambda raw: view_batch(view, jax.random.key(0), raw), (data,), _BLOCK)


def pretrain(
    key: jax.Array,
    model: Model,
    views: Views,
    data: Samples,
    options: PretrainOptions,
    *,
    log: Log,
    num_samples: int = 0,
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
        device of a mesh, spread over them, or streamed.
      options: how.
      log: called after each epoch with the losses, ``live_clusters`` (those with a fair share of
        at least 1 %) and ``assignment_entropy`` (1 where the clusters are even).
      num_samples: train on the first so many; 0 for all.
      start: a state to go on from, one that ``on_epoch`` was given in a run with the same
        arguments; the result then equals that of an uninterrupted run.
      on_epoch: called with the state and the number of epochs done. The state's buffers are given
        up afterwards: copy what has to outlive the call.
      progress: show a bar.

    Returns:
      The last state; ``state.variables`` is the pre-trained network.
    """
    num_samples = num_samples or data.shape[0]
    pieces = build(model, views, options, num_samples)
    init_key, run_key = jax.random.split(key)
    state = pieces.init(init_key, data) if start is None else start
    first = int(state.epoch)

    def advance(span: range, state: PretrainState) -> tuple[PretrainState, list[Metrics]]:
        epoch = span.start
        if searches_neighbors(options, epoch):
            state = pieces.refresh(state, data)
        order = epoch_key(run_key, 2 * epoch)
        indices = epoch_indices(order, num_samples, options.batch_size)
        return pieces.run_epoch(epoch_key(run_key, 2 * epoch + 1), state, data, indices)

    def tell(span: range, found: list[Metrics]) -> dict[str, float]:
        values = {"epoch": span.stop, "epochs": options.epochs, **summary(found)}
        log({f"pretrain/{name}": value for name, value in values.items()})
        return values

    bar = tqdm(
        desc="pre-training",
        unit="epoch",
        initial=first,
        total=options.epochs,
        disable=not progress,
    )
    spans = (range(epoch, epoch + 1) for epoch in range(first, options.epochs))
    return drive(state, spans, advance, tell, bar=bar, after=on_epoch)[0]


def summary(found: list[Metrics]) -> dict[str, float]:
    """An epoch's mean losses and how its clusters live; waits for the device."""
    steps = sum(part["loss"].shape[0] for part in found)
    values = means(found, steps)
    share = values.pop("counts") / values.pop("rows")
    entropy = -np.sum(share * np.log(np.maximum(share, 1e-12)))
    return {
        **{name: float(value) for name, value in values.items()},
        "live_clusters": int(np.sum(share >= LIVE_SHARE / len(share))),
        "assignment_entropy": float(entropy / np.log(max(len(share), 2))),
    }


class _Setup(NamedTuple):
    """What an epoch is compiled for."""

    options: PretrainOptions
    num_samples: int


def _optimizer(setup: _Setup) -> optax.GradientTransformation:
    """AdamW with a linear warm-up and a cosine to zero over the whole run."""
    options = setup.options
    steps = steps_per_epoch(setup.num_samples, options.batch_size) * options.epochs
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, options.learning_rate, max(1, round(options.warmup * steps)), max(2, steps)
    )
    return optax.adamw(schedule, weight_decay=options.weight_decay)


@partial(jax.jit, static_argnames=("program",))
def _init(program: Program, key: jax.Array, raw: jax.Array) -> PretrainState:
    shown = view_batch(program.views.weak, jax.random.key(0), raw)
    learner = begin(program, program.model.init(key, shown))
    alone = _only_self(program.options)
    return PretrainState(learner.variables, learner.opt_state, jnp.int32(0), alone)


def _run_epoch(
    program: Program,
    key: jax.Array,
    state: PretrainState,
    data: Samples,
    indices: jax.Array,
) -> tuple[PretrainState, list[Metrics]]:
    program = program._replace(mesh=mesh_of(data))
    options = program.options.options
    state = replicate(state, program.mesh)
    ids, keys = _pair_up(key, state.neighbors, indices, options.neighbor_share)
    learner, found = run_steps(
        _step,
        program,
        Learner(state.variables, state.opt_state),
        data,
        ids,
        (ids, keys),
        state.epoch,
    )
    state = state._replace(
        variables=learner.variables, opt_state=learner.opt_state, epoch=_next(state.epoch)
    )
    return state, found


@jax.jit
def _next(epoch: jax.Array) -> jax.Array:
    return epoch + 1


@partial(jax.jit, static_argnames=("share",))
def _pair_up(
    key: jax.Array, neighbors: jax.Array, indices: jax.Array, share: float
) -> tuple[jax.Array, jax.Array]:
    """What each step shows ``[steps, 2b]``, samples and then partners, and its key ``[steps]``."""
    keys = jax.random.split(key, indices.shape[0])
    partner_keys = jax.vmap(lambda k: jax.random.split(k, 3)[0])(keys)
    partners = jax.vmap(_partners, (0, 0, None, None))(partner_keys, indices, neighbors, share)
    return jnp.concatenate([indices, partners], axis=1), keys


def _step(
    program: Program, learner: Learner, raw: jax.Array, told: Any, epoch: jax.Array
) -> tuple[Learner, Metrics]:
    ids, step_key = told
    options = program.options.options
    clusters_on = (epoch >= round(options.cluster_start * options.epochs)).astype(jnp.float32)
    shown = _two_views(program, step_key, raw)

    def loss(variables: Variables) -> tuple[jax.Array, Metrics, Variables]:
        outputs, moved = program.model.apply(variables, shown, True)
        terms = _terms(outputs, ids, options)
        counts = {"counts": _histogram(outputs.logits), "rows": jnp.float32(len(ids))}
        return _total(terms, options, clusters_on), {**terms._asdict(), **counts}, moved

    return descend(program, learner, loss)


def _two_views(program: Program, key: jax.Array, raw: jax.Array) -> jax.Array:
    """A view of each row, the first half and the second with a key of their own."""
    _, *keys = jax.random.split(key, 3)
    shown = [
        split(view_batch(program.views.weak, k, half), program.mesh)
        for k, half in zip(keys, jnp.split(raw, 2), strict=True)
    ]
    return split(jnp.concatenate(shown), program.mesh)


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


def _only_self(setup: _Setup) -> jax.Array:
    width = max(1, min(setup.options.neighbors, setup.num_samples - 1))
    return jnp.tile(jnp.arange(setup.num_samples, dtype=jnp.int32)[:, None], (1, width))


def _search(values: jax.Array, num_samples: int, options: PretrainOptions) -> jax.Array:
    flat = values.reshape(values.shape[0], -1)
    # By the cosine, whose value nobody asks for.
    found = sharded.first(knn(normalize(flat), options.neighbors).indices, num_samples)
    # A sample that is there again is the same.
    return found if len(values) == num_samples else found % num_samples


def _histogram(logits: jax.Array) -> jax.Array:
    return jnp.sum(jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1]), axis=0)
