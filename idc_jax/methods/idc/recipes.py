"""What the paper says, and what its published code does where that differs.

docs/recipes.md cites the source of each.
"""

from __future__ import annotations

from typing import Any

PAPER: dict[str, Any] = {
    "budget": 500,
    "rounds": 1,
    "init": "pretrain",
    "model.name": "resnet34",
    "model.stem": "imagenet",
    "model.head": "relu_first",
    "views.size": 224,
    "views.strong": "randaugment",
    "views.operations": 4,
    "views.cutout": 75 / 224,
    "idc.space": "network",
    "idc.hops": 0,
    "idc.centers": "kmeans",
    "idc.head_steps": 0,
    "idc.reference": False,
    "idc.use_hardness": True,
    "idc.use_representativeness": True,
    "idc.use_diversity": True,
    "idc.num_neighbors": 20,
    "idc.candidates": "cosine",
    "idc.num_candidates": 5,
    "idc.show_asked": True,
    "finetune.epochs": 100,
    "finetune.batch_size": 100,
    "finetune.min_steps": 0,
    "finetune.learning_rate": 1e-4,
    "finetune.weight_decay": 1e-4,
    "finetune.positive_weight": 1.0,
    "finetune.negative_weight": 1.0,
    "finetune.regularisation_weight": 1.0,
    "finetune.balanced": False,
    "finetune.negative": "sampled",
    "finetune.pseudo_labels": "threshold",
    "finetune.threshold": 0.99,
    "finetune.exclude_queried": False,
    "finetune.restart_unlabelled": False,
}

CODE: dict[str, Any] = PAPER | {
    "idc.centers": "head",
    "idc.reference": True,
    "finetune.balanced": True,
    "finetune.pseudo_labels": "store",
    "finetune.quota": 0.2,
    "finetune.restart_unlabelled": True,
}
