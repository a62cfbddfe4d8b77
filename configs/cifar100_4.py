"""CIFAR100-4: the 100 classes of CIFAR-100 in four groups, as a person may see them.

    python launch.py --config=configs/cifar100_4.py:pcl --config.data.path=DIR

DIR is a TFDS data directory that holds ``cifar100``. ``--config.data.target_map`` chooses the
orientation: ``cifar100_4_personal`` (large mammals and people, other animals, plants and nature,
man-made) or ``cifar100_4_default``. Published with ResNet-34 and 10,000 pairs (NMI/ARI/F/ACC):
.234/.247/.437/.597 and .197/.208/.407/.575. It takes a GPU; frozen features run on a CPU, see
``configs/features.py``.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "pcl") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(method)
    configuration.for_orientations(config)
    config.num_clusters = 4
    config.data.source = "tfds"
    config.data.name = "cifar100"
    config.data.label_key = "label"
    config.data.target_map = "cifar100_4_personal"
    return configuration.recipe(config, method)
