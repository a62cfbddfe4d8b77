"""Plain arrays in an ``.npz`` or ``.npy``: what cannot be read is told in one line."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from idc_jax.errors import UserError

Found = TypeVar("Found")


def read_arrays(path: Path, pick: Callable[[np.ndarray | np.lib.npyio.NpzFile], Found]) -> Found:
    """What ``pick`` takes from the file's array (``.npy``) or arrays by name (``.npz``).

    Raises:
      UserError: the file is no such file, or holds more than plain arrays.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return pick(loaded)
        with loaded:
            return pick(loaded)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as .npz or .npy: {error}") from error
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path} does not hold plain numeric arrays: {error}") from error
