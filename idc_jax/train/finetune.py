"""IDC's fine-tuning: learn from the answers without forgetting what was clear already.

L = L_pos + L_neg + L_reg of "Interactive Deep Clustering via Value Mining". Each term has its own
forward pass in training mode, so that BatchNorm sees the term's own samples, as in the published
code. Subsets change size at every step; they are padded by repeating their own members, which
leaves a BatchNorm that sees the padding with the subset's statistics.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from tqdm import tqdm

from idc_jax import losses
from idc_jax.data.residency import Samples, chunks, steps_per_chunk
from idc_jax.data.views import Views, view_batch
from idc_jax.models.base import Model, Variables
from idc_jax.train.finetune_options import FinetuneOptions, check_options, schedule
from idc_jax.train.log import Log
from idc_jax.train.loop import epoch_indices
from idc_jax.train.parallel import mesh_of, replicate, split

__all__ = ["UNASKED", "Evidence", "FinetuneOptions", "check_options", "finetune", "schedule"]

# Values of `Evidence.choice` beside a cluster id, NONE_OF_THESE and SKIP.
UNASKED = -3

# Steps of one compiled call: the progress bar moves this often.
_CHUNK = 50
_UNLABELLED_RATIO = 5


class Evidence(NamedTuple):
    """What the answers say, per sample.

    Attributes:
      choice: int32 ``[n]``: a cluster id, ``NONE_OF_THESE``, ``SKIP`` or ``UNASKED``.
      rejected: bool ``[n, c]``, the candidates of a "none of these".
      targets: float32 ``[n, c]``, soft pseudo-labels for ``pseudo_labels="graph"``, a row's sum
        being its weight; ``[0, c]`` otherwise.
    """

    choice: jax.Array
    rejected: jax.Array
    targets: jax.Array


class Supervision(NamedTuple):
    """Shim."""

    labels: jax.Array
    rejected: jax.Array
    asked: jax.Array
    targets: jax.Array


class _Carry(NamedTuple):
    variables: Variables
    opt_state: optax.OptState
    store: jax.Array


class _Program(NamedTuple):
    """What a step is compiled for."""

    model: Model
    views: Views
    options: FinetuneOptions
    mesh: Mesh | None


class _Shown(NamedTuple):
    """Some samples of a step ``[b]``: their indices in the data and in the array at hand."""

    samples: jax.Array
    rows: jax.Array


# The samples of some steps, whether each regularises, and each one's key.
_Plan = tuple[_Shown, jax.Array, jax.Array]


class _Subset(NamedTuple):
    """Some samples of a step, padded to the step's length by repeating them.

    Attributes:
      samples: their indices in the data ``[b]``.
      rows: and in the array at hand ``[b]``.
      picked: which of the step's samples they are ``[b]``.
      valid: bool ``[b]``, False for padding.
    """

    samples: jax.Array
    rows: jax.Array
    picked: jax.Array
    valid: jax.Array


def make_optimizer(options: FinetuneOptions) -> optax.GradientTransformation:
    """Adam with coupled L2, leaving alone the instance head, which no loss here touches."""
    adam = optax.chain(
        optax.add_decayed_weights(options.weight_decay), optax.adam(options.learning_rate)
    )
    return optax.multi_transform(
        {"train": adam, "keep": optax.set_to_zero()},
        lambda params: {name: _kept(name) for name in params},
    )


def _kept(name: str) -> str:
    return "keep" if name == "instance_head" else "train"


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
    """Fine-tune ``variables`` on the answers.

    Args:
      key: fixes batches, views and sampled negatives.
      model: the network.
      views: ``strong`` trains, ``val`` makes pseudo-labels.
      data: raw samples ``[n, ...]``, on a device, on each device of a mesh, or streamed.
      variables: the network so far; it is left as it is.
      evidence: the answers.
      store: int32 ``[n]``, pseudo-labels of ``pseudo_labels="store"``.
      options: how.
      log: called with the mean losses of fifty steps at most.
      progress: show a bar.

    Returns:
      The new variables, the new store, and the losses of the last steps.
    """
    refused = supervision.rejected.any(axis=1) & (supervision.labels < 0)
    said = jnp.where(refused, -1, jnp.where(supervision.asked, -2, UNASKED))
    choice = jnp.where(supervision.labels >= 0, supervision.labels, said)
    evidence = Evidence(choice, supervision.rejected, supervision.targets)
    answered = np.flatnonzero(np.asarray(evidence.choice) >= -1)
    if not answered.size:
        return variables, store, {}
    steps, batch = schedule(len(answered), options)
    plan_key, run_key = jax.random.split(key)
    samples = _plan(plan_key, answered, data.shape[0], steps, batch)
    keys = _step_keys(run_key, steps)
    regularise = jnp.arange(steps) >= options.regularise_from * steps
    program = _Program(model, views, options, mesh_of(data))
    carry = _start(program, variables, store)
    with tqdm(total=steps, desc="fine-tuning", unit="step", disable=not progress) as bar:
        pending, info = None, {}
        for chunk in chunks(data, samples, _CHUNK):
            part = chunk.steps
            shown = _Shown(samples[part], chunk.indices)
            plan = _padded((shown, regularise[part], keys[part]))
            count = jnp.int32(chunk.indices.shape[0])
            carry, means = _run(
                carry, chunk.array, evidence, plan, count, program=program, batch=batch
            )
            # One call late: the device is at work on the next while the host reads.
            info = _report(log, bar, steps, pending)
            pending = (part.stop, means)
        info = _report(log, bar, steps, pending)
    return carry.variables, carry.store, info


def _start(program: _Program, variables: Variables, store: jax.Array) -> _Carry:
    """The first carry: copies, since every run of steps gives up the buffers it began with."""
    variables, store = _copied((variables, store))
    opt_state = make_optimizer(program.options).init(variables["params"])
    return replicate(_Carry(variables, opt_state, store), program.mesh)


@jax.jit
def _copied(tree: tuple[Variables, jax.Array]) -> tuple[Variables, jax.Array]:
    return jax.tree.map(jnp.copy, tree)


def _report(
    log: Log, bar: tqdm, steps: int, pending: tuple[int, dict[str, jax.Array]] | None
) -> dict[str, float]:
    if pending is None:
        return {}
    step, means = pending
    info = {name: float(value) for name, value in means.items()}
    log({"phase": "finetune", "step": step, "steps": steps, **info})
    bar.update(step - bar.n)
    bar.set_postfix(loss=f"{info['loss']:.3f}")
    return info


def _plan(
    key: jax.Array, answered: np.ndarray, num_samples: int, steps: int, batch: int
) -> jax.Array:
    """Who is in which step ``[steps, b + 5b]``: samples with answers, and then samples of all."""
    first, second = jax.random.split(key)
    unlabelled_batch = min(_UNLABELLED_RATIO * batch, num_samples)
    labelled = jnp.asarray(answered)[_repeat_epochs(first, len(answered), batch, steps)]
    unlabelled = _repeat_epochs(second, num_samples, unlabelled_batch, steps)
    return jnp.concatenate([labelled, unlabelled], axis=1)


def _step_keys(key: jax.Array, steps: int) -> jax.Array:
    """A key for each step ``[steps]``, the same however the steps are grouped."""
    length = steps_per_chunk(steps, _CHUNK)
    starts = range(0, steps, length)
    groups = [(jax.random.fold_in(key, s), min(length, steps - s)) for s in starts]
    return jnp.concatenate([jax.random.split(*group) for group in groups])


def _repeat_epochs(key: jax.Array, count: int, batch: int, steps: int) -> jax.Array:
    """Whole shuffled epochs, one after the other, cut off after ``steps``."""
    per_epoch = max(count // batch, 1)
    epochs = -(-steps // per_epoch)
    orders = [epoch_indices(jax.random.fold_in(key, e), count, batch) for e in range(epochs)]
    return jnp.concatenate(orders)[:steps]


def _padded(plan: _Plan) -> _Plan:
    """The plan of one call, its last step repeated: one compiled program for any number."""
    place = jnp.arange(_CHUNK)
    return jax.tree.map(lambda a: a[jnp.minimum(place, a.shape[0] - 1)], plan)


@partial(jax.jit, static_argnames=("program", "batch"), donate_argnames="carry")
def _run(
    carry: _Carry,
    array: jax.Array,
    evidence: Evidence,
    plan: _Plan,
    count: jax.Array,
    *,
    program: _Program,
    batch: int,
) -> tuple[_Carry, dict[str, jax.Array]]:
    """The first ``count`` steps of ``plan``, the first ``batch`` samples of each with answers."""
    optimizer = make_optimizer(program.options)

    def step(carry: _Carry, xs: _Plan) -> tuple[_Carry, dict[str, jax.Array]]:
        shown, regularise, key = xs
        labelled = jax.tree.map(lambda a: a[:batch], shown)
        unlabelled = jax.tree.map(lambda a: a[batch:], shown)
        pseudo_key, loss_key = jax.random.split(key)
        store, pseudo = _pseudo_labels(pseudo_key, program, array, carry, unlabelled, evidence)
        view_keys = jax.random.split(loss_key, 4)
        choice = evidence.choice[labelled.samples]
        subsets = (
            _subset(labelled, choice >= 0),
            _subset(labelled, choice == -1),
            _subset(unlabelled, _usable(pseudo, evidence, unlabelled, program.options)),
        )
        seen = _strong_views(view_keys[jnp.asarray([0, 1, 3])], program, array, subsets)

        def loss(params):  # type: ignore[no-untyped-def]
            variables = {**carry.variables, "params": params}
            terms, moved = _terms(view_keys[2], program, variables, evidence, subsets, seen, pseudo)
            return _total(terms, program.options, regularise), (terms, moved)

        (total, (terms, moved)), grads = jax.value_and_grad(loss, has_aux=True)(
            carry.variables["params"]
        )
        updates, opt_state = optimizer.update(grads, carry.opt_state, carry.variables["params"])
        params = optax.apply_updates(carry.variables["params"], updates)
        return _Carry({**moved, "params": params}, opt_state, store), {"loss": total, **terms}

    def count_in(at: jax.Array, so_far: tuple) -> tuple[_Carry, dict[str, jax.Array]]:
        carry, info = step(so_far[0], jax.tree.map(lambda a: a[at], plan))
        return carry, jax.tree.map(jnp.add, so_far[1], info)

    nothing = dict.fromkeys(("loss", "positive", "negative", "regularisation"), jnp.float32(0))
    carry, sums = jax.lax.fori_loop(0, count, count_in, (carry, nothing))
    return carry, jax.tree.map(lambda value: value / count, sums)


def _pseudo_labels(
    key: jax.Array,
    program: _Program,
    array: jax.Array,
    carry: _Carry,
    unlabelled: _Shown,
    evidence: Evidence,
) -> tuple[jax.Array, jax.Array]:
    """The store after this batch, and the batch's pseudo-labels ``[5b]`` (-1 for none)."""
    options = program.options
    if options.pseudo_labels == "graph":
        return carry.store, jnp.argmax(evidence.targets[unlabelled.samples], axis=-1)
    shown = split(view_batch(program.views.val, key, array[unlabelled.rows]), program.mesh)
    probs = jax.nn.softmax(program.model.apply(carry.variables, shown, False)[0].logits)
    if options.pseudo_labels == "threshold":
        return carry.store, losses.confident_labels(probs, threshold=options.threshold)
    store = losses.update_pseudo_labels(
        carry.store,
        unlabelled.samples,
        probs,
        jnp.ones(unlabelled.samples.shape, bool),
        fraction=options.quota,
        threshold=options.threshold,
    )
    return store, store[unlabelled.samples]


