"""A new selector in twenty lines: dense samples first, as everything else knows it by its name."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

from idc_jax import ops, selectors
from idc_jax.selectors import Selector, SelectorInputs, masks


def dense(key, inputs, budget, *, num_neighbors=20):
    """The samples whose neighbours are nearest, a cluster's densest before its second densest."""
    del key
    _, candidates = masks.masks(len(inputs.embeddings), inputs.labelled, inputs.allowed)
    near = ops.knn(inputs.embeddings, num_neighbors).distances2.mean(1)
    same = inputs.assignments[:, None] == inputs.assignments
    place = jnp.sum(same & candidates & (near < near[:, None]), axis=1)
    return masks.top(-place - near / (1 + near.max()), candidates, budget)


selectors.register(Selector("dense", dense, needs=("assignments",)))

x, truth = load_digits(return_X_y=True)
clusters = ops.kmeans(jax.random.key(0), x.astype(np.float32), 10)
inputs = SelectorInputs(x.astype(np.float32), assignments=clusters.assignments)
for name in ("random", "dense"):
    picks = selectors.get(name).select(jax.random.key(1), inputs, 10).indices
    print(f"{name}: the first 10 picks are of {len(set(truth[picks].tolist()))} of 10 classes")
