"""Training images per second, beside the same step in PyTorch, and the share of the peak.

    taskset -c 1 python -m benchmarks training --setting cpu    # one core, four minutes
    python -m benchmarks training --setting gpu                 # where both libraries see one

One process, one table: the same ResNet, the same weights, 32-pixel images, contrastive loss
on two views of each image, AdamW. Without views both are the image as it is; with views they are
cropped, mirrored and recoloured on the fly. A row's speed is its fastest of several rounds, which
take turns with the other rows', so that a change of the machine's pace hits all. The peak is the
fastest of a few matrix products in either framework: float32 on CPUs, bfloat16 on a GPU. The losses
are those of the first round: equal without views, of other random views with them.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.harness.figures import machine
from benchmarks.harness.points import Family, Point, Row, Tables
from benchmarks.harness.tables import table
from benchmarks.training import torch_step
from idc_jax import data, models
from idc_jax.data import WeakOptions
from idc_jax.data.views import Views
from idc_jax.models.importing import Naming, export_safetensors, safetensors_file
from idc_jax.train import pretrain
from idc_jax.train.loop import epoch_indices

CLUSTERS, SIDE = 20, 32
JITTER, SCALE = 0.4, (0.2, 1.0)
NAMING = Naming("torchvision_resnet", "resnet.", "plain", "small")
OPTIONS = pretrain.PretrainOptions(epochs=1000, learning_rate=torch_step.LEARNING_RATE)
# (row, convolutions, type); on CPUs the last takes about a minute a step, and is left out unasked.
JAX_ROWS = (
    ("an epoch compiled", "auto", jnp.float32),
    ("an epoch compiled, bfloat16", "auto", jnp.bfloat16),
    ("an epoch compiled, all convolutions as matrix products", "matmul", jnp.float32),
    ("an epoch compiled, gradients as JAX derives them", "xla", jnp.float32),
)
# (row, channels last, bfloat16, torch.compile)
TORCH_ROWS = (
    ("eager", False, False, False),
    ("eager, channels last", True, False, False),
    ("eager, channels last, bfloat16", True, True, False),
    ("compiled, channels last", True, False, True),
    ("compiled, channels last, bfloat16", True, True, True),
)


class Setting(NamedTuple):
    """What is trained, and which of ``JAX_ROWS`` and ``TORCH_ROWS`` do.

    Attributes:
      network: a name of ``BLOCKS``.
      width: channels of the first stage.
      batch: images of a step, each in two views.
      steps: in a round.
      ours, theirs: the rows.
    """

    network: str
    width: int
    batch: int
    steps: int
    ours: tuple[int, ...]
    theirs: tuple[int, ...]


SETTINGS = {
    "cpu": Setting("resnet_small", 32, 64, 2, (0, 1, 2), (0, 1, 2, 3)),
    # The network and the batch that CIFAR-20 is learned with from nothing.
    "gpu": Setting("resnet18", 40, 1024, 8, (1,), (2, 4)),
}
ROUNDS = 4
HEADS = ["", "views", "images/s", "of the fastest", "of the peak", "first round", "loss"]

# Runs so many images and blocks until they are done; returns the steps' mean loss.
Round = Callable[[], float]


def seen_as_it_is(key: jax.Array, raw: jax.Array) -> jax.Array:
    del key
    return raw.astype(jnp.float32) / 255


def jax_views(with_views: bool) -> Views:
    weak = WeakOptions(crop_scale=SCALE, jitter=(JITTER, JITTER, JITTER, 0.0))
    views = data.image_views((SIDE, SIDE, 3), SIDE, weak=weak)
    return views if with_views else views._replace(weak=seen_as_it_is)


def jax_round(
    setting: Setting, images: np.ndarray, with_views: bool, row: tuple
) -> tuple[Round, dict]:
    _, conv, dtype = row
    batch = setting.batch
    model = models.build(
        setting.network,
        num_clusters=CLUSTERS,
        input_shape=(SIDE, SIDE, 3),
        width=setting.width,
        head="plain",
        conv=conv,
        dtype=dtype,
    )
    options = OPTIONS._replace(batch_size=batch)
    pieces = pretrain.build(model, jax_views(with_views), options, len(images))
    resident = jax.device_put(images)
    holder = [pieces.init(jax.random.key(0), resident)]
    variables = jax.tree.map(np.asarray, holder[0].variables)
    order = epoch_indices(jax.random.key(1), len(images), batch)

    def run() -> float:
        holder[0], info = pieces.run_epoch(jax.random.key(2), holder[0], resident, order)
        jax.block_until_ready(holder[0])
        return float(pretrain.summary(info)["loss"])

    return run, variables


def torch_round(
    setting: Setting, images: np.ndarray, with_views: bool, state: dict, row: tuple
) -> Round:
    _, last, half, compiled = row
    trainer = torch_step.Trainer(
        setting.network,
        setting.width,
        CLUSTERS,
        state,
        channels_last=last,
        half=half,
        compiled=compiled,
    )
    held = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(torch_step.DEVICE)
    rows = np.array(epoch_indices(jax.random.key(1), len(images), setting.batch), np.int64)
    order = torch.from_numpy(rows).to(torch_step.DEVICE)

    def shown(batch: torch.Tensor) -> torch.Tensor:
        if not with_views:
            return torch.cat([batch.float() / 255] * 2)
        return torch.cat([torch_step.views(batch, SCALE, JITTER) for _ in range(2)])

    def run() -> float:
        return float(torch.stack([trainer.step(shown(held[rows])) for rows in order]).mean())

    return run


def torch_state(variables: dict) -> dict[str, torch.Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.safetensors"
        export_safetensors(path, variables, NAMING)
        return {k: torch.from_numpy(v) for k, v in safetensors_file.read(path).items()}


def flops_per_image(setting: Setting, batch: int = 8) -> float:
    """Of products in forward and backward pass, for one image in its two views."""
    from torch.utils.flop_counter import FlopCounterMode

    network = torch_step.Network(setting.network, setting.width, CLUSTERS)
    with FlopCounterMode(display=False) as counter:
        torch_step.contrastive_loss(*network(torch.rand(2 * batch, 3, SIDE, SIDE))).backward()
    return counter.get_total_flops() / batch


def peak(repeats: int = 5) -> dict[str, float]:
    """FLOP/s of the best product of either framework: float32 on CPUs, bfloat16 on a GPU."""
    gpu = torch_step.DEVICE == "cuda"
    n = 8192 if gpu else 2048
    a = np.random.default_rng(0).normal(size=(n, n)).astype(np.float32)
    ours = jnp.asarray(a, jnp.bfloat16 if gpu else jnp.float32)
    theirs = torch.from_numpy(a).to(torch_step.DEVICE, torch.bfloat16 if gpu else torch.float32)
    product = jax.jit(jnp.matmul)

    def torch_product() -> None:
        theirs @ theirs
        if gpu:
            torch.cuda.synchronize()

    calls = {"JAX": lambda: jax.block_until_ready(product(ours, ours)), "PyTorch": torch_product}
    best = {}
    for name, call in calls.items():
        call()
        best[name] = 2 * n**3 / min(_seconds(call) for _ in range(repeats))
    return best


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def make_rounds(setting: Setting, images: np.ndarray, with_views: bool) -> dict[str, Round]:
    """The rows that were asked for; all start from the first one's weights."""
    rounds: dict[str, Round] = {}
    state: dict[str, torch.Tensor] = {}
    for row in (JAX_ROWS[index] for index in setting.ours):
        run, variables = jax_round(setting, images, with_views, row)
        state = state or torch_state(variables)
        rounds[f"JAX: {row[0]}"] = run
    for row in (TORCH_ROWS[index] for index in setting.theirs):
        rounds[f"PyTorch: {row[0]}"] = torch_round(setting, images, with_views, state, row)
    return rounds


