"""Cluster rows that are spread over processes, as one of them, and print how well.

python kmeans_run.py ADDRESS PROCESS COUNT
"""

import sys

import jax
import numpy as np

from idc_jax.hosts import Meeting, meet
from idc_jax.ops import sharded
from idc_jax.ops.kmeans import kmeans
from idc_jax.train.parallel import make_mesh


def cluster(address: str, process: int, count: int) -> float:
    """The inertia of the last of a few clusterings, whose programs have many exchanges."""
    # All programs are kept, also those that are compiled in no time.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    meet(Meeting(address, count, process), {})
    rows = np.random.default_rng(0).standard_normal((20_000, 256), np.float32)
    spread = sharded.rows_over(make_mesh())
    x = jax.make_array_from_callback(rows.shape, spread, lambda part: rows[part])
    with sharded.like(x):
        for key in jax.random.split(jax.random.key(0), 3):
            found = kmeans(key, x, 20, restarts=1, max_iterations=5)
    return float(found.inertia)


if __name__ == "__main__":
    print(cluster(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
