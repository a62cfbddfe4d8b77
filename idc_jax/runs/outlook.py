"""What a method expects of its clustering, for people who wonder whether to go on answering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idc_jax.outlook import Estimate, advise, expected_gain
from idc_jax.outlook.advice import MINUTES
from idc_jax.runs.pace import answers_within


def outlook(info: Mapping[str, Any], seconds: float) -> dict[str, Any] | None:
    """What ``learn`` told beside the state, as people are told it.

    Args:
      info: a method's scalars; ``expected_accuracy``, ``expected_groups``, ``answered`` and
        ``classes_named`` count.
      seconds: that an answer takes.

    Returns:
      ``accuracy`` and ``groups``, each with its 90 % interval in ``_low`` and ``_high``; ``named``,
      the groups that have a name; ``gain`` likewise with the next ``further`` answers, which take
      ``minutes``; ``go_on``, whether they are worth while, and the ``reason``; all of it ``told``
      in words. None where nothing is expected.
    """
    if "expected_accuracy" not in info or "expected_groups" not in info:
        return None
    accuracy, groups = _estimate(info, "expected_accuracy"), _estimate(info, "expected_groups")
    answered, named = int(info["answered"]), int(info["classes_named"])
    further = answers_within(MINUTES, seconds)
    gain = expected_gain(accuracy.value, answered, named, further)
    advice = advise(gain, further, MINUTES, groups.value - named)
    found: dict[str, Any] = {}
    for name, estimate in (("accuracy", accuracy), ("groups", groups), ("gain", gain)):
        found |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    found |= {"named": named, "further": further, "minutes": MINUTES, **advice._asdict()}
    what = "Go on" if advice.go_on else "This is about as good as it gets"
    sure = f"{_percent(accuracy)} right, {_groups(groups)}"
    return found | {"told": f"Expected: {sure}. {what}: {advice.reason}."}


def _percent(share: Estimate) -> str:
    value, low, high = (f"{100 * part:.0f}" for part in share)
    return f"{value} % ({low} to {high})"


def _groups(number: Estimate) -> str:
    value, low, high = map(round, number)
    shown = "1 group" if value == 1 else f"{value} groups"
    return shown + (f" ({low} to {high})" if low < high else "")


def _estimate(info: Mapping[str, Any], name: str) -> Estimate:
    return Estimate(*(float(info[f"{name}{end}"]) for end in ("", "_low", "_high")))
