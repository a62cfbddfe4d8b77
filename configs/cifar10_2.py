"""CIFAR10-2: the classes of CIFAR-10 in two groups, as a person may see them.

    python launch.py --config=configs/cifar10_2.py:pcl --config.data.path=DIR

DIR is a TFDS data directory that holds ``cifar10``. ``--config.data.target_map`` chooses the
orientation: ``cifar10_2_personal`` (plane, bird, frog, ship against the rest) or
``cifar10_2_default`` (vehicles against animals). Published with ResNet-34 and 10,000 pairs
(NMI/ARI/F/ACC): .453/.558/.765/.873 and .737/.830/.918/.955. It takes a GPU.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "pcl") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(method)
    configuration.for_orientations(config)
    config.num_clusters = 2
    config.data.source = "tfds"
    config.data.name = "cifar10"
    config.data.target_map = "cifar10_2_personal"
    return configuration.recipe(config, method)
