"""IDX files, the format of MNIST and Fashion-MNIST, gzipped or plain."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.data.decode import fit_all
from idc_jax.data.sources.base import Request, compact_labels, existing_path, named_splits
from idc_jax.data.subset import choose, keep
from idc_jax.errors import UserError

# Where Debian's package dataset-fashion-mnist puts them.
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
_FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_PREFIXES = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTE = 8


def load_idx(request: Request) -> Dataset:
    """Read images ``[n, h, w, 1]`` and, where the files are there, labels.

    Raises:
      UserError: no such folder or file, a file that is damaged, unequal counts.
    """
    folder = _folder(request)
    parts = [_split(folder, split) for split in named_splits(request)]
    shapes = {images.shape[1:] for images, _ in parts}
    if len(shapes) > 1 or not sum(len(images) for images, _ in parts):
        told = " and ".join(str(list(shape)) for shape in sorted(shapes))
        raise UserError(f"{folder} holds images {told} of its splits; all must have one size")
    images = np.concatenate([images for images, _ in parts])
    sizes = [len(images) for images, _ in parts]
    labels, names = _join_labels(folder, [labels for _, labels in parts])
    kept = choose(request.limit, len(images), labels)
    return Dataset(
        name=request.name or folder.name,
        kind="images",
        inputs=fit_all(keep(images, kept)[..., None], request.image_size),
        labels=None if labels is None else labels[kept],
        class_names=names,
        names=(),
        train=np.repeat([split == "train" for split in request.splits], sizes)[kept],
        skipped=(),
    )


def _folder(request: Request) -> Path:
    wanted = "a folder of IDX files such as train-images-idx3-ubyte.gz"
    if request.path is None and not DEBIAN_FASHION_MNIST.exists():
        raise UserError(
            f"{DEBIAN_FASHION_MNIST} does not exist: install Debian's dataset-fashion-mnist, "
            f"or name {wanted}"
        )
    return existing_path(request._replace(path=request.path or DEBIAN_FASHION_MNIST), wanted)


def _split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray | None]:
    if split not in _PREFIXES:
        raise UserError(f"IDX files have no split {split!r}: use {', '.join(_PREFIXES)}")
    prefix = _PREFIXES[split]
    found = _find(folder, f"{prefix}-images-idx3-ubyte")
    if found is None:
        raise UserError(f"{folder} has no {prefix}-images-idx3-ubyte, gzipped or plain")
    images = read_idx(found, dimensions=3)
    found = _find(folder, f"{prefix}-labels-idx1-ubyte")
    if found is None:
        return images, None
    labels = read_idx(found, dimensions=1)
    if len(labels) != len(images):
        raise UserError(f"{found} has {len(labels)} labels for {len(images)} images")
    return images, labels


def _find(folder: Path, name: str) -> Path | None:
    # Older copies write train-images.idx3-ubyte.
    names = (name, name.replace("-idx", ".idx"))
    candidates = (folder / f"{stem}{ending}" for stem in names for ending in (".gz", ""))
    return next((path for path in candidates if path.is_file()), None)


def _join_labels(
    folder: Path, labels: list[np.ndarray | None]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    present = [part for part in labels if part is not None]
    if not present:
        return None, ()
    if len(present) < len(labels):
        raise UserError(f"{folder} has labels for some splits only: add the others or remove these")
    joined = np.concatenate(present)
    fashion = "fashion" in folder.name and joined.max() < len(_FASHION_NAMES)
    return compact_labels(joined, _FASHION_NAMES if fashion else ())


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes.

    Raises:
      UserError: it is damaged or holds something else.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]):
        raise UserError(f"{path} is no IDX file of unsigned bytes with {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    if len(data) - header != int(np.prod(shape, dtype=np.int64)):
        raise UserError(f"{path} has {len(data) - header} bytes of data, not {list(shape)}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
