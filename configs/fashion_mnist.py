"""Fashion-MNIST: 70,000 grey 28-pixel images of ten garments, as IDX files.

    python launch.py --config=configs/fashion_mnist.py --config.data.path=FOLDER

Debian's package dataset-fashion-mnist installs the files where this looks without a path. The
network is sized for a CPU: two dense layers, pre-trained for ten epochs.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "idc") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(configuration.method_of(method))
    configuration.for_dense_network(config)
    config.num_clusters = 10
    if configuration.asks(config) == "cluster":
        config.rounds = 5
    config.data.source = "idx"
    config.data.name = "fashion_mnist"
    config.pretrain.epochs = 10
    config.pretrain.batch_size = 512
    config.idc.head_steps = 300
    config.idc.candidates = "probability"
    return configuration.recipe(config, method, affordable=True)
