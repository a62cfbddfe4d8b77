"""IDC's fine-tuning: learn from the answers without forgetting what was clear already.

L = L_pos + L_neg + L_reg of "Interactive Deep Clustering via Value Mining". Each term has its own
forward pass in training mode, so that BatchNorm sees the term's own samples, as in the published
code. Subsets change size at every step; they are padded by repeating their own members, which
leaves a BatchNorm that sees the padding with the subset's statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from idc_jax import losses
from idc_jax.data.residency import steps_per_chunk
from idc_jax.data.views import Views, view_batch
from idc_jax.errors import UserError
from idc_jax.methods.base import Log
from idc_jax.models.base import Model, Variables
from idc_jax.train.loop import epoch_indices

# Values of `Evidence.choice` beside a cluster id, NONE_OF_THESE and SKIP.
UNASKED = -3

# Steps of one compiled scan: the progress bar moves this often.
_CHUNK = 50
_UNLABELLED_RATIO = 5


class FinetuneOptions(NamedTuple):
    """How to fine-tune. The defaults are the paper's.

    Attributes:
      epochs: passes over the answers; one is floor(answers / batch_size) steps.
      batch_size: answered samples per step, capped at the answers there are; the regularisation
        sees five times as many samples of the whole data set.
      min_steps: at least so many steps, however few answers there are.
      learning_rate: Adam's.
      weight_decay: L2, added to the gradient (coupled), as PyTorch's Adam has it.
      positive_weight: of L_pos.
      negative_weight: of L_neg.
      regularisation_weight: of L_reg.
      balanced: average L_pos and L_reg within each class first, as the published code does.
      negative: ``"sampled"`` draws one rejected cluster per step, ``"mean"`` takes all.
      pseudo_labels: what L_reg learns from: ``"threshold"``, the network's own predictions above
        the threshold (the paper); ``"store"``, the published code's memory of them; ``"graph"``,
        the answers spread over the neighbour graph, as soft targets.
      threshold: τ of the confident.
      quota: share of a batch that one step may add to the store.
      exclude_queried: keep answered samples out of L_reg, so that no pseudo-label contradicts
        an answer.
      regularise_from: share of the steps before L_reg sets in (0.5 for ProPos in the paper).
    """

    epochs: int = 100
    batch_size: int = 100
    min_steps: int = 0
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    positive_weight: float = 1.0
    negative_weight: float = 1.0
    regularisation_weight: float = 1.0
    balanced: bool = False
    negative: Literal["sampled", "mean"] = "sampled"
    pseudo_labels: Literal["threshold", "store", "graph"] = "threshold"
    threshold: float = 0.99
    quota: float = 0.2
    exclude_queried: bool = True
    regularise_from: float = 0.0


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


class _Carry(NamedTuple):
    variables: Variables
    opt_state: optax.OptState
    store: jax.Array


def check_options(options: FinetuneOptions) -> None:
    """Refuse options that cannot be trained with.

    Raises:
      UserError: naming the option, what it is and what would do.
    """
    for name in ("epochs", "batch_size"):
        if getattr(options, name) < 1:
            raise UserError(f"finetune.{name} is {getattr(options, name)}; 1 or more would do")
    if not options.learning_rate > 0:
        raise UserError(f"finetune.learning_rate is {options.learning_rate}; it must be above 0")
    choices = {"negative": ("sampled", "mean"), "pseudo_labels": ("threshold", "store", "graph")}
    for name, known in choices.items():
        if getattr(options, name) not in known:
            raise UserError(
                f"finetune.{name} is {getattr(options, name)!r}; one of {', '.join(known)} would do"
            )


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
    data: jax.Array,
    variables: Variables,
    evidence: Evidence,
    store: jax.Array,
    options: FinetuneOptions,
    *,
    log: Log,
    progress: bool = True,
) -> tuple[Variables, jax.Array, dict[str, float]]:
    """Fine-tune ``variables`` on the answers.

    Args:
      key: fixes batches, views and sampled negatives.
      model: the network.
      views: ``strong`` trains, ``val`` makes pseudo-labels.
      data: raw samples ``[n, ...]``.
      variables: the network so far.
      evidence: the answers.
      store: int32 ``[n]``, pseudo-labels of ``pseudo_labels="store"``.
      options: how.
      log: called with the mean losses of every fifty steps.
      progress: show a bar.

    Returns:
      The new variables, the new store, and the losses of the last steps.
    """
    answered = np.flatnonzero(np.asarray(evidence.choice) >= -1)
    if not answered.size:
        return variables, store, {}
    steps, batch = schedule(len(answered), options)
    plan_key, run_key = jax.random.split(key)
    labelled, unlabelled = _plan(plan_key, answered, data.shape[0], steps, batch)
    optimizer = make_optimizer(options)
    carry = _Carry(variables, optimizer.init(variables["params"]), store)
    chunk = steps_per_chunk(steps, _CHUNK)
    info: dict[str, float] = {}
    with tqdm(total=steps, desc="fine-tuning", unit="step", disable=not progress) as bar:
        for start in range(0, steps, chunk):
            part = slice(start, min(start + chunk, steps))
            regularise = jnp.arange(part.start, part.stop) >= options.regularise_from * steps
            carry, means = _run(
                jax.random.fold_in(run_key, start),
                carry,
                data,
                evidence,
                (labelled[part], unlabelled[part], regularise),
                model=model,
                views=views,
                options=options,
            )
            info = {name: float(value) for name, value in means.items()}
            log({"phase": "finetune", "step": part.stop, "steps": steps, **info})
            bar.update(part.stop - part.start)
            bar.set_postfix(loss=f"{info['loss']:.3f}")
    return carry.variables, carry.store, info


def schedule(num_answers: int, options: FinetuneOptions) -> tuple[int, int]:
    """Steps in all and answered samples per step."""
    batch = min(options.batch_size, num_answers)
    return max(options.epochs * (num_answers // batch), options.min_steps), batch


def _plan(
    key: jax.Array, answered: np.ndarray, num_samples: int, steps: int, batch: int
) -> tuple[jax.Array, jax.Array]:
    """Who is in which step: samples ``[steps, b]`` with answers, ``[steps, 5b]`` of all."""
    first, second = jax.random.split(key)
    unlabelled_batch = min(_UNLABELLED_RATIO * batch, num_samples)
    return (
        jnp.asarray(answered)[_repeat_epochs(first, len(answered), batch, steps)],
        _repeat_epochs(second, num_samples, unlabelled_batch, steps),
    )


def _repeat_epochs(key: jax.Array, count: int, batch: int, steps: int) -> jax.Array:
    """Whole shuffled epochs, one after the other, cut off after ``steps``."""
    per_epoch = max(count // batch, 1)
    epochs = -(-steps // per_epoch)
    orders = [epoch_indices(jax.random.fold_in(key, e), count, batch) for e in range(epochs)]
    return jnp.concatenate(orders)[:steps]


@partial(jax.jit, static_argnames=("model", "views", "options"), donate_argnames="carry")
def _run(key, carry, data, evidence, plan, *, model, views, options):  # type: ignore[no-untyped-def]
    """One compiled scan over the steps of ``plan``."""
    optimizer = make_optimizer(options)
    step = _make_step(model, views, options, optimizer, data, evidence)
    keys = jax.random.split(key, plan[0].shape[0])
    carry, infos = jax.lax.scan(step, carry, (plan, keys))
    return carry, jax.tree.map(jnp.mean, infos)


def _make_step(
    model: Model,
    views: Views,
    options: FinetuneOptions,
    optimizer: optax.GradientTransformation,
    data: jax.Array,
    evidence: Evidence,
) -> Callable:
    def step(carry, xs):  # type: ignore[no-untyped-def]
        (labelled, unlabelled, regularise), key = xs
        pseudo_key, loss_key = jax.random.split(key)
        store, pseudo = _pseudo_labels(
            pseudo_key, model, views, options, data, carry, unlabelled, evidence
        )

        def loss(params):  # type: ignore[no-untyped-def]
            return _losses(
                loss_key,
                model,
                views,
                options,
                data,
                {**carry.variables, "params": params},
                evidence,
                labelled,
                unlabelled,
                pseudo,
                regularise.astype(jnp.float32),
            )

        (total, (info, moved)), grads = jax.value_and_grad(loss, has_aux=True)(
            carry.variables["params"]
        )
        updates, opt_state = optimizer.update(grads, carry.opt_state, carry.variables["params"])
        params = optax.apply_updates(carry.variables["params"], updates)
        return _Carry({**moved, "params": params}, opt_state, store), {"loss": total, **info}

    return step


def _pseudo_labels(key, model, views, options, data, carry, unlabelled, evidence):  # type: ignore[no-untyped-def]
    """The store after this batch, and the batch's pseudo-labels ``[5b]`` (-1 for none)."""
    if options.pseudo_labels == "graph":
        return carry.store, jnp.argmax(evidence.targets[unlabelled], axis=-1)
    shown = view_batch(views.val, key, data[unlabelled])
    probs = jax.nn.softmax(model.apply(carry.variables, shown, False)[0].logits)
    if options.pseudo_labels == "threshold":
        return carry.store, losses.confident_labels(probs, threshold=options.threshold)
    store = losses.update_pseudo_labels(
        carry.store,
        unlabelled,
        probs,
        jnp.ones(unlabelled.shape, bool),
        fraction=options.quota,
        threshold=options.threshold,
    )
    return store, store[unlabelled]


