"""More data that choose: settings were tried on them, beside the sets of ``tasks``.

They are of other kinds than those: tables, texts, and a network's features of another domain.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Callable

import numpy as np

from benchmarks.answers.sources import (
    as_task,
    drawn,
    mlbench,
    numbers,
    read_by_minilm,
    seen_by_efficientnet,
    standard,
)
from benchmarks.answers.tasks import Task
from idc_jax.errors import UserError

# Sections of Debian's packages by what they are for.
SECTIONS = "net science games admin graphics sound text math fonts web education mail"
DESCRIPTIONS = 6_000


@functools.cache
def vowel() -> Task:
    """Eleven vowels of 15 speakers by nine numbers of their sound, of mlbench."""
    table = mlbench("Vowel")
    return as_task(standard(table.drop(columns=["V1", "Class"])), numbers(table["Class"]))


@functools.cache
def vehicle() -> Task:
    """Four kinds of vehicles by 18 numbers of their outline, of mlbench."""
    table = mlbench("Vehicle")
    return as_task(standard(table.drop(columns="Class")), numbers(table["Class"]))


@functools.cache
def dna() -> Task:
    """Three kinds of places in genes by 180 bits of what surrounds them, of mlbench."""
    table = mlbench("DNA")
    return as_task(
        standard(np.asarray(table.drop(columns="Class"), float)), numbers(table["Class"])
    )


@functools.cache
def packages() -> Task:
    """Texts: what Debian's packages say of themselves, by section, as MiniLM reads them."""
    if shutil.which("apt-cache") is None:
        raise UserError("apt-cache is missing: the descriptions are those of Debian's packages")
    listed = subprocess.run(
        ["apt-cache", "dumpavail"], capture_output=True, text=True, check=True
    ).stdout
    sections, found = SECTIONS.split(), {}
    for entry in listed.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Section|Description): (?:.*/)?(.*)$", entry, re.M))
        if fields.get("Section") in sections and "Description" in fields:
            found.setdefault(fields["Description"], (fields["Package"], fields["Section"]))
    kept = np.random.default_rng(0).permutation(len(found))[:DESCRIPTIONS]
    texts, of = list(found), list(found.values())
    x = read_by_minilm("packages", [f"{of[one][0]}: {texts[one]}" for one in kept])
    return as_task(x, numbers([of[one][1] for one in kept]))


@functools.cache
def digits_net() -> Task:
    """Scikit-learn's digits, four times as large, as EfficientNet-Lite0 sees them at 96 px."""
    from sklearn.datasets import load_digits

    from idc_jax import data

    found = load_digits()
    grey = np.kron(
        (found.images * 15.9).astype(np.uint8)[..., None], np.ones((1, 4, 4, 1), np.uint8)
    )
    images = data.load("digits")._replace(inputs=np.repeat(grey, 3, axis=3), labels=found.target)
    return as_task(seen_by_efficientnet(images, 96), found.target)


WHOLE: dict[str, Callable[[], Task]] = {
    "vowel": vowel,
    "vehicle": vehicle,
    "dna": dna,
    "packages": packages,
    "digits_net": digits_net,
}
MORE: dict[str, Callable[[int], Task]] = {
    name: functools.partial(drawn, whole) for name, whole in WHOLE.items()
}
