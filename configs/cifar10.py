"""CIFAR-10: 60,000 images in ten classes, through TensorFlow Datasets.

    python launch.py --config=configs/cifar10.py --config.data.path=TFDS_DIRECTORY

Meant for a GPU, like configs/cifar20.py, which also shows a short run for a CPU. The paper's
numbers (NMI, ACC, ARI) are .819, .887, .780 before and .844, .927, .848 after 500 questions.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "idc") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(method)
    config.num_clusters = 10
    config.data.source = "tfds"
    config.data.name = "cifar10"
    config.model.name = "resnet34"
    config.model.stem = "small"
    return configuration.recipe(config, method)
