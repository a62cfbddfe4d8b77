"""Other libraries on the same data: each function imports what it needs when it is called."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.figures import once
from benchmarks.selectors import data, plain

Figures = dict[str, Any]


def torch_knn(x: np.ndarray, budget: int, block: int = 2000) -> Figures:
    """As IDC's published code does it: ``topk`` of whole rows of the distance matrix."""
    import torch

    del budget
    z = torch.from_numpy(x)
    norms = (z * z).sum(1)

    def search() -> np.ndarray:
        found = []
        for start in range(0, len(z), block):
            distances2 = norms[None] - 2 * z[start : start + block] @ z.T
            own = torch.arange(len(distances2))
            distances2[own, own + start] = torch.inf
            found.append(torch.topk(distances2, 20, largest=False).indices)
        return torch.cat(found).numpy()

    figures, found = once(search)
    return figures | {"recall": plain.recall(x, found)}


def torch_greedy(x: np.ndarray, budget: int) -> Figures:
    """As published, Algorithm 1 of IDC in O(NM²): each pick compares all with all picks."""
    import torch

    z, hard = torch.from_numpy(x), torch.from_numpy(data.hardness(x))

    def select() -> list[int]:
        free, picks = torch.ones(len(z), dtype=torch.bool), []
        for _ in range(budget):
            value = hard
            if picks:
                value = hard + torch.log(torch.clamp(1 - z @ z[picks].T, 1e-6, 2)).amin(1)
            picks.append(int(torch.where(free, value, -torch.inf).argmax()))
            free[picks[-1]] = False
        return picks

    figures, picks = once(select)
    return figures | {"picks": picks}


def faiss_knn(x: np.ndarray, budget: int) -> Figures:
    import faiss

    del budget
    index = faiss.IndexFlatL2(x.shape[1])
    index.add(x)
    figures, found = once(lambda: index.search(x, 21)[1])
    return figures | {"recall": plain.recall(x, found[:, 1:])}


def faiss_ivf(x: np.ndarray, budget: int) -> Figures:
    """An inverted file with as many cells as ours, and probes doubled until recall is 0.95."""
    import faiss

    del budget
    cells = len(x) // max(256, int(len(x) ** 0.5 / 2))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(x.shape[1]), x.shape[1], cells)
    index.cp.niter = 8

    def build() -> None:
        index.train(x)
        index.add(x)

    building, _ = once(build)
    index.nprobe = 4
    while True:
        figures, found = once(lambda: index.search(x, 21)[1])
        reached = plain.recall(x, found[:, 1:])
        if reached >= 0.95 or index.nprobe >= cells:
            break
        index.nprobe *= 2
    total = {key: figures[key] + building[key] for key in figures}
    return total | {"recall": reached, "probes": index.nprobe, "cells": cells}


def sklearn_kmeans(x: np.ndarray, budget: int) -> Figures:
    from sklearn.cluster import KMeans

    del budget
    figures, fit = once(lambda: KMeans(data.CLASSES, n_init=10, random_state=0).fit(x))
    return figures | {"inertia": float(fit.inertia_)}


def faiss_kmeans(x: np.ndarray, budget: int) -> Figures:
    import faiss

    del budget
    clustering = faiss.Kmeans(
        x.shape[1], data.CLASSES, niter=25, nredo=10, max_points_per_centroid=len(x)
    )
    figures, _ = once(lambda: clustering.train(x))
    return figures | {"inertia": float(clustering.index.search(x, 1)[0].sum())}


def submodlib_facility_location(x: np.ndarray, budget: int) -> Figures:
    from submodlib import FacilityLocationFunction

    def select() -> object:
        function = FacilityLocationFunction(n=len(x), mode="dense", data=x, metric="cosine")
        return function.maximize(budget=budget, optimizer="LazyGreedy", show_progress=False)

    return once(select)[0]


def apricot_facility_location(x: np.ndarray, budget: int) -> Figures:
    from apricot import FacilityLocationSelection

    select = FacilityLocationSelection(budget, metric="cosine", optimizer="lazy")
    return once(lambda: select.fit(x))[0]


def skactiveml(name: str, x: np.ndarray, budget: int, **options: Any) -> Figures:
    import skactiveml.pool

    strategy = getattr(skactiveml.pool, name)(random_state=0, **options)
    unlabelled = np.full(len(x), np.nan)
    return once(lambda: strategy.query(x, unlabelled, batch_size=budget))[0]


def skactiveml_probcover(x: np.ndarray, budget: int) -> Figures:
    return skactiveml("ProbCover", x, budget, n_classes=data.CLASSES)
