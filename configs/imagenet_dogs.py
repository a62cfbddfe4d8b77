"""ImageNet-Dogs: 19,500 images of 15 breeds, from a folder with one subfolder per WNID.

    python launch.py --config=configs/imagenet_dogs.py --config.data.path=FOLDER_OF_WNIDS

The fifteen classes are taken from the folder, however many others it has. Meant for a GPU. The
paper's numbers (NMI, ACC, ARI) are .623, .644, .516 before and .691, .788, .636 after 500
questions.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "idc") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(method)
    configuration.for_wnids(config, "imagenet_dogs")
    return configuration.recipe(config, method)
