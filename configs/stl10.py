"""STL-10: the 13,000 labelled images in ten classes, through TensorFlow Datasets.

    python launch.py --config=configs/stl10.py --config.data.path=TFDS_DIRECTORY

Meant for a GPU. The paper's numbers (NMI, ACC, ARI) are .799, .868, .757 before and .853, .927,
.846 after 500 questions.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "idc") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(method)
    config.num_clusters = 10
    config.data.source = "tfds"
    config.data.name = "stl10"
    config.model.name = "resnet34"
    config.views.cutout = 96 / 224
    return configuration.recipe(config, method)
