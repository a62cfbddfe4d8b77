"""Features in a ``.parquet`` table: a column of vectors, or a column for each number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from idc_jax.data.sources.base import Request
from idc_jax.data.sources.columns import Columns, columns_of
from idc_jax.errors import UserError


def read_parquet(path: Path, request: Request) -> Columns:
    """Read a table; columns that are neither numbers, text nor vectors are left out.

    Raises:
      UserError: it is damaged, has no numbers, or pyarrow is missing.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise UserError(f"reading {path} needs pyarrow: pip install pyarrow") from error
    try:
        table = parquet.ParquetFile(path).read()
        if not table.num_rows:
            raise UserError(f"{path} has no rows")
        found = {name: arrow_column(table.column(name)) for name in table.column_names}
    except UserError:
        raise
    except Exception as error:  # Whatever a damaged file can lead to.
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} cannot be read as .parquet: {reason}") from error
    left = [name for name, column in found.items() if column is None]
    notes = [f"left out are the columns {', '.join(left)}"] if left else []
    columns = {name: column for name, column in found.items() if column is not None}
    return columns_of(
        columns,
        str(path),
        features_key=request.features_key,
        label_key=request.label_key,
        notes=notes,
    )


def arrow_column(column: Any) -> np.ndarray | None:
    """A column of Arrow's: numbers ``[n]``, NaN where missing, strings ``[n]``, vectors ``[n, d]``.

    None for anything else, and for vectors of several lengths.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return arrow_column(column.cast(kind.value_type))
    if pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind):
        plain = column if not column.null_count else pc.cast(column, pa.float64())
        return plain.to_numpy()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.asarray(pc.fill_null(column, "").to_pylist(), str)
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(is_list(kind) for is_list in lists):
        return _vectors(column, kind)
    return None


def _vectors(column: Any, kind: Any) -> np.ndarray | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.list_value_length(column).unique().to_pylist()
    number = pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    if not number or len(lengths) != 1 or not lengths[0]:
        return None
    values = pc.list_flatten(column)
    plain = values if not values.null_count else pc.cast(values, pa.float64())
    return plain.to_numpy().reshape(len(column), lengths[0])
