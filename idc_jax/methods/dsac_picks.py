"""Who is asked: DSAC's two kinds together, either alone, or random samples."""

from __future__ import annotations

from typing import Literal

import jax

from idc_jax import selectors
from idc_jax.selectors.dsac import Kinds

Picks = Literal["dsac", "random", "representative", "difficult"]


def pick(
    key: jax.Array,
    picks: Picks,
    z: jax.Array,
    centers: jax.Array,
    assignments: jax.Array,
    labelled: jax.Array,
    budget: int,
    *,
    shortlist: int,
    num_neighbors: int,
) -> selectors.Selection:
    """Pick ``budget`` samples that were never asked about.

    Args:
      key: PRNG key, used by random picks alone.
      picks: which kind.
      z: embeddings ``[n, d]``.
      centers: ``[c, d]``.
      assignments: int ``[n]``.
      labelled: bool ``[n]``, asked before.
      budget: how many.
      shortlist: k1, samples among which compactness decides.
      num_neighbors: neighbours that compactness looks at.
    """
    if picks == "random":
        return selectors.random(key, z.shape[0], budget, labelled=labelled)
    kinds: Kinds = "both" if picks == "dsac" else picks
    selection, _ = selectors.dsac(
        z,
        centers,
        assignments,
        budget,
        labelled=labelled,
        shortlist=shortlist,
        num_neighbors=num_neighbors,
        kinds=kinds,
    )
    return selection
