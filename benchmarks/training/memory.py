"""Memory per device of the largest programs of the papers' settings, without running them.

    python -m benchmarks.training.memory          # about ten minutes; any machine, nothing is run
    python -m benchmarks.training.memory --h100   # needs JAX's CUDA plugin, and no GPU

Each program is compiled, for the CPU of this machine or for an H100, and asked what it will hold:
its arguments (network, optimiser, samples that stay on the device), its results beside those that
take the arguments' place, and what it needs in between. A GPU's compiler that cannot try anything
takes convolutions and products as they come, so what these need in between may be a little more.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec

from idc_jax import data, models, ops, selectors
from idc_jax.ops import approximate, cells, views
from idc_jax.train import engine, pretrain

CLUSTERS = 10
# What XLA has to know of a GPU that it does not see.
_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84929347584 cuda_compute_capability { major: 9 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 13 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
# Shapes, on the device that is compiled for.
Place = Callable[[Any], Any]


def on_h100() -> Place:
    """Shapes as they would be on an H100 that need not be there."""
    # Nothing can be looked for or tried on a GPU that is not there.
    jax.config.update("jax_platforms", "cpu")
    os.environ["XLA_FLAGS"] = "--xla_gpu_autotune_level=0 " + os.environ.get("XLA_FLAGS", "")
    found = topologies.get_topology_desc(platform="cuda", target_config=_H100, topology="1x1x1")
    where = NamedSharding(topologies.make_mesh(found, (1,), ("device",)), PartitionSpec())
    return lambda tree: jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where), tree
    )


def training(
    network: str, side: int, batch: int, dtype: Any, num_samples: int, place: Place
) -> Any:
    """A step of contrastive pre-training, two views of each image."""
    shape = (side, side, 3)
    model = models.build(
        network, num_clusters=CLUSTERS, input_shape=shape, head="plain", conv="xla", dtype=dtype
    )
    options = pretrain.PretrainOptions(batch_size=batch)
    views = data.image_views(shape, side)
    program = pretrain.Program(
        model, views, pretrain._Setup(options, num_samples), pretrain._optimizer, None
    )
    images = jax.ShapeDtypeStruct((num_samples, *shape), np.uint8)
    few = jax.ShapeDtypeStruct((2, *shape), np.uint8)
    state = jax.eval_shape(lambda key, x: pretrain._init(program, key, x), jax.random.key(0), few)
    rows = jax.ShapeDtypeStruct((1, 2 * batch), np.int32)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
    learner = engine.Learner(state.variables, state.opt_state)
    given = place((learner, images, rows, (rows, keys), state.epoch))
    lowered = engine._run.lower(*given, None, step=pretrain._step, program=program)
    return lowered.compile()


def rows(n: int, d: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((n, d), np.float32)


def near(n: int, k: int) -> ops.Neighbors:
    return ops.Neighbors(rows(n, k), jax.ShapeDtypeStruct((n, k), np.int32))


def selection(n: int, d: int, place: Place) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The programs of IDC's selection of 500 among ``n`` embeddings."""
    x, centers = rows(n, d), rows(1000, d)
    size = cells.cell_size(n)

    def cut(x: jax.Array) -> cells.Cells:
        return cells.cut(x, views.View(jnp.mean(x, axis=0)), size)

    kept = jax.eval_shape(cut, x)

    def program(function: Callable[..., Any], *shapes: Any) -> Callable[[], Any]:
        return lambda: jax.jit(function).lower(*place(shapes)).compile()

    yield (
        "k-means, 1,000 clusters",
        program(lambda key, x: ops.kmeans(key, x, 1000, restarts=1), jax.random.key(0), x),
    )
    yield "cells", program(cut, x)
    yield (
        "neighbours, 32 cells each",
        program(lambda x, kept: approximate._search(x, kept, 20, 32), x, kept),
    )
    yield (
        "scores and 500 picks",
        program(
            lambda x, c, found: selectors.idc(x, c, 500, neighbors=found), x, centers, near(n, 20)
        ),
    )


def cases(place: Place) -> Iterator[tuple[str, Callable[[], Any]]]:
    half, full = jnp.bfloat16, jnp.float32
    for network, batch in (("resnet34", 500), ("convnext_tiny", 128)):
        for name, dtype in (("float32", full), ("bfloat16", half)):
            yield (
                f"{network}, 224 px, batch {batch}, {name}",
                lambda network=network, batch=batch, dtype=dtype: training(
                    network, 224, batch, dtype, 2 * batch, place
                ),
            )
    for part, compiled in selection(1_281_167, 384, place):
        yield f"1.28M x 384: {part}", compiled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--h100", action="store_true", help="compile for an H100")
    given = parser.parse_args()
    place = on_h100() if given.h100 else lambda tree: tree
    print("| program | arguments | results | in between | at most, GiB |\n|---|---|---|---|---|")
    for name, compiled in cases(place):
        if given.only not in name:
            continue
        found = compiled().memory_analysis()
        held, out = found.argument_size_in_bytes, found.output_size_in_bytes
        out -= found.alias_size_in_bytes
        parts = (held, out, found.temp_size_in_bytes)
        cells_ = [f"{size / 2**30:.2f}" for size in (*parts, sum(parts))]
        print(f"| {name} | " + " | ".join(cells_) + " |", flush=True)


if __name__ == "__main__":
    main()
