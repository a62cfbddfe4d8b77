"""Fashion-MNIST: 70,000 grey 28-pixel images of ten garments, as IDX files.

    python launch.py --config=configs/fashion_mnist.py --config.data.path=FOLDER

Debian's package dataset-fashion-mnist installs the files where this looks without a path.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(method: str = "idc") -> ConfigDict:
    """Build the configuration."""
    config = base.get_config(method)
    base.for_small_network(config)
    config.num_clusters = 10
    config.data.source = "idx"
    config.data.name = "fashion_mnist"
    config.model.name = "resnet_small"
    return config
