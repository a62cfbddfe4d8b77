"""What the paper says; docs/recipes.md cites the source of each."""

from __future__ import annotations

from typing import Any

# `ipc.space` is left to the config: features as they are, images as their network sees them.
PAPER: dict[str, Any] = {
    "budget": 500,
    "rounds": 1,
    "ipc.decorrelate": False,
    "ipc.hops": 0,
    "ipc.starts": 1,
    "ipc.per_anchor": 5,
    "ipc.hardness": 0.0,
    "ipc.closure": False,
    "ipc.spread": 0.0,
    "ipc_training.hidden": 512,
    "ipc_training.warmup_epochs": 10,
    "ipc_training.warmup_batch": 320,
    "ipc_training.epochs": 90,
    "ipc_training.batch_size": 64,
    "ipc_training.min_steps": 0,
    "ipc_training.learning_rate": 1e-4,
    "ipc_training.threshold": 0.9,
    "ipc_training.quota": 0.2,
    "ipc_training.pair_weight": 1.0,
    "ipc_training.pseudo_weight": 1.0,
}
