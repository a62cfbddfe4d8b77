"""What a method expects of its clustering, for people who wonder whether to go on answering."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_GAIN = re.compile(r"expected_gain_of_(\d+)")


def outlook(info: Mapping[str, Any]) -> dict[str, float] | None:
    """What ``learn`` told beside the state, as people are told it.

    Args:
      info: a method's scalars; ``expected_accuracy`` and ``expected_gain_of_N`` count.

    Returns:
      ``accuracy``, and ``gain`` with the next ``further`` answers; None where nothing is expected.
    """
    gains = [(int(found[1]), info[name]) for name in info if (found := _GAIN.fullmatch(name))]
    if "expected_accuracy" not in info or not gains:
        return None
    further, gain = gains[0]
    return {"accuracy": info["expected_accuracy"], "gain": gain, "further": further}


def in_words(expected: Mapping[str, float]) -> str:
    """One line of it."""
    gain, further = expected["gain"], expected["further"]
    return f"expected acc {expected['accuracy']:.3f}, {gain:+.3f} with {further:.0f} more answers"
