"""The 1,797 digits that scikit-learn ships: nothing to download.

    python launch.py --config=configs/digits.py

Two to three minutes on 2 CPU cores. k-means on the pixels gives an accuracy of 0.79.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(method: str = "idc") -> ConfigDict:
    """Build the configuration."""
    config = base.get_config(method)
    config.num_clusters = 10
    config.budget = 50
    config.data.source = "digits"
    config.model.name = "resnet_small"
    config.views.mirror = False
    config.views.crop = 0.6
    return config
