"""Other ways to look at a data set: maps from its classes to those that a person has in mind.

The orientations of "Personalized Clustering via Targeted Representation Learning", and one of
the digits. A map is an ordinary vector of labels, so any other is one line away.
"""

from typing import NamedTuple

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.errors import UserError, choose


class TargetMap(NamedTuple):
    """What becomes of each class.

    Attributes:
      targets: the new class of each old one, by class id.
      names: the new classes' names.
    """

    targets: tuple[int, ...]
    names: tuple[str, ...]


def _digits(rows: str) -> tuple[int, ...]:
    return tuple(int(digit) for digit in rows.replace(" ", ""))


# The default orientation of CIFAR100-4 has no semantic reading, so its groups have no names.
_GROUPS = ("group 0", "group 1", "group 2", "group 3")

TARGET_MAPS: dict[str, TargetMap] = {
    "cifar10_2_default": TargetMap(_digits("0011111100"), ("vehicles", "animals")),
    "cifar10_2_personal": TargetMap(_digits("0101110101"), ("plane, bird, frog, ship", "the rest")),
    "cifar100_4_default": TargetMap(
        _digits(
            "0333121002 0322112211 2303020100 3131130210 2011113112"
            "1110031021 2001333322 0233132110 1200220212 2303231330"
        ),
        _GROUPS,
    ),
    "cifar100_4_personal": TargetMap(
        _digits(
            "2100031133 3033103310 3032131131 0012001303 3300110232"
            "1222202232 2320010233 2201103111 1322333303 3121302001"
        ),
        ("large mammals and people", "other animals", "plants and nature", "man-made"),
    ),
    # By position of the sorted WNIDs of idc_jax.data.CLASS_LISTS["imagenet10_2"].
    "imagenet10_2_default": TargetMap(_digits("0000011111"), ("animals", "vehicles")),
    "imagenet10_2_personal": TargetMap(_digits("0111011001"), ("group 0", "group 1")),
    "digits_2_parity": TargetMap(_digits("0101010101"), ("even", "odd")),
    # Straight strokes alone against digits with a bow or a loop.
    "digits_2_shape": TargetMap(_digits("0100100100"), ("round", "straight")),
}


def retarget(dataset: Dataset, name: str) -> Dataset:
    """Replace a data set's classes by those of a target map.

    Args:
      dataset: with labels.
      name: one of ``TARGET_MAPS``.

    Returns:
      The same samples with the new labels and class names.

    Raises:
      UserError: an unknown map, no labels, or a class that the map does not know.
    """
    if name not in TARGET_MAPS:
        raise UserError(f"unknown target map {name!r}; {choose(TARGET_MAPS)}")
    if dataset.labels is None:
        raise UserError(f"target map {name!r} needs labels, but {dataset.name} has none")
    targets, names = TARGET_MAPS[name]
    highest = int(dataset.labels.max(initial=0))
    if highest >= len(targets):
        raise UserError(
            f"target map {name!r} is made for {len(targets)} classes, but {dataset.name} has a "
            f"class {highest}"
        )
    known = dataset.labels >= 0
    mapped = np.asarray(targets, np.int32)[np.maximum(dataset.labels, 0)]
    labels = np.where(known, mapped, -1).astype(np.int32)
    return dataset._replace(labels=labels, class_names=names)