def measure(point: Point) -> Row:
    """Time all rows of a setting, with views or without; see ``HEADS``."""
    setting, with_views = SETTINGS[point["setting"]], point["views"] == "yes"
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    top, flops = max(peak().values()), flops_per_image(setting)
    shape = (setting.batch * setting.steps, SIDE, SIDE, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    rounds = make_rounds(setting, images, with_views)
    loss, first, best = {}, {}, dict.fromkeys(rounds, np.inf)
    for name, run in rounds.items():
        start = time.perf_counter()
        loss[name] = run()
        first[name] = time.perf_counter() - start
    for _ in range(ROUNDS):
        for name, run in rounds.items():
            best[name] = min(best[name], _seconds(run))
    fastest = min(best.values())
    rows = []
    for name, seconds in best.items():
        speed = len(images) / seconds
        row = [name, point["views"], f"{speed:.0f}", f"{fastest / seconds:.2f}"]
        rows.append(
            [*row, f"{speed * flops / top:.2f}", f"{first[name]:.0f} s", f"{loss[name]:.4f}"]
        )
    versions = f"jax {jax.__version__}, torch {torch.__version__}"
    return {"machine": machine(), "versions": versions, "peak_gflops": top / 1e9, "rows": rows}


def tables(rows: list[Row]) -> Tables:
    """A table for each setting."""
    parts = []
    for row in rows:
        about = f"{row['machine']}, {row['versions']}, peak {row['peak_gflops']:.0f} GFLOP/s"
        setting = SETTINGS[row["setting"]]
        title = f"## {setting.network} of width {setting.width}, batch {setting.batch}"
        parts.append(f"{title}\n\n{about}\n\n{table(HEADS, row['rows'])}\n")
    return {Path("training.md"): "\n".join(parts)}


FAMILY = Family(
    fields=("setting", "views"),
    points=lambda seeds: (
        {"setting": name, "views": views} for name in SETTINGS for views in ("no", "yes")
    ),
    measure=measure,
    tables=tables,
)
