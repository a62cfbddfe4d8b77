"""The 1,797 digits in two groups: round ones against straight ones, or even against odd.

    python launch.py --config=configs/digits_2.py:pcl

Nothing to download. ``--config.data.target_map`` chooses the orientation: ``digits_2_shape`` or
``digits_2_parity``.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "pcl") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(configuration.method_of(method))
    configuration.for_digits(config)
    config.num_clusters = 2
    config.data.target_map = "digits_2_shape"
    return configuration.recipe(config, method, affordable=True)
