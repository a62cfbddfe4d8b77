"""Configs made small enough for a test."""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict


def shrink(config: ConfigDict, tmp_path: Path) -> ConfigDict:
    """Make ``config`` a matter of seconds; what it does stays the same."""
    config.num_clusters = 4
    config.budget, config.rounds = 12, 2
    config.progress = False
    config.report.map = False
    config.data.cache = str(tmp_path / "cache")
    config.model.width = 8
    config.pretrain.epochs = 1
    config.pretrain.batch_size = 32
    config.idc.head_steps = min(config.idc.head_steps, 5)
    config.finetune.epochs, config.finetune.min_steps = 2, 0
    config.finetune.batch_size = 6
    config.dsac_training.epochs = 1
    config.dsac_training.batch_size = config.dsac_training.labelled_batch = 16
    config.pcl_training.block_size = 32
    config.pcl_training.warmup_epochs = config.pcl_training.epochs = 1
    config.pcl_training.final_epochs = 0
    config.ipc_training.warmup_epochs = config.ipc_training.epochs = 2
    config.ipc_training.min_steps = 0
    return config
