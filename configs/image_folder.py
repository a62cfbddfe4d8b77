"""A folder of your own images, with a subfolder for each class or without any.

    python launch.py --config=configs/image_folder.py --config.data.path=FOLDER \
        --config.num_clusters=12 --config.annotator.kind=page

Subfolders, where there are any, are only used to score the result and to simulate answers
(``--config.annotator.kind=oracle``).
"""

from ml_collections import ConfigDict

from configs import base


def get_config(method: str = "idc") -> ConfigDict:
    """Build the configuration."""
    config = base.get_config(method)
    config.num_clusters = 10
    config.budget = 100
    config.data.source = "folder"
    config.data.image_size = 64
    config.model.name = "resnet_small"
    config.idc.head_steps = 200
    config.finetune.pseudo_labels = "graph"
    return config
