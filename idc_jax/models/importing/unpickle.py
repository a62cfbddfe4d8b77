"""Pickles of PyTorch read without PyTorch, and without running what they ask for.

A checkpoint from elsewhere is untrusted: an ordinary unpickler calls any function that the file
names. Here a name outside a short allow-list is an error, and the allowed ones resolve to inert
stand-ins.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from idc_jax.errors import UserError


class StorageRef(NamedTuple):
    """A block of numbers somewhere in the file.

    Attributes:
      key: its name there.
      dtype: of its numbers.
      size: how many the pickle says it holds.
    """

    key: str
    dtype: np.dtype
    size: int


class TensorRef(NamedTuple):
    """A tensor that has not been read yet.

    Attributes:
      storage: where its numbers are.
      offset: its first number's index in the storage.
      shape: of the tensor.
      strides: in numbers, not bytes.
    """

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, raw: bytes | memoryview) -> np.ndarray:
        """Copy the tensor out of its storage's bytes.

        Raises:
          UserError: a tensor that reaches outside its storage.
        """
        values = np.frombuffer(raw, self.storage.dtype)
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((size - 1) * step for size, step in steps)
        empty = 0 in self.shape
        if min((self.offset, *self.shape, *self.strides), default=0) < 0 or (
            not empty and last >= values.size
        ):
            raise UserError(
                f"a tensor of shape {self.shape} at {self.offset} reaches outside its storage of "
                f"{values.size} numbers: the checkpoint is damaged"
            )
        if empty:
            return np.zeros(self.shape, values.dtype)
        # A stride of 0 could blow a few bytes up to anything.
        if math.prod(self.shape) > values.size:
            raise UserError(f"a tensor of shape {self.shape} is larger than its storage")
        strides = [step * values.itemsize for step in self.strides]
        window = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides)
        return np.array(window)


class Namespace:
    """Stand-in for ``argparse.Namespace`` and other plain records: attributes, no behaviour."""


class _StorageType(NamedTuple):
    dtype: np.dtype


def _rebuild_tensor(
    storage: StorageRef, offset: int, size: tuple, stride: tuple, *rest: Any
) -> TensorRef:
    del rest  # requires_grad, hooks, metadata
    if not isinstance(storage, StorageRef):
        raise UserError("a tensor without a storage: the checkpoint is damaged")
    return TensorRef(storage, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def _rebuild_parameter(data: Any, *rest: Any) -> Any:
    del rest  # requires_grad, hooks
    return data


def _inert(*arguments: Any) -> None:
    """Stand-in for harmless values that nothing here reads (devices, random states, dtypes)."""
    del arguments


_STORAGES: dict[str, Any] = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "UntypedStorage": np.uint8,
}
_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): collections.defaultdict,
    ("builtins", "dict"): dict,
    ("builtins", "list"): list,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("argparse", "Namespace"): Namespace,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): tuple,
    ("torch", "device"): _inert,
    ("numpy", "dtype"): _inert,
    ("numpy.core.multiarray", "scalar"): _inert,
    ("numpy._core.multiarray", "scalar"): _inert,
    ("_codecs", "encode"): _inert,
    ("torch.serialization", "_get_layout"): _inert,
}
_ALLOWED |= {
    (module, name): _StorageType(np.dtype(dtype))
    for name, dtype in _STORAGES.items()
    for module in ("torch", "torch.storage")
}


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickles plain containers and references to tensors, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve a name of the allow-list.

        Raises:
          UserError: any other name.
        """
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        raise UserError(
            f"the checkpoint wants to use {module}.{name}, which no checkpoint of weights needs: "
            f"refused; save the state dict alone, or as .safetensors"
        )

    def persistent_load(self, pid: Any) -> StorageRef:
        """Resolve ``("storage", type, key, location, count, ...)``."""
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            raise UserError("an unknown kind of reference: the checkpoint is damaged")
        kind, key, count = pid[1], pid[2], pid[4]
        if not isinstance(kind, _StorageType):
            raise UserError(f"storages of type {kind!r} cannot be read")
        return StorageRef(str(key), kind.dtype, int(count))


def load(stream: BinaryIO | bytes) -> Any:
    """Unpickle one object from ``stream``.

    Raises:
      UserError: a name outside the allow-list, or a damaged pickle.
    """
    file = io.BytesIO(stream) if isinstance(stream, bytes) else stream
    try:
        return RestrictedUnpickler(file, encoding="latin1").load()
    except UserError:
        raise
    # A damaged pickle can raise nearly anything.
    except Exception as error:
        raise UserError(f"damaged pickle ({type(error).__name__}: {error})") from error
