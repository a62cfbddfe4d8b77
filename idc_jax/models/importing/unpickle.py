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
    """Stand-in for ``argparse.Namespace``: attributes, no behaviour."""


class Inert(dict[Any, Any]):
    """Stand-in for a record of anybody's: it takes whatever it is given, and does nothing.

    Of those that are dicts in truth the items are kept, so that weights among them are found.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Of any arguments, which are forgotten."""
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Forget ``state``."""

    def append(self, item: Any) -> None:
        """Forget ``item``, of what is a list in truth."""

    def extend(self, items: Any) -> None:
        """Forget ``items``."""

    # It may be a key, or in a set.
    __hash__ = object.__hash__  # type: ignore[assignment]


class _StorageType(NamedTuple):
    dtype: np.dtype


class _NumberType(NamedTuple):
    """``torch.float32`` and the like."""

    dtype: np.dtype


def _rebuild_tensor(
    storage: StorageRef, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any
) -> TensorRef:
    del rest  # requires_grad, hooks, metadata
    if not isinstance(storage, StorageRef):
        raise UserError("a tensor without a storage: the checkpoint is damaged")
    return TensorRef(storage, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def _rebuild_untyped_tensor(
    storage: StorageRef, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any
) -> TensorRef:
    kind = rest[2] if len(rest) > 2 else None
    if not isinstance(storage, StorageRef) or not isinstance(kind, _NumberType):
        raise UserError("a tensor without a storage or a type: the checkpoint is damaged")
    count = storage.size // kind.dtype.itemsize
    return _rebuild_tensor(storage._replace(dtype=kind.dtype, size=count), offset, size, stride)


def _rebuild_subclass(rebuild: Any, kind: Any, arguments: tuple[Any, ...], state: Any) -> Any:
    """A tensor of a subclass of torch's, as the plain tensor that it holds."""
    del kind, state
    return rebuild(*arguments)


def _rebuild_parameter(data: Any, *rest: Any) -> Any:
    del rest  # requires_grad, hooks
    return data


def _reconstruct(kind: Any, *rest: Any) -> Any:
    """``copyreg``'s way to an object of ``kind``."""
    del rest  # its base and that one's state
    return kind() if kind in (Namespace, Inert) else Inert()


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
_NUMBERS: dict[str, Any] = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "int8": np.int8,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "bool": np.bool_,
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
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_untyped_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_subclass,
    ("torch", "Size"): tuple,
    ("copyreg", "_reconstructor"): _reconstruct,
    ("copy_reg", "_reconstructor"): _reconstruct,
}
_ALLOWED |= {
    (module, name): _StorageType(np.dtype(dtype))
    for name, dtype in _STORAGES.items()
    for module in ("torch", "torch.storage", "torch.cuda")
}
_ALLOWED |= {("torch", name): _NumberType(np.dtype(dtype)) for name, dtype in _NUMBERS.items()}
# What stands beside weights and is read by nobody here: devices, random states, NumPy's scalars
# and arrays, paths and dates.
_INERT = {
    "torch": ("device", "Tensor", "contiguous_format", "preserve_format", "strided", "Generator"),
    "torch.serialization": ("_get_layout",),
    "torch.nn.parameter": ("Parameter", "Buffer"),
    "torch.torch_version": ("TorchVersion",),
    "numpy": ("dtype", "ndarray", "float64", "float32", "float16", "int64", "int32", "bool_"),
    "numpy.core.multiarray": ("scalar", "_reconstruct"),
    "numpy._core.multiarray": ("scalar", "_reconstruct"),
    "numpy._core.numeric": ("_frombuffer",),
    "_codecs": ("encode",),
    "builtins": ("object", "complex", "frozenset", "slice", "range", "bytearray", "tuple"),
    "__builtin__": ("object", "complex", "frozenset", "slice", "xrange", "bytearray", "tuple"),
    "collections": ("Counter", "deque"),
    "datetime": ("datetime", "date", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "uuid": ("UUID",),
    "types": ("SimpleNamespace",),
}
_ALLOWED |= {(module, name): Inert for module, names in _INERT.items() for name in names}
# Packages whose records hold settings and logs.
_INERT_PACKAGES = (
    "addict",
    "easydict",
    "lightning",
    "lightning_fabric",
    "lightning_utilities",
    "ml_collections",
    "mmcv",
    "mmengine",
    "numpy.dtypes",
    "numpy.random",
    "omegaconf",
    "pathlib",
    "pytorch_lightning",
    "torch.optim",
    "yacs",
)


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickles plain containers and references to tensors, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve a name of the allow-list.

        Raises:
          UserError: any other name.
        """
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if any(f"{module}.".startswith(f"{package}.") for package in _INERT_PACKAGES):
            return Inert
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
