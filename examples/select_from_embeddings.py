"""Which of your own embeddings to label first: IDC's picks against random ones, on the digits."""

import jax
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from idc_jax import ops, selectors

LABELS = 50
x, truth = load_digits(return_X_y=True)
x = x.astype(np.float32)

cluster_key, pick_key = jax.random.split(jax.random.key(0))
clusters = ops.kmeans(cluster_key, x, 10)
inputs = selectors.SelectorInputs(x, centers=clusters.centers, assignments=clusters.assignments)
for name in ("random", "idc", "typiclust"):
    picks = np.asarray(selectors.get(name).select(pick_key, inputs, LABELS).indices)
    model = LogisticRegression(max_iter=1000).fit(x[picks], truth[picks])
    print(f"{name}: accuracy {model.score(x, truth):.3f} with {LABELS} labels")
