"""ImageNet-10: 13,000 images in ten classes, from a folder with one subfolder per WNID.

    python launch.py --config=configs/imagenet10.py --config.data.path=FOLDER_OF_WNIDS

The ten classes are taken from the folder, however many others it has. Meant for a GPU. The
paper's numbers (NMI, ACC, ARI) are .875, .895, .837 before and .932, .972, .939 after 500
questions.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "idc") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(method)
    configuration.for_wnids(config, "imagenet10")
    return configuration.recipe(config, method)
