"""Taking a run's groups elsewhere: folders, tables, and the formats of other programs."""

from idc_jax.export.formats import FORMATS, Format, Options, export
from idc_jax.export.pictures import Links, Pictures, from_arrays, from_files
from idc_jax.export.request import Request
from idc_jax.export.run import FinishedRun, read_run
from idc_jax.export.table import COLUMNS, Table, make_table
from idc_jax.report.naming import name_groups

__all__ = [
    "COLUMNS",
    "FORMATS",
    "FinishedRun",
    "Format",
    "Links",
    "Options",
    "Pictures",
    "Request",
    "Table",
    "export",
    "from_arrays",
    "from_files",
    "make_table",
    "name_groups",
    "read_run",
]
