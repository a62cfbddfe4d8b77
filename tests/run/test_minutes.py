"""A budget of minutes: as many answers as they hold at the pace of whoever answers."""

import numpy as np
import pytest

from idc_jax.annotate.questions import grid_questions, label_questions, pair_questions
from idc_jax.annotate.store import Row, Store
from idc_jax.outlook import SECONDS
from idc_jax.runs.pace import answers_within, paces


@pytest.mark.parametrize(
    ("minutes", "seconds", "answers"),
    [(10, 4.0, 150), (10, 2.5, 240), (10, 10.0, 60), (1e-6, 4.0, 1), (1, 1e6, 1)],
)
def test_answers_within_some_minutes(minutes, seconds, answers):
    assert answers_within(minutes, seconds) == answers


def test_each_kind_has_a_pace_of_its_own(tmp_path):
    with Store(tmp_path / "answers.db") as store:
        assert paces(store) == SECONDS
        values = np.zeros(30)
        store.freeze(label_questions(1, np.arange(30), values))
        store.freeze(pair_questions(2, np.arange(60).reshape(30, 2), values))
        store.freeze(grid_questions(3, np.arange(30), values, values, values))
        # Of the pairs too few; no answer that was taken back or took no time, and no gesture.
        store.add(Row(f"a{n}", 1, n, "me", 0, seconds=10.0 if n < 15 else 20.0) for n in range(25))
        store.add(Row(f"u{n}", 1, n, "me", 0, seconds=0.1, undoes=f"a{n}") for n in range(2))
        store.add(Row(f"p{n}", 2, n, "me", 0, seconds=60.0) for n in range(19))
        store.add(Row(f"p{n}", 2, n, "me", 0) for n in range(19, 30))
        store.add(Row(f"g{n}", 3, n, "me", 0, seconds=1.0) for n in range(20))
        store.add(Row(f"gesture:x:{n}", 3, n, "me", 0, seconds=50.0) for n in range(20, 30))
        assert paces(store) == {**SECONDS, "label": 10.0, "grid": 1.0}
