"""Which sample is which: by its content, wherever its file lies and whatever its row."""

from __future__ import annotations

import hashlib

import numpy as np

# Of a sample's bytes so many are looked at, all over it: enough to tell pictures apart, also of
# many gigabytes.
_BYTES = 1 << 16


def digests(inputs: np.ndarray) -> np.ndarray:
    """A digest of each sample of ``inputs`` ``[n, ...]``, uint64 ``[n]``; equal ones are equal."""
    found = np.empty(len(inputs), np.uint64)
    for index, sample in enumerate(inputs):
        content = np.ascontiguousarray(sample).reshape(-1).view(np.uint8)
        step = -(-content.size // _BYTES)
        # Not the same of three colours everywhere.
        content = content[:: step + (step % 3 == 0)]
        digest = hashlib.blake2b(content.tobytes(), digest_size=8).digest()
        found[index] = int.from_bytes(digest, "little")
    return found


def digest_of(samples: np.ndarray) -> str:
    """One word for all ``samples`` ``[n]``, digests in their order."""
    return hashlib.blake2b(samples.tobytes(), digest_size=12).hexdigest()
