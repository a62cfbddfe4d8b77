"""Everything that can be measured, by name."""

from __future__ import annotations

import importlib

from benchmarks.harness.points import Family, Store

FAMILIES = {
    "answers": "benchmarks.answers.family",
    "pairs": "benchmarks.answers.pairs",
    "heard": "benchmarks.answers.heard",
    "sets": "benchmarks.answers.reporting",
    "kinds": "benchmarks.kinds.family",
    "carries": "benchmarks.kinds.carry",
    "recipes": "benchmarks.recipes",
    "selectors": "benchmarks.selectors.family",
    "outlook": "benchmarks.outlook.report",
    "page": "benchmarks.page.family",
    "training": "benchmarks.training.step",
    "gpu": "benchmarks.gpu",
    "estimator": "benchmarks.estimator",
}


def load(name: str) -> Family:
    """A family of the list, or the one at ``module:attribute``."""
    module, _, attribute = FAMILIES.get(name, name).partition(":")
    return getattr(importlib.import_module(module), attribute or "FAMILY")


def store_of(name: str) -> Store:
    """Where a family of the list keeps its points."""
    family = load(name)
    return Store(family.home / f"{name}.jsonl", family.fields)
