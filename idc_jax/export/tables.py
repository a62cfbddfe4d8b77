"""CSV and Parquet: the table as it is."""

from __future__ import annotations

import csv
import io

from idc_jax.errors import UserError
from idc_jax.export.destination import write_file
from idc_jax.export.request import Request
from idc_jax.export.table import COLUMNS, Row

_HEADER = ",".join(COLUMNS) + "\n"


def write_csv(request: Request) -> str:
    """Write ``COLUMNS``, one line per sample, as UTF-8."""
    text = io.StringIO()
    text.write(_HEADER)
    csv.writer(text, lineterminator="\n").writerows(request.table.rows())
    header = _HEADER.encode()
    write_file(request.out, text.getvalue().encode(), lambda data: data.startswith(header))
    return ""


def write_parquet(request: Request) -> str:
    """Write ``COLUMNS``, one row per sample; the names of groups as a dictionary.

    Raises:
      UserError: PyArrow is missing.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UserError("Parquet needs PyArrow: pip install pyarrow, or --to=csv") from error

    def ours(data: bytes) -> bool:
        try:
            return tuple(parquet.read_schema(pa.BufferReader(data)).names) == COLUMNS
        except pa.ArrowException:
            return False

    columns = zip(*request.table.rows(), strict=True)
    table = pa.table(dict(zip(Row._fields, map(list, columns), strict=True)))
    names = table["name"].dictionary_encode()
    table = table.set_column(COLUMNS.index("name"), "name", names)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    write_file(request.out, buffer.getvalue(), ours)
    return ""
