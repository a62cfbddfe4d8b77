"""Checkpoints of other projects, read without PyTorch and without trusting them.

imported = open_network("checkpoint_1000.tar", num_clusters=10, input_shape=(224, 224, 3))
variables, report = imported.fill(imported.model.init(key, x))
"""

from idc_jax.models.importing.convert import ImportReport, export_safetensors, import_variables
from idc_jax.models.importing.known import NETWORK_SIDES, available, best_network, locate
from idc_jax.models.importing.layouts import Layout, recognise
from idc_jax.models.importing.names import Naming
from idc_jax.models.importing.network import Imported, open_network
from idc_jax.models.importing.read import read_checkpoint

__all__ = [
    "NETWORK_SIDES",
    "ImportReport",
    "Imported",
    "Layout",
    "Naming",
    "available",
    "best_network",
    "export_safetensors",
    "import_variables",
    "locate",
    "open_network",
    "read_checkpoint",
    "recognise",
]