def _usable(
    pseudo: jax.Array, evidence: Evidence, unlabelled: _Shown, options: FinetuneOptions
) -> jax.Array:
    """Which of a batch's pseudo-labels L_reg learns from, bool ``[5b]``."""
    if not options.exclude_queried:
        return pseudo >= 0
    return (pseudo >= 0) & (evidence.choice[unlabelled.samples] < -1)


def _subset(shown: _Shown, member: jax.Array) -> _Subset:
    """The samples that are members, padded by repeating them."""
    count = jnp.sum(member)
    order = jnp.argsort(~member, stable=True)
    place = jnp.arange(member.shape[0])
    picked = order[place % jnp.maximum(count, 1)]
    return _Subset(shown.samples[picked], shown.rows[picked], picked, place < count)


def _strong_views(
    keys: jax.Array, program: _Program, array: jax.Array, subsets: tuple[_Subset, ...]
) -> list[jax.Array]:
    """What the network sees of each subset ``[b, ...]``.

    All are drawn by one call: a program with three takes three times as long to compile.
    """
    sizes = [subset.rows.shape[0] for subset in subsets]
    drawn = [jax.random.split(key, size) for key, size in zip(keys, sizes, strict=True)]
    rows = jnp.concatenate([subset.rows for subset in subsets])
    seen = jax.vmap(program.views.strong)(jnp.concatenate(drawn), array[rows])
    parts = jnp.split(split(seen, program.mesh), np.cumsum(sizes)[:-1])
    return [split(part, program.mesh) for part in parts]


