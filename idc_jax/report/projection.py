"""A 2-D map of the embeddings."""

from __future__ import annotations

import numpy as np
import openTSNE
from sklearn.decomposition import PCA

# More dimensions cost time and change no neighbourhoods that a map could show.
PCA_DIMENSIONS = 50
PERPLEXITY = 30
# Below this many points t-SNE has no neighbourhoods to keep.
TSNE_POINTS = 10


def choose_points(n: int, picks: np.ndarray, cap: int, seed: int) -> np.ndarray:
    """Choose which samples to draw.

    Args:
      n: the number of samples.
      picks: int ``[p]``, the samples asked about; all are drawn unless they alone would fill
        the map, then the first ``cap // 2``.
      cap: how many to draw at most.
      seed: of the uniform sample of the others.

    Returns:
      Sorted int ``[min(n, cap)]``.
    """
    if n <= cap:
        return np.arange(n)
    kept = picks if len(picks) <= cap // 2 else picks[: cap // 2]
    others = np.setdiff1d(np.arange(n), kept)
    drawn = np.random.default_rng(seed).choice(others, cap - len(kept), replace=False)
    return np.sort(np.concatenate([kept, drawn]))


def project(embeddings: np.ndarray, seed: int) -> np.ndarray:
    """Lay points out by t-SNE (van der Maaten and Hinton) on their cosine distances.

    Args:
      embeddings: ``[m, d]``.
      seed: fixes neighbours search and PCA; the start is the PCA of the data.

    Returns:
      ``[m, 2]``. Too few or all equal points are laid out by PCA alone.
    """
    points = _reduce(_normalise(np.asarray(embeddings, np.float64)), seed)
    if len(points) < TSNE_POINTS or _constant(points):
        return points[:, :2]
    tsne = openTSNE.TSNE(
        perplexity=min(PERPLEXITY, (len(points) - 1) / 3),
        initialization="pca",
        neighbors="exact" if len(points) < 3000 else "annoy",
        negative_gradient_method="bh" if len(points) < 3000 else "fft",
        n_jobs=-1 if len(points) > 1000 else 1,
        random_state=seed,
    )
    return np.asarray(tsne.fit(points))


def _normalise(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _reduce(x: np.ndarray, seed: int) -> np.ndarray:
    """Project ``[m, d]`` onto its main axes, two at least."""
    if _constant(x):
        return np.zeros((len(x), 2))
    reduced = PCA(min(PCA_DIMENSIONS, *x.shape), random_state=seed).fit_transform(x)
    return np.pad(reduced, [(0, 0), (0, max(2 - reduced.shape[1], 0))])


def _constant(x: np.ndarray) -> bool:
    # Rounding makes the deviation of equal rows not quite zero.
    return bool(x.std(0).max() < 1e-9)
