"""What the answers say of pairs: those to learn from, and those that need no asking."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from idc_jax.annotate.closure import Closure
from idc_jax.annotate.evidence import Evidence
from idc_jax.annotate.questions import DIFFERENT, SAME
from idc_jax.selectors.ipc import Known


def told_pairs(evidence: Evidence) -> np.ndarray:
    """The pairs that were answered, without contradictions.

    Returns:
      int64 ``[p, 3]``, in the order of the samples: two of them, and 1 for one group, 0 for
      different ones.
    """
    pairs = evidence.pairs.astype(np.int64)
    component = evidence.closure.component
    alike = component[pairs[:, 0]] == component[pairs[:, 1]]
    stands = pairs[:, 2] == np.where(alike, SAME, DIFFERENT)
    samples = np.sort(pairs[stands, :2], axis=1)
    return np.unique(np.concatenate([samples, alike[stands, None]], axis=1), axis=0)


def named_pairs(generator: np.random.Generator, outputs: np.ndarray, partners: int) -> np.ndarray:
    """Pairs of samples of which the groups are known, each sample in several.

    Args:
      generator: draws.
      outputs: int ``[n]``, negative where a sample's is not known.
      partners: of each sample.

    Returns:
      int64 ``[p, 3]`` as :func:`told_pairs`.
    """
    named = np.flatnonzero(outputs >= 0)
    turned = [generator.permutation(named) for _ in range(partners)]
    first = np.tile(named, partners)
    second = np.concatenate([np.zeros(0, np.int64), *turned])
    pairs = np.stack([first, second, outputs[first] == outputs[second]], axis=1)
    return pairs[first != second]


def contradictions(clusters: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """How many of ``pairs`` ``[p, 3]`` each of the clusterings ``[s, n]`` contradicts: ``[s]``."""
    alike = clusters[:, pairs[:, 0]] == clusters[:, pairs[:, 1]]
    return (alike != (pairs[:, 2] == 1)).sum(axis=1)


def drawn_pairs(generator: np.random.Generator, closure: Closure, count: int) -> np.ndarray:
    """Draw from all pairs that follow from what was said, each as likely as any other.

    Pairs of which both samples are of a group that was named are left out: these have outputs of
    their own to learn.

    Args:
      generator: draws.
      closure: of all answers.
      count: how many, with replacement.

    Returns:
      int64 ``[count, 3]`` as :func:`told_pairs`; ``[0, 3]`` where nothing follows.
    """
    order = np.argsort(closure.component, kind="stable")
    names, starts, sizes = np.unique(
        closure.component[order], return_index=True, return_counts=True
    )
    named = ((closure.label >= 0) | (closure.cluster >= 0))[names]
    within = np.flatnonzero((sizes > 1) & ~named)
    between = np.searchsorted(names, closure.cannot)
    between = between[~named[between].all(axis=1)]
    first, second = np.concatenate([np.stack([within, within], axis=1), between]).T
    same = (first == second).astype(np.int64)
    pairs = sizes[first] * (sizes[second] - same) / (1 + same)
    if not len(pairs):
        return np.zeros((0, 3), np.int64)
    drawn = generator.choice(len(pairs), count, p=pairs / pairs.sum())
    first, second, same = first[drawn], second[drawn], same[drawn]
    one = generator.integers(sizes[first])
    other = generator.integers(sizes[second] - same)
    # Of one component, any sample but the first.
    other += same & (other >= one)
    return np.stack([order[starts[first] + one], order[starts[second] + other], same], axis=1)


def known_pairs(evidence: Evidence, capacity: int, repeats: int = 0) -> Known:
    """The pairs that need no asking: they were asked about, or follow from the answers.

    Args:
      evidence: everything said.
      capacity: as many pairs as there may be: as long as there are no more, no number of them
        compiles anything anew.
      repeats: further samples at the end, of which nothing is known.
    """
    closure = evidence.closure
    groups = np.stack([closure.label, closure.cluster], axis=1)
    groups = np.pad(groups, ((0, repeats), (0, 0)), constant_values=-1)
    size = len(closure.component)
    component = np.append(closure.component, np.arange(size, size + repeats)).astype(np.int32)
    rows = (_padded(rows, capacity) for rows in (closure.cannot, evidence.pairs[:, :2]))
    return Known(jnp.asarray(component), next(rows), jnp.asarray(groups), next(rows))


def _padded(rows: np.ndarray, capacity: int) -> jnp.ndarray:
    room = capacity if len(rows) <= capacity else 1 << (len(rows) - 1).bit_length()
    return jnp.asarray(np.pad(rows, ((0, room - len(rows)), (0, 0)), constant_values=-1), jnp.int32)
