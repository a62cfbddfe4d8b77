"""ImageNet10-2: ten classes of ImageNet in two groups, as a person may see them.

    python launch.py --config=configs/imagenet10_2.py:pcl --config.data.path=FOLDER

FOLDER holds a subfolder of images per WNID, the ten of
``idc_jax.data.CLASS_LISTS["imagenet10_2"]`` among them. ``--config.data.target_map`` chooses
the orientation: ``imagenet10_2_personal`` or ``imagenet10_2_default`` (animals against vehicles).
Published with ResNet-34 and 10,000 pairs (NMI/ARI/F/ACC): .409/.510/.755/.857 and
.722/.817/.908/.952. It takes a GPU.
"""

from ml_collections import ConfigDict

from idc_jax.data import CLASS_LISTS
from idc_jax.runs import configuration


def get_config(method: str = "pcl") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(method)
    configuration.for_orientations(config)
    config.num_clusters = 2
    config.data.source = "folder"
    config.data.image_size = 160
    config.data.classes = tuple(CLASS_LISTS["imagenet10_2"])
    config.data.target_map = "imagenet10_2_personal"
    return configuration.recipe(config, method)
