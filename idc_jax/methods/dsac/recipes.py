"""What the paper says; its code does not run. docs/recipes.md cites the source of each."""

from __future__ import annotations

from typing import Any

PAPER: dict[str, Any] = {
    "budget": 100,
    "rounds": 5,
    "init": "pretrain",
    "model.name": "convnext_tiny",
    "model.embedding_dim": 200,
    "model.head": "linear",
    "pretrain.cluster_weight": 0.0,
    "pretrain.entropy_weight": 0.0,
    "dsac.picks": "dsac",
    "dsac.groups": "classes",
    "dsac.space": "network",
    "dsac.shortlist": 6,
    "dsac.num_neighbors": 6,
    "dsac.normalized_compactness": False,
    "dsac.percentile": 95.0,
    "dsac.pseudo_labels": "representative",
    "dsac.pseudo_start": 50,
    "dsac.pseudo_growth": 1000,
    "dsac_training.epochs": 100,
    "dsac_training.batch_size": 128,
    "dsac_training.learning_rate": 2e-5,
    "dsac_training.unsupervised_weight": 1.0,
    "dsac_training.center_weight": 0.01,
    "dsac_training.unit_embeddings": False,
}
