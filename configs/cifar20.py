"""CIFAR-20: the 60,000 images of CIFAR-100 by their 20 superclasses.

    python launch.py --config=configs/cifar20.py --config.data.path=TFDS_DIRECTORY

The default is the published scale: a ResNet-34 on 32-pixel images, pre-trained by contrast for
200 epochs, 500 questions. That takes hours on one GPU and is out of reach on a CPU; there, a
short run on a part of the data shows that everything works (under ten minutes on 2 cores; ACC .11
before and .13 after 100 answers: three epochs teach a network little)::

    python launch.py --config=configs/cifar20.py --config.data.path=TFDS_DIRECTORY \
        --config.data.limit=2000 --config.model.name=resnet_small --config.model.width=16 \
        --config.pretrain.epochs=3 --config.budget=100

The paper's numbers (NMI, ACC, ARI) are .529, .531, .357 before and .581, .694, .487 after.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "idc") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(method)
    config.num_clusters = 20
    config.data.source = "tfds"
    config.data.name = "cifar100"
    config.data.label_key = "coarse_label"
    config.model.name = "resnet34"
    config.model.stem = "small"
    return configuration.recipe(config, method)
