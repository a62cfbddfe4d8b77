"""DSAC, "Deep Self-paced Active Learning for Image Clustering"."""

from idc_jax.methods.contract import MethodSpec
from idc_jax.methods.dsac.method import build
from idc_jax.methods.dsac.recipes import PAPER
from idc_jax.methods.dsac.state import DsacContext, DsacOptions, DsacState
from idc_jax.methods.dsac.training import DsacTraining

__all__ = ["SPEC"]

SPEC = MethodSpec(
    name="dsac",
    summary='asks "what is this?" about representative and difficult samples of each cluster',
    asks=("label", "pair", "cluster", "grid"),
    build=build,
    context=DsacContext,
    state=DsacState,
    options={"dsac": DsacOptions, "dsac_training": DsacTraining},
    # The paper's rounds, heads and pre-training (SimCLR alone).
    defaults={
        "budget": 100,
        "rounds": 5,
        "model.head": "linear",
        "model.embedding_dim": 200,
        "pretrain.cluster_weight": 0.0,
        "pretrain.entropy_weight": 0.0,
    },
    recipes={"paper": PAPER},
    costly=("dsac_training",),
    small={
        "dsac.groups": "growing",
        "dsac.pseudo_labels": "graph",
        # Every sample learns what has reached it along the graph.
        "dsac.pseudo_start": 1_000_000,
        "dsac.normalized_compactness": True,
        "dsac_training.epochs": 4,
        "dsac_training.batch_size": 512,
        "dsac_training.learning_rate": 1e-3,
        "dsac_training.unit_embeddings": True,
    },
    features={"dsac.space": "input"},
)
"""DSAC."""
