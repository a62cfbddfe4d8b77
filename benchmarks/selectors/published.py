"""IDC's selection as its paper's code does it in PyTorch: whole rows, every pick afresh."""

from __future__ import annotations

import numpy as np
import torch


def knn(x: np.ndarray, k: int, block: int = 2000) -> np.ndarray:
    """Indices of the nearest others by ``topk`` of whole rows of the distance matrix."""
    z = torch.from_numpy(x)
    norms = (z * z).sum(1)
    found = []
    for start in range(0, len(z), block):
        rows = z[start : start + block]
        distances2 = norms[None] - 2 * rows @ z.T
        distances2[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = torch.inf
        found.append(torch.topk(distances2, k, largest=False).indices)
    return torch.cat(found).numpy()


def greedy(x: np.ndarray, base: np.ndarray, budget: int) -> list[int]:
    """Algorithm 1 of IDC in O(NM²): at each pick, all samples are compared with all picks."""
    z, hard = torch.from_numpy(x), torch.from_numpy(base)
    free, picks = torch.ones(len(z), dtype=torch.bool), []
    for _ in range(budget):
        value = hard
        if picks:
            value = hard + torch.log(torch.clamp(1 - z @ z[picks].T, 1e-6, 2)).amin(1)
        picks.append(int(torch.where(free, value, -torch.inf).argmax()))
        free[picks[-1]] = False
    return picks
