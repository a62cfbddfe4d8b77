"""The engine under every training: steps down a gradient, compiled by the chunk.

A training is a function of one step, written for a whole batch, and a hashable :class:`Program`
that says what it is compiled for. Equal programs share what was compiled, whatever data, answers
or schedules they meet: schedules are arrays of one shape with a count of their steps. Learners are
given up to each call, and metrics are read one call late, so that the device is at work on the next
call while the host reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from tqdm import tqdm

from idc_jax.data.residency import Samples, chunks, taken
from idc_jax.data.views import Views
from idc_jax.models.base import Model, Variables
from idc_jax.train.log import Log
from idc_jax.train.parallel import mesh_of_batch, on_own, replicate

Metrics = dict[str, jax.Array]
# ``variables -> (loss, metrics, variables with BatchNorm's averages moved)``.
Loss = Callable[[Variables], tuple[jax.Array, Metrics, Variables]]
Carry = TypeVar("Carry")

# Steps of one compiled call of `drive_steps`: the progress bar moves this often. However few of
# them can be streamed at a time, some divisor is more than half as many: parts of one length, one
# program.
_CHUNK = 48


class Program(NamedTuple):
    """What a training's step is compiled for; hashable.

    Attributes:
      model: the network.
      views: what it is shown.
      options: the training's own, whatever changes the compiled step among them.
      optimizer: makes the optimiser of these options.
      mesh: the devices, or None for one.
    """

    model: Model
    views: Views
    options: Any
    optimizer: Callable[[Any], optax.GradientTransformation]
    mesh: Mesh | None


class Learner(NamedTuple):
    """What training moves.

    Attributes:
      variables: the network's.
      opt_state: the optimiser's.
      memory: what else a training carries from step to step.
    """

    variables: Variables
    opt_state: optax.OptState
    memory: Any = ()


# ``(program, learner, raw samples [b, ...], the step's part of the plan, shared) ->
# (learner, metrics)``.
Step = Callable[[Program, Learner, jax.Array, Any, Any], tuple[Learner, Metrics]]


def begin(program: Program, variables: Variables, memory: Any = ()) -> Learner:
    """A learner with a fresh optimiser and copies of everything: the caller keeps what is his."""
    return replicate(_begin(program, variables, memory), program.mesh)


@partial(jax.jit, static_argnums=0)
def _begin(program: Program, variables: Variables, memory: Any) -> Learner:
    variables, memory = jax.tree.map(jnp.copy, (variables, memory))
    opt_state = program.optimizer(program.options).init(variables["params"])
    return Learner(variables, opt_state, memory)


@jax.jit
def copied(tree: Carry) -> Carry:
    """A copy that may be given up."""
    return jax.tree.map(jnp.copy, tree)


def descend(
    program: Program, learner: Learner, loss: Loss, **moved: Any
) -> tuple[Learner, Metrics]:
    """Take one step down ``loss``'s gradient by the network's parameters.

    Args:
      program: names the optimiser.
      learner: to move.
      loss: see :data:`Loss`.
      **moved: ``memory``, where the step changes it.

    Returns:
      The moved learner, and the metrics with the ``loss`` among them.
    """

    def of(params: Any) -> tuple[jax.Array, tuple[Metrics, Variables]]:
        total, metrics, variables = loss({**learner.variables, "params": params})
        return total, (metrics, variables)

    params = learner.variables["params"]
    (total, (metrics, variables)), grads = jax.value_and_grad(of, has_aux=True)(params)
    updates, opt_state = program.optimizer(program.options).update(grads, learner.opt_state, params)
    variables = {**variables, "params": optax.apply_updates(params, updates)}
    learner = learner._replace(variables=variables, opt_state=opt_state, **moved)
    return learner, {"loss": total, **metrics}


def train_only(
    optimizer: optax.GradientTransformation, trained: Callable[[str], bool]
) -> optax.GradientTransformation:
    """``optimizer`` for the parts of a network whose names are ``trained``; others stay."""

    def parts(params: dict[str, Any]) -> dict[str, str]:
        return {name: "train" if trained(name) else "keep" for name in params}

    return optax.multi_transform({"train": optimizer, "keep": optax.set_to_zero()}, parts)


def run_steps(
    step: Step,
    program: Program,
    learner: Learner,
    data: Samples,
    rows: jax.Array | np.ndarray,
    plan: Any,
    shared: Any,
    *,
    count: int | None = None,
) -> tuple[Learner, list[Metrics]]:
    """Run a schedule of steps, chunk by chunk where the samples are streamed.

    Args:
      step: a module's function, since programs are kept by it.
      program: what it is compiled for.
      learner: to go on from; its buffers are given up.
      data: raw samples ``[n, ...]``.
      rows: int ``[steps, b]``, the samples of each step.
      plan: a tree of ``[steps, ...]`` arrays: what else a step is told.
      shared: a tree of arrays that all steps see.
      count: run so many steps only: the rest fills the schedule up to a constant shape. None for
        all.

    Returns:
      The learner, and the metrics ``[steps, ...]`` of each call, still on the device; zeros
      beyond ``count``.
    """
    found = []
    whole = program.mesh
    own = mesh_of_batch(whole, (rows.shape[1], *data.shape[1:]))
    program = program._replace(mesh=own)
    learner, shared = on_own((learner, shared), whole, own)
    for chunk in chunks(data, rows):
        left = None
        if count is not None:
            if chunk.steps.start >= count:
                break
            left = jax.device_put(np.int32(min(count, chunk.steps.stop) - chunk.steps.start))
        told = jax.tree.map(partial(taken, steps=chunk.steps), plan)
        array, indices = chunk.array, chunk.indices
        if own is not whole:
            array, indices, told = on_own((array, indices, told), whole, own)
        learner, metrics = _run(
            learner, array, indices, told, shared, left, step=step, program=program
        )
        found.append(metrics)
    return replicate(learner, whole), found


@partial(jax.jit, static_argnames=("step", "program"), donate_argnames="learner")
def _run(
    learner: Learner,
    array: jax.Array,
    rows: jax.Array,
    plan: Any,
    shared: Any,
    count: jax.Array | None,
    *,
    step: Step,
    program: Program,
) -> tuple[Learner, Metrics]:
    # Traced once: for the metrics' shapes and for the loop.
    @jax.jit
    def one(learner: Learner, rows: jax.Array, told: Any) -> tuple[Learner, Metrics]:
        return step(program, learner, array[rows], told, shared)

    def at(index: jax.Array, so_far: tuple[Learner, Metrics]) -> tuple[Learner, Metrics]:
        learner, found = so_far
        learner, metrics = one(learner, *jax.tree.map(lambda a: a[index], (rows, plan)))
        return learner, jax.tree.map(lambda to, new: to.at[index].set(new), found, metrics)

    steps = rows.shape[0]
    first = jax.tree.map(lambda a: a[0], (rows, plan))
    shapes = jax.eval_shape(one, learner, *first)[1]
    nothing = jax.tree.map(lambda leaf: jnp.zeros((steps, *leaf.shape), leaf.dtype), shapes)
    # A bound that is known makes a loop without a question to the host at every step.
    return jax.lax.fori_loop(0, steps if count is None else count, at, (learner, nothing))


def means(found: list[Metrics], steps: int) -> dict[str, np.ndarray]:
    """The mean over ``steps`` steps of each metric; waits for the device."""
    sums = [{name: np.asarray(a).sum(0) for name, a in part.items()} for part in found]
    return {name: sum(part[name] for part in sums) / steps for name in sums[0]}


def drive(
    carry: Carry,
    spans: Iterable[range],
    advance: Callable[[range, Carry], tuple[Carry, list[Metrics]]],
    tell: Callable[[range, list[Metrics]], dict[str, float]],
    *,
    bar: tqdm,
    after: Callable[[Carry, int], None] | None = None,
) -> tuple[Carry, dict[str, float]]:
    """Go through a training, telling of each span when the next is on its way.

    Args:
      carry: what training moves.
      spans: epochs or steps, by number from 0.
      advance: ``(span, carry) -> (carry, metrics)``, not waiting for the device.
      tell: ``(span, metrics) -> values``, one span late: logs, and returns what to report.
      bar: of the progress, counted as the spans count.
      after: called with the carry and what is done after each span.

    Returns:
      The last carry, and what was told of the last span; empty without one.
    """
    pending: tuple[range, list[Metrics]] | None = None
    info: dict[str, float] = {}

    def report() -> dict[str, float]:
        if pending is None:
            return {}
        told = tell(*pending)
        bar.set_postfix(loss=f"{told['loss']:.3f}", refresh=False)
        bar.update(len(pending[0]))
        return told

    with bar:
        for span in spans:
            carry, metrics = advance(span, carry)
            info = report()
            pending = (span, metrics)
            if after is not None:
                after(carry, span.stop)
        info = report()
    return carry, info


def drive_steps(
    step: Step,
    program: Program,
    learner: Learner,
    data: Samples,
    rows: np.ndarray,
    told: Any,
    shared: Any,
    *,
    phase: str,
    about: str,
    log: Log,
    progress: bool,
) -> tuple[Learner, dict[str, float]]:
    """Go through a schedule of any number of steps with one program; see :func:`drive`.

    Args:
      step: a module's function, since programs are kept by it.
      program: what it is compiled for.
      learner: to go on from; its buffers are given up.
      data: raw samples ``[n, ...]``.
      rows: int ``[steps, b]``, the samples of each step, on the host.
      told: a tree of ``[steps, ...]`` arrays on the host: what else a step is told.
      shared: a tree of arrays that all steps see.
      phase: of the training, for the log.
      about: what the bar says.
      log: called with the mean losses of a few dozen steps at a time.
      progress: show a bar.

    Returns:
      The learner, and the mean losses of the last steps; empty without a step.
    """
    steps = len(rows)

    def advance(span: range, learner: Learner) -> tuple[Learner, list[Metrics]]:
        # Filled up with the last step: one shape for any number.
        chosen = np.minimum(np.arange(span.start, span.start + _CHUNK), steps - 1)
        plan = jax.tree.map(lambda a: a[chosen], told)
        count = len(span)
        return run_steps(step, program, learner, data, rows[chosen], plan, shared, count=count)

    def tell(span: range, found: list[Metrics]) -> dict[str, float]:
        values = {name: float(value) for name, value in means(found, len(span)).items()}
        log({"phase": phase, "step": span.stop, "steps": steps, **values})
        return values

    bar = tqdm(total=steps, desc=about, unit="step", disable=not progress)
    spans = (range(start, min(start + _CHUNK, steps)) for start in range(0, steps, _CHUNK))
    return drive(learner, spans, advance, tell, bar=bar)


def drive_epochs(
    learner: Learner,
    epochs: int,
    advance: Callable[[range, Learner], tuple[Learner, list[Metrics]]],
    *,
    log: Log,
    progress: bool,
) -> tuple[Learner, dict[str, float]]:
    """Go through ``epochs`` epochs of one span each; see :func:`drive`.

    Args:
      learner: to go on from; its buffers are given up.
      epochs: how many.
      advance: an epoch.
      log: called with each epoch's mean losses.
      progress: show a bar.

    Returns:
      The learner, and the last epoch's mean losses; empty without an epoch.
    """

    def tell(span: range, found: list[Metrics]) -> dict[str, float]:
        steps = sum(part["loss"].shape[0] for part in found)
        values = {name: float(value) for name, value in means(found, steps).items()}
        log({"phase": "train", "epoch": span.stop, "epochs": epochs, **values})
        return values

    bar = tqdm(desc="training", unit="epoch", total=epochs, disable=not progress)
    spans = (range(epoch, epoch + 1) for epoch in range(epochs))
    return drive(learner, spans, advance, tell, bar=bar)
