"""What a published network is shown: the size, the cut, the resampling, the normalisation."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from idc_jax.errors import UserError, check_one_of

Rule = Literal["shorter", "stretch"]
Kernel = Literal["bilinear", "bicubic", "lanczos"]
Numbers = tuple[float, ...]
Normalisation = tuple[Numbers, Numbers]

NORMALISATIONS: dict[str, Normalisation] = {
    "none": ((), ()),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    # (x - 127) / 128 of the grey levels.
    "lite": ((127 / 255,) * 3, (128 / 255,) * 3),
}
"""Mean and standard deviation per channel of images in [0, 1], by name."""
# As the network's authors have it, and as they have it for the data set at hand.
AUTO = "auto"
"""Says that a network is shown what its authors showed it."""
BY_DATA_SET = "data set"
# Of a data set's name, without what is no letter and no digit; the first that is in it counts.
_DATA_SETS = (("cifar100", "cifar100"), ("cifar20", "cifar100"), ("cifar10", "cifar10"))


class Shown(NamedTuple):
    """What a network is shown of an image.

    Attributes:
      size: side in pixels of what it sees.
      resize: what the image is resized to, of which the middle ``size`` pixels are cut out.
      rule: of the resizing: ``"stretch"`` the whole image to a square, or make the ``"shorter"``
        side that long.
      kernel: of the resizing.
      normalisation: a name of ``NORMALISATIONS``, ``"data set"`` for that of the data set's
        (CIFAR-10's, CIFAR-100's, else ImageNet's), or mean and standard deviation.
      patch: the size is a multiple of it.
    """

    size: int
    resize: int
    rule: Rule
    kernel: Kernel
    normalisation: str | Normalisation
    patch: int = 1

    @property
    def numbers(self) -> Normalisation:
        """Mean and standard deviation per channel; empty for images in [0, 1]."""
        if isinstance(self.normalisation, str):
            return NORMALISATIONS[self.normalisation]
        return self.normalisation

    def at(self, size: int) -> Shown:
        """The same at another size, with as large a share cut off; 0 for its own.

        Raises:
          UserError: a size that its patches do not fill.
        """
        if size % self.patch:
            below = size - size % self.patch
            near = f"{below} or {below + self.patch}" if below else f"{self.patch}"
            raise UserError(
                f"views.size is {size}, but the network sees patches of {self.patch} pixels: "
                f"use {near}"
            )
        if not size or size == self.size:
            return self
        return self._replace(size=size, resize=round(size * self.resize / self.size))

    def on(self, data_set: str, normalisation: str = AUTO) -> Shown:
        """The same on a data set of this name, or with a normalisation that somebody chose."""
        check_normalisation(normalisation)
        if normalisation != AUTO:
            return self._replace(normalisation=normalisation)
        if self.normalisation != BY_DATA_SET:
            return self
        plain = re.sub("[^a-z0-9]", "", data_set.lower())
        found = next((name for part, name in _DATA_SETS if part in plain), "imagenet")
        return self._replace(normalisation=found)

    def told(self, stored: int, *, files: bool) -> str:
        """In words, of images stored at ``stored`` pixels, from ``files`` or as arrays."""
        cut = "" if self.size == self.resize else f", the middle of {self.resize}"
        how = "stretched" if self.rule == "stretch" else "by the shorter side"
        fit = f"{how} from {stored} px, {self.kernel}"
        if stored == self.resize:
            fit = f"{how}, {self.kernel}" if files else "as they are"
        return f"at {self.size} px{cut} ({fit}), {self._normalised()}"

    def _normalised(self) -> str:
        mean, std = self.numbers
        if not mean:
            return "values from 0 to 1"
        known = {numbers: f"{name}: " for name, numbers in NORMALISATIONS.items()}
        mean_said, std_said = (" ".join(f"{v:.4g}" for v in part) for part in (mean, std))
        return f"normalised ({known.get((mean, std), '')}mean {mean_said}, std {std_said})"


def check_normalisation(name: str) -> None:
    """Refuse what is neither ``"auto"`` nor one of ``NORMALISATIONS``.

    Raises:
      UserError: naming the choices.
    """
    check_one_of("views.normalisation", name, (AUTO, *NORMALISATIONS))
