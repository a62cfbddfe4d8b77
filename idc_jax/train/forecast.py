"""How long a pre-training takes where it is slow, told before it begins."""

from __future__ import annotations

import time

import jax

from idc_jax.data.residency import Samples, some
from idc_jax.data.views import Views
from idc_jax.models.base import Model, Variables
from idc_jax.train.loop import run_network, steps_per_epoch
from idc_jax.train.pretrain_options import PretrainOptions

# Each sample is seen in two views, and the way back costs twice the way there.
_PASSES = 2 * 3
# Images that are timed, and the shortest training that is worth a line.
_TIMED, _WORTH_A_LINE = 64, 0.25


def hours(
    model: Model,
    variables: Variables,
    views: Views,
    data: Samples,
    options: PretrainOptions,
    done: int = 0,
) -> float:
    """About how many hours a pre-training takes, by what a forward pass over a few samples does.

    Args:
      model: the network.
      variables: its variables.
      views: of the samples.
      data: raw samples ``[n, ...]``.
      options: of the pre-training.
      done: epochs that are over.
    """
    n = data.shape[0]
    few = some(data, min(_TIMED, n))

    def seconds() -> float:
        start = time.perf_counter()
        jax.block_until_ready(run_network(model, variables, views.val, few))
        return time.perf_counter() - start

    seconds()  # compiles
    batch = min(options.batch_size, n)
    seen = (options.epochs - done) * steps_per_epoch(n, options.batch_size) * batch
    return min(seconds(), seconds()) / few.shape[0] * _PASSES * seen / 3600


def warning(
    model: Model,
    variables: Variables,
    views: Views,
    data: Samples,
    options: PretrainOptions,
    done: int = 0,
) -> str:
    """What somebody should know who trains a network of images on a CPU; empty where it is quick.

    The arguments are those of :func:`hours`.
    """
    if jax.default_backend() != "cpu" or len(data.shape) < 4 or done >= options.epochs:
        return ""
    expected = hours(model, variables, views, data, options, done)
    if expected < _WORTH_A_LINE:
        return ""
    told = f"{expected:.0f} hours" if expected >= 2 else f"{60 * expected:.0f} minutes"
    return (
        f"pre-training: about {told} on this CPU ({options.epochs - done:,} epochs of "
        f"{data.shape[0]:,} images); a published network's frozen features take minutes: "
        "--config.data.embed_with=auto --config.model.name=auto --config.init=auto"
    )