def _terms(
    key: jax.Array,
    program: _Program,
    variables: Variables,
    evidence: Evidence,
    subsets: tuple[_Subset, ...],
    seen: list[jax.Array],
    pseudo: jax.Array,
) -> tuple[dict[str, jax.Array], Variables]:
    """The three losses, not yet weighted, and the moved statistics."""
    options, (named, refused, free) = program.options, subsets
    logits, variables = _forward(program.model, variables, seen[0], named.valid)
    labels = evidence.choice[named.samples]
    positive = losses.positive(logits, labels, named.valid, balanced=options.balanced)
    logits, variables = _forward(program.model, variables, seen[1], refused.valid)
    rejected = evidence.rejected[refused.samples]
    candidates = jnp.where(rejected, jnp.arange(logits.shape[-1]), -1)
    draw = key if options.negative == "sampled" else None
    negative = losses.negative(logits, candidates, refused.valid, key=draw)
    logits, variables = _forward(program.model, variables, seen[2], free.valid)
    regularisation = _regularisation(logits, evidence, free, pseudo, options)
    terms = {"positive": positive, "negative": negative, "regularisation": regularisation}
    return terms, {name: value for name, value in variables.items() if name != "params"}


def _regularisation(
    logits: jax.Array,
    evidence: Evidence,
    free: _Subset,
    pseudo: jax.Array,
    options: FinetuneOptions,
) -> jax.Array:
    if options.pseudo_labels == "graph":
        targets = evidence.targets[free.samples]
        return losses.masked_mean(optax.softmax_cross_entropy(logits, targets), free.valid)
    # The paper's 1/N counts the whole batch, confident or not.
    share = 1.0 if options.balanced else jnp.mean(free.valid)
    labels = pseudo[free.picked]
    return share * losses.regularisation(logits, labels, free.valid, balanced=options.balanced)


def _total(
    terms: dict[str, jax.Array], options: FinetuneOptions, regularise: jax.Array
) -> jax.Array:
    return (
        options.positive_weight * terms["positive"]
        + options.negative_weight * terms["negative"]
        + options.regularisation_weight * regularise.astype(jnp.float32) * terms["regularisation"]
    )


def _forward(
    model: Model, variables: Variables, seen: jax.Array, valid: jax.Array
) -> tuple[jax.Array, Variables]:
    """Logits ``[b, c]`` of a subset, and the variables with BatchNorm's averages moved."""
    outputs, moved = model.apply(variables, seen, True)
    # An empty subset must not move the averages.
    some = jnp.any(valid)
    averages = {name: tree for name, tree in variables.items() if name != "params"}
    kept = jax.tree.map(
        lambda old, new: jnp.where(some, new, old), averages, {k: moved[k] for k in averages}
    )
    return outputs.logits, {**variables, **kept}
