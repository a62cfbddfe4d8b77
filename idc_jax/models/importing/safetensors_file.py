"""Safetensors: a JSON header and raw little-endian numbers, nothing that can run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from idc_jax.errors import UserError

# The format's own limit on its header, in bytes.
_HEADER_LIMIT = 100_000_000
_DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
    "U16": np.dtype(np.uint16),
    "U32": np.dtype(np.uint32),
    "U64": np.dtype(np.uint64),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def read(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a file.

    Raises:
      UserError: a damaged file, or a type of numbers that is not known here.
    """
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > min(_HEADER_LIMIT, len(raw) - 8):
        raise UserError(f"{path} is not a safetensors file, or is cut off")
    try:
        header = json.loads(raw[8 : 8 + length])
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        body = memoryview(raw)[8 + length :]
        unknown = {entry["dtype"] for entry in entries.values()} - _DTYPES.keys()
        if unknown:
            raise UserError(
                f"{path} holds numbers of type {', '.join(sorted(unknown))}, which are not read "
                f"here: save it in float32, float16 or bfloat16"
            )
        return {name: _tensor(entry, body) for name, entry in entries.items()}
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is a damaged safetensors file: {error}") from error


def write(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write ``tensors``, sorted by name, with ``metadata`` in the header."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end, parts = 0, []
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        data = value.tobytes()
        start, end = end, end + len(data)
        header[name] = {
            "dtype": _NAMES[value.dtype],
            # ascontiguousarray turns a scalar into one row.
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
        parts.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    # Readers that map the file want the numbers aligned.
    text += b" " * (-len(text) % 8)
    path.write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *parts]))


def _tensor(entry: Mapping[str, Any], body: memoryview) -> np.ndarray:
    dtype = _DTYPES[entry["dtype"]]
    shape = tuple(int(size) for size in entry["shape"])
    start, end = (int(offset) for offset in entry["data_offsets"])
    if not 0 <= start <= end <= len(body) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"offsets {start}..{end} do not hold {entry['dtype']} {list(shape)}")
    return np.frombuffer(body[start:end], dtype).reshape(shape).copy()
