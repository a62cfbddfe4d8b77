"""A budget of minutes: as many answers as they hold at the pace of whoever answers."""

import pytest

from idc_jax.runs.pace import answers_within


@pytest.mark.parametrize(
    ("minutes", "seconds", "kind", "answers"),
    [
        (10, [], "label", 150),
        (10, [], "cluster", 150),
        (10, [], "pair", 240),
        (10, [60.0] * 19, "label", 150),
        (10, [10.0] * 15 + [20.0] * 10, "label", 60),
        (1e-6, [], "label", 1),
        (1, [1e6] * 30, "label", 1),
    ],
)
def test_answers_within_some_minutes(minutes, seconds, kind, answers):
    assert answers_within(minutes, seconds, kind) == answers
