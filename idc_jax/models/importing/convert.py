"""Torch weights into our variables, our variables into torch weights, and a report of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import flax.traverse_util
import jax.numpy as jnp
import numpy as np

from idc_jax.errors import UserError
from idc_jax.models.base import Variables
from idc_jax.models.importing import safetensors_file
from idc_jax.models.importing.canonical import canonical, joined
from idc_jax.models.importing.layouts import Layout
from idc_jax.models.importing.names import Naming, from_torch, to_torch, torch_name


class ImportReport(NamedTuple):
    """What became of every weight.

    Attributes:
      source: whose checkpoint it was.
      matched: our names, as ``a/b/c``, of the weights that were taken over.
      initialised: our names of those that were not in the checkpoint, or not wanted from it.
      dropped: the checkpoint's names of tensors that have no place here.
    """

    source: str
    matched: tuple[str, ...]
    initialised: tuple[str, ...]
    dropped: tuple[str, ...]

    def lines(self, most: int = 6) -> list[str]:
        """The report for people, with at most ``most`` names of a kind."""
        return [
            f"{self.source}: {len(self.matched)} weights taken over",
            _line("initialised afresh", self.initialised, most),
            _line("dropped", self.dropped, most),
        ]


def import_variables(
    tensors: Mapping[str, np.ndarray],
    layout: Layout,
    fresh: Variables,
    *,
    reinitialise: tuple[str, ...] = (),
) -> tuple[Variables, ImportReport]:
    """Fill a network's fresh variables from a checkpoint.

    Args:
      tensors: the checkpoint's, of :func:`idc_jax.models.importing.read_checkpoint`.
      layout: of :func:`idc_jax.models.importing.recognise`.
      fresh: of the network that ``layout`` describes, freshly initialised.
      reinitialise: parts to leave as they are in ``fresh``: ``"cluster_head"``,
        ``"instance_head"``, ``"attention"``, or ``"backbone/fc"``.

    Returns:
      Variables shaped like ``fresh``, float32, and the report.

    Raises:
      UserError: a weight whose shape differs (both are named), one that is not finite or no
        number with a fraction; a backbone, projector or attention that fits only in part.
    """
    tensors = canonical(tensors)
    flat = flax.traverse_util.flatten_dict(fresh)
    filled, matched, initialised, used = {}, [], [], set()
    for path, value in flat.items():
        name = torch_name(path, layout.naming)
        wanted = not "/".join(path[1:]).startswith(tuple(f"{part}/" for part in reinitialise))
        if name is None or name not in tensors or not wanted:
            filled[path] = value
            initialised.append("/".join(path))
            continue
        filled[path] = _checked(path, name, tensors[name], value.shape)
        matched.append("/".join(path))
        used.add(name)
    dropped = tuple(name for name in tensors if name not in used)
    _check_whole(initialised, dropped, layout)
    report = ImportReport(layout.source, tuple(matched), tuple(initialised), dropped)
    return flax.traverse_util.unflatten_dict(filled), report


def export_safetensors(
    path: str | Path,
    variables: Variables,
    naming: Naming,
    *,
    half: bool = False,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a network with torch's names and layouts, to be read by ``load_state_dict``.

    Args:
      path: the file; it is replaced.
      variables: the network's.
      naming: whose names to write.
      half: write kernels in float16. Biases, scales and BatchNorm's statistics are few, and a
        small variance would lose its digits: they stay float32.
      notes: about where the weights come from, kept in the file's header.

    Raises:
      UserError: a weight that these names have no word for.
    """
    out: dict[str, np.ndarray] = {}
    for ours, value in flax.traverse_util.flatten_dict(variables).items():
        name = torch_name(ours, naming)
        if name is None:
            raise UserError(f"{'/'.join(ours)} has no name in the layout {naming.backbone}")
        turned = to_torch(ours, np.asarray(value), naming)
        out[name] = turned.astype(np.float16) if half and ours[-1] == "kernel" else turned
        if ours[-1] == "mean":
            # torch's BatchNorm insists on its counter.
            out[name.replace("running_mean", "num_batches_tracked")] = np.asarray(0, np.int64)
    safetensors_file.write(
        Path(path), joined(out, naming.backbone), {"format": "pt", **(notes or {})}
    )


def _checked(
    path: tuple[str, ...], name: str, value: np.ndarray, shape: tuple[int, ...]
) -> jnp.ndarray:
    turned = from_torch(path, value, shape)
    if turned.shape != shape:
        raise UserError(
            f"{name} has shape {list(value.shape)} in the checkpoint, which here is "
            f"{list(turned.shape)}; the network's {'/'.join(path)} has {list(shape)}"
        )
    if value.dtype.kind in "iub":
        raise UserError(
            f"{name} holds whole numbers ({value.dtype.name}): quantised checkpoints are not read; "
            f"save it in float32, float16 or bfloat16"
        )
    numbers = turned.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise UserError(f"{name} holds values that are not finite")
    return jnp.asarray(numbers)


def _check_whole(initialised: list[str], dropped: tuple[str, ...], layout: Layout) -> None:
    """A backbone of which a part is missing or left would be silently worthless."""
    whole = ("backbone", "projector", "attention")
    missing = [name for name in initialised if name.split("/")[1] in whole]
    if missing:
        raise UserError(
            f"the {layout.source} checkpoint lacks {len(missing)} weights of its "
            f"{layout.network}, {missing[0]} among them"
        )
    prefix, family = layout.naming.prefix, layout.family
    below = {name.removeprefix(prefix): name for name in dropped if name.startswith(prefix)}
    left = [
        name
        for part, name in below.items()
        if re.match(family.body, part) and not re.match(family.spare, part)
    ]
    if left:
        raise UserError(
            f"the checkpoint's {layout.network} has {len(left)} weights that such a network "
            f"does not have, {left[0]} among them: a variant that is not known here"
        )


def _line(what: str, names: tuple[str, ...], most: int) -> str:
    shown = ", ".join(names[:most]) + (", ..." if len(names) > most else "")
    return f"{what}: {len(names)}" + (f" ({shown})" if names else "")
