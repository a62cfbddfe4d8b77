"""Memory per device of the largest programs of the papers' settings, without running them.

    python -m benchmarks.training.memory          # about ten minutes; any machine, nothing is run

Each program is compiled for the CPU of this machine and asked what it will hold: its arguments
(network, optimiser, samples that stay on the device), its results beside those that take the
arguments' place, and what it needs in between. A GPU's compiler plans otherwise, so these are the
orders of magnitude; activations are most of it on either.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import data, models, ops, selectors
from idc_jax.ops import approximate, cells, views
from idc_jax.train import engine, pretrain

CLUSTERS = 10


def training(network: str, side: int, batch: int, dtype: Any, num_samples: int) -> Any:
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
    lowered = engine._run.lower(
        learner, images, rows, (rows, keys), state.epoch, None, step=pretrain._step, program=program
    )
    return lowered.compile()


def rows(n: int, d: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((n, d), np.float32)


def near(n: int, k: int) -> ops.Neighbors:
    return ops.Neighbors(rows(n, k), jax.ShapeDtypeStruct((n, k), np.int32))


def selection(n: int, d: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The programs of IDC's selection of 500 among ``n`` embeddings."""
    x, centers = rows(n, d), rows(1000, d)
    size = cells.cell_size(n)

    def cut(x: jax.Array) -> cells.Cells:
        return cells.cut(x, views.View(jnp.mean(x, axis=0)), size)

    kept = jax.eval_shape(cut, x)

    def program(function: Callable[..., Any], *shapes: Any) -> Callable[[], Any]:
        return lambda: jax.jit(function).lower(*shapes).compile()

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


def cases() -> Iterator[tuple[str, Callable[[], Any]]]:
    half, full = jnp.bfloat16, jnp.float32
    for network, batch in (("resnet34", 500), ("convnext_tiny", 128)):
        for name, dtype in (("float32", full), ("bfloat16", half)):
            yield (
                f"{network}, 224 px, batch {batch}, {name}",
                lambda network=network, batch=batch, dtype=dtype: training(
                    network, 224, batch, dtype, 2 * batch
                ),
            )
    for part, compiled in selection(1_281_167, 384):
        yield f"1.28M x 384: {part}", compiled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    wanted = parser.parse_args().only
    print("| program | arguments | results | in between | at most, GiB |\n|---|---|---|---|---|")
    for name, compiled in cases():
        if wanted not in name:
            continue
        found = compiled().memory_analysis()
        held, out = found.argument_size_in_bytes, found.output_size_in_bytes
        out -= found.alias_size_in_bytes
        parts = (held, out, found.temp_size_in_bytes)
        cells_ = [f"{size / 2**30:.2f}" for size in (*parts, sum(parts))]
        print(f"| {name} | " + " | ".join(cells_) + " |", flush=True)


if __name__ == "__main__":
    main()
