"""Features that somebody else's network made: an .npz with ``features``, perhaps ``labels``.

An .npy, .csv or .parquet does as well; ``docs/data.md`` says what arrays and columns may be called.

    python launch.py --config=configs/features.py --config.data.path=FILE.npz \
        --config.num_clusters=20 --config.budget=500
    python launch.py --config=configs/features.py:idc --config.data.path=FILE.npz

On 60,000 features of CIFAR-20's images (256 numbers each) 500 answers take the graph committee to
an accuracy of 0.64 (100 answers: 0.58), and IDC to 0.60; with its paper's settings,
``:idc_paper``, IDC reaches 0.48.
"""

from ml_collections import ConfigDict

from idc_jax.runs import configuration


def get_config(method: str = "graph_committee") -> ConfigDict:
    """Build the configuration."""
    config = configuration.get_config(configuration.method_of(method))
    configuration.for_features(config)
    config.data.source = "features"
    return configuration.recipe(config, method, affordable=True)
