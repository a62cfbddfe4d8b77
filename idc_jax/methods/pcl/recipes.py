"""What the published code does, and where the paper's own account differs.

docs/recipes.md cites the source of each.
"""

from __future__ import annotations

from typing import Any

PAPER: dict[str, Any] = {
    "budget": 10_000,
    # CIFAR's 50,000 training images are 391 blocks: one pair of each in a round, a round an epoch.
    "rounds": 26,
    "model.name": "resnet34",
    "model.stem": "imagenet",
    "model.head": "plain",
    "views.size": 128,
    "views.normalisation": "imagenet",
    "views.weak": "crop",
    "views.crop": 0.08,
    "views.mirror": True,
    "views.jitter": (0.4, 0.4, 0.4, 0.1),
    "pcl.picks": "both",
    "pcl.per_block": 1,
    "pcl.share": "step",
    "pcl.distinct": False,
    "pcl.uncertain": "fixed",
    "pcl.attention": "random",
    "pcl.num_heads": 8,
    "pcl_training.block_size": 128,
    "pcl_training.warmup_epochs": 10,
    "pcl_training.epochs": 1,
    # 501 in all.
    "pcl_training.final_epochs": 465,
    "pcl_training.learning_rate": 1e-5,
    "pcl_training.clip_norm": 20.0,
    "pcl_training.frozen_norm": False,
    "pcl_training.pseudo_threshold": 1.0,
}

CODE: dict[str, Any] = PAPER | {"pcl_training.frozen_norm": True}