def _losses(  # type: ignore[no-untyped-def]
    key, model, views, options, data, variables, evidence, labelled, unlabelled, pseudo, regularise
):
    keys = jax.random.split(key, 4)
    choice = evidence.choice[labelled]
    logits, valid, rows, variables = _forward_subset(
        keys[0], model, views, data, variables, labelled, choice >= 0
    )
    positive = losses.positive(logits, evidence.choice[rows], valid, balanced=options.balanced)
    logits, valid, rows, variables = _forward_subset(
        keys[1], model, views, data, variables, labelled, choice == -1
    )
    candidates = jnp.where(evidence.rejected[rows], jnp.arange(logits.shape[-1]), -1)
    draw = keys[2] if options.negative == "sampled" else None
    negative = losses.negative(logits, candidates, valid, key=draw)
    usable = pseudo >= 0
    if options.exclude_queried:
        usable &= evidence.choice[unlabelled] < -1
    logits, valid, rows, variables = _forward_subset(
        keys[3], model, views, data, variables, unlabelled, usable, also=pseudo
    )
    rows, pseudo = rows
    if options.pseudo_labels == "graph":
        soft = optax.softmax_cross_entropy(logits, evidence.targets[rows])
        regularisation = losses.masked_mean(soft, valid)
    else:
        # The paper's 1/N counts the whole batch, confident or not.
        share = 1.0 if options.balanced else jnp.mean(usable)
        regularisation = share * losses.regularisation(
            logits, pseudo, valid, balanced=options.balanced
        )
    info = {"positive": positive, "negative": negative, "regularisation": regularisation}
    total = (
        options.positive_weight * positive
        + options.negative_weight * negative
        + options.regularisation_weight * regularise * regularisation
    )
    return total, (info, {k: v for k, v in variables.items() if k != "params"})


def _forward_subset(key, model, views, data, variables, rows, member, also=None):  # type: ignore[no-untyped-def]
    """The strong view of the rows that are members, padded by repeating them.

    Returns:
      Logits ``[b, c]``, which of them count ``[b]``, their samples ``[b]`` (with ``also`` in the
      same order, where given), and the variables with BatchNorm's averages moved.
    """
    count = jnp.sum(member)
    order = jnp.argsort(~member, stable=True)
    place = jnp.arange(rows.shape[0])
    picked = order[place % jnp.maximum(count, 1)]
    chosen = rows[picked]
    shown = view_batch(views.strong, key, data[chosen])
    outputs, moved = model.apply(variables, shown, True)
    # An empty subset must not move the averages.
    kept = jax.tree.map(lambda new, old: jnp.where(count > 0, new, old), moved, variables)
    samples = chosen if also is None else (chosen, also[picked])
    return outputs.logits, place < count, samples, kept
