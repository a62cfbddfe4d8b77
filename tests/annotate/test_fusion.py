import numpy as np
import pytest

from idc_jax.annotate import (
    NONE_OF_THESE,
    SKIP,
    Annotator,
    Row,
    agreement,
    collect,
    disagreement,
    fuse,
)
from idc_jax.errors import UserError


def votes(*triples):
    return [
        Row(f"{i}", 1, position, annotator, choice)
        for i, (position, annotator, choice) in enumerate(triples)
    ]


def test_majority_by_hand():
    rows = votes((0, "a", 1), (0, "b", 2), (0, "c", 1), (1, "a", -1), (1, "b", -1), (1, "c", 3))
    assert fuse(rows, 2).tolist() == [1, -1]


def test_a_skip_abstains():
    rows = votes((0, "a", SKIP), (0, "b", SKIP), (0, "c", 4), (1, "a", SKIP))
    assert fuse(rows, 3).tolist() == [4, SKIP, SKIP]


def test_a_tie_goes_to_the_last_word():
    assert fuse(votes((0, "a", 1), (0, "b", 2)), 1).tolist() == [2]


def test_dawid_skene_follows_the_reliable():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 200)
    reliability = {"good": 0.95, "fair": 0.7, "poor": 0.3, "worse": 0.3, "worst": 0.3}
    rows = votes(
        *(
            (i, name, int(label) if rng.random() < share else int(rng.integers(0, 4)))
            for i, label in enumerate(truth)
            for name, share in reliability.items()
        )
    )
    plain = np.mean(fuse(rows, 200) == truth)
    weighted = np.mean(fuse(rows, 200, "dawid_skene") == truth)
    assert weighted > plain + 0.05
    assert weighted > 0.9


def test_dawid_skene_of_nothing_but_skips():
    assert fuse(votes((0, "a", SKIP)), 1, "dawid_skene").tolist() == [SKIP]


def test_an_unknown_fusion():
    with pytest.raises(UserError, match="fusion is 'mean'; choose one of majority, dawid_skene"):
        fuse([], 1, "mean")


def test_agreement_by_hand():
    rows = votes((0, "a", 1), (0, "b", 2), (0, "c", 1), (1, "a", 3), (1, "b", 3))
    found = agreement(rows, np.asarray([1, 3, SKIP]))
    assert found.votes.tolist() == [3, 2, 0]
    np.testing.assert_allclose(found.share, [2 / 3, 1, 0], rtol=1e-6)
    assert found.disputed.tolist() == [0]
    assert found.per_annotator == {"a": 1.0, "b": 0.5, "c": 1.0}


def test_disagreement_is_told(store, cluster_questions):
    store.freeze(cluster_questions([5, 6]))
    store.add([Row("x", 1, 0, "b", NONE_OF_THESE)])
    assert disagreement(store, "majority") is None
    store.add(votes((0, "a", 1)))
    store.add([Row("y", 1, 1, "a", 0), Row("z", 1, 1, "b", 0)])
    assert disagreement(store, "majority") == {
        "questions": 2,
        "disputed": 1,
        "people": {"a": {"answers": 2, "agreed": 1.0}, "b": {"answers": 2, "agreed": 0.5}},
        "examples": [{"round": 1, "position": 0, "votes": {"a": 1, "b": "none"}, "fused": 1}],
    }


def test_collect_waits_for_all_votes_and_fuses(store, cluster_questions):
    def three_people(store, questions):
        assert store.missing(questions.round, 3).tolist() == [0, 1]
        store.add(votes((0, "a", 1), (0, "b", 2), (0, "c", 1), (1, "a", 0), (1, "b", 0)))

    people = Annotator("people", three_people, votes=3)
    with pytest.raises(UserError, match="1 of 2 questions are unanswered"):
        collect(store, cluster_questions([5, 6]), people)
    again = Annotator("people", lambda store, _: store.add([Row("z", 1, 1, "c", 2)]), votes=3)
    assert collect(store, cluster_questions([5, 6]), again).choice.tolist() == [1, 0]
