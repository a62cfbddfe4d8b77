"""Checkpoints of other projects, read without PyTorch and without trusting them.

imported = open_network("checkpoint_1000.tar", num_clusters=10, input_shape=(32, 32, 3))
variables, report = imported.fill(imported.model.init(key, x))
"""

from idc_jax.models.importing.convert import ImportReport, export_safetensors, import_variables
from idc_jax.models.importing.known import (
    KNOWN,
    available,
    best_network,
    in_cache,
    locate,
    usually_shown,
)
from idc_jax.models.importing.layouts import Layout, recognise
from idc_jax.models.importing.names import Naming
from idc_jax.models.importing.network import Imported, layout_of, open_network
from idc_jax.models.importing.read import checkpoint_files, holds_checkpoint, read_checkpoint
from idc_jax.models.importing.shown import AUTO, NORMALISATIONS, Shown, check_normalisation

__all__ = [
    "AUTO",
    "KNOWN",
    "NORMALISATIONS",
    "ImportReport",
    "Imported",
    "Layout",
    "Naming",
    "Shown",
    "available",
    "best_network",
    "check_normalisation",
    "checkpoint_files",
    "export_safetensors",
    "holds_checkpoint",
    "import_variables",
    "in_cache",
    "layout_of",
    "locate",
    "open_network",
    "read_checkpoint",
    "recognise",
    "usually_shown",
]
