"""A network of our own in half precision: small, and as good as it was."""

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import models
from idc_jax.models.importing import Naming, export_safetensors, open_network, safetensors_file

SHAPE, CLUSTERS, WIDTH = (32, 32, 3), 5, 6
NAMING = Naming("torchvision_resnet", "resnet.", "plain", "small")


def test_a_narrow_network_comes_back_from_half_precision(tmp_path):
    options = {"num_clusters": CLUSTERS, "input_shape": SHAPE, "width": WIDTH, "head": "plain"}
    model = models.build("resnet18", **options)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *SHAPE)))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    sizes = {}
    for half in (False, True):
        path = tmp_path / f"{half}.safetensors"
        export_safetensors(path, variables, NAMING, half=half, notes={"seed": "0"})
        sizes[half] = path.stat().st_size
    assert sizes[True] < 0.6 * sizes[False]
    assert b'"seed":"0"' in path.read_bytes()[:4096]
    kinds = {value.dtype for value in safetensors_file.read(path).values() if value.ndim == 4}
    assert kinds == {np.dtype(np.float16)}
    imported = open_network(path, num_clusters=CLUSTERS, input_shape=SHAPE)
    assert (imported.layout.backbone.width, imported.layout.backbone.stem) == (WIDTH, "small")
    assert not imported.new_head
    found, report = imported.fill(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes))
    assert report.initialised == report.dropped == ()

    def same(path, ours, theirs):
        kernel = path[-1].key == "kernel"
        np.testing.assert_allclose(theirs, ours, rtol=1e-3 if kernel else 0, atol=1e-7 * kernel)

    jax.tree_util.tree_map_with_path(same, variables, found)
