"""The estimator: what scikit-learn asks of one, and what it means."""

from __future__ import annotations

import doctest
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from compiling import compilations
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

from idc_jax import InteractiveClusterer
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.session import estimator

N, C = 60, 3
TRUTH = np.arange(N) % C
KNOWN = np.where(np.arange(N) < 12, TRUTH, -1)
NAMES = np.array(["cat", "dog", "ship"])


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (6 * np.eye(C, 5)[TRUTH] + rng.normal(size=(N, 5))).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(blobs: np.ndarray) -> InteractiveClusterer:
    """To be read."""
    return InteractiveClusterer(random_state=0).fit(blobs, KNOWN)


# -- what scikit-learn asks ------------------------------------------------------------------------


def _cannot_pass(estimator: object) -> dict[str, str]:
    del estimator
    # scikit-learn exempts its own semi-supervised estimators, by their names.
    return {"check_classifiers_classes": "takes -1 for a class; it means unknown"}


@parametrize_with_checks([InteractiveClusterer()], expected_failed_checks=_cannot_pass)
def test_scikit_learns_checks(
    estimator: InteractiveClusterer, check: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without it, one of them is left out.
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


def test_the_check_that_takes_minus_one_for_a_class_as_for_its_own_estimators() -> None:
    check_classifiers_classes("LabelSpreading", InteractiveClusterer())


def test_it_works_inside_scikit_learns_tools(blobs: np.ndarray) -> None:
    assert is_classifier(InteractiveClusterer())
    pipe = make_pipeline(StandardScaler(), InteractiveClusterer(random_state=0))
    # Folds know some labels each, and are scored by those that are known.
    y = np.where(np.arange(N) < 30, TRUTH, -1)
    assert cross_val_score(pipe, blobs, y, cv=2).mean() > 0.9
    found = GridSearchCV(pipe, {"interactiveclusterer__n_neighbors": [1, 10]}, cv=2).fit(blobs, y)
    assert (found.predict(blobs) == TRUTH).mean() > 0.9


def test_a_frames_columns_are_known_by_name(blobs: np.ndarray) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame(blobs, columns=list("abcde"))
    model = InteractiveClusterer(random_state=0).fit(frame, pd.Series(KNOWN))
    assert model.feature_names_in_.tolist() == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("edcba")])


# -- what it means ---------------------------------------------------------------------------------


def test_the_example_is_true() -> None:
    ran = doctest.testmod(estimator)
    assert ran.attempted > 5
    assert not ran.failed


@pytest.mark.slow
def test_labels_that_it_asked_for_are_worth_more_than_random_ones() -> None:
    images, truth = load_digits(return_X_y=True)
    ours, theirs = [], []
    for seed in range(3):
        model = InteractiveClusterer(n_clusters=10, warm_start=True, random_state=seed)
        y = np.full(len(truth), -1)
        for _ in range(5):
            asked = model.fit(images, y).query(10)
            assert (y[asked] == -1).all()
            y[asked] = truth[asked]
        assert (y >= 0).sum() == 50
        ours.append(model.fit(images, y).score(images, truth))
        some = np.random.default_rng(seed).permutation(len(truth))[:50]
        plane = LogisticRegression(max_iter=1000).fit(images[some], truth[some])
        theirs.append(plane.score(images, truth))
    assert np.mean(ours) > 0.95
    assert np.mean(ours) > np.mean(theirs) + 0.08


def test_samples_that_come_later_are_predicted_as_if_they_had_been_there() -> None:
    images, truth = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(truth))
    images, truth = images[order], truth[order]
    y = np.where(np.arange(len(truth)) < 80, truth, -1)
    there = InteractiveClusterer(random_state=0).fit(images, y).labels_[1400:]
    later = InteractiveClusterer(random_state=0).fit(images[:1400], y[:1400])
    found = later.predict(images[1400:])
    assert (found == there).mean() > 0.95
    assert abs((found == truth[1400:]).mean() - (there == truth[1400:]).mean()) < 0.03


def test_a_fitted_sample_is_predicted_to_be_what_it_was_found_to_be(
    fitted: InteractiveClusterer, blobs: np.ndarray
) -> None:
    np.testing.assert_array_equal(fitted.predict(blobs), fitted.labels_)
    np.testing.assert_allclose(fitted.predict_proba(blobs), fitted.label_distributions_)
    np.testing.assert_allclose(fitted.label_distributions_.sum(1), 1)
    assert (fitted.labels_ == TRUTH).mean() > 0.9


@pytest.mark.parametrize("unknown", [-1, None, np.nan, "NA", "masked"])
@pytest.mark.parametrize("names", [np.arange(C), NAMES], ids=["numbers", "strings"])
def test_unknown_labels_are_unknown_however_they_are_written(
    fitted: InteractiveClusterer, blobs: np.ndarray, names: np.ndarray, unknown: object
) -> None:
    y = names[TRUTH].astype(object)
    if unknown == "masked":
        y = np.ma.masked_array(names[TRUTH], KNOWN == -1)
    elif unknown == "NA":
        y[KNOWN == -1] = pytest.importorskip("pandas", reason="pandas is not installed").NA
    else:
        y[KNOWN == -1] = unknown
    model = InteractiveClusterer(random_state=0).fit(blobs, y)
    assert model.classes_.tolist() == names.tolist()
    np.testing.assert_array_equal(model.labels_, names[fitted.labels_])


def test_without_labels_it_clusters(blobs: np.ndarray) -> None:
    nothing = InteractiveClusterer(n_clusters=C, random_state=0)
    labels = nothing.fit_predict(blobs)
    assert adjusted_rand_score(TRUTH, labels) > 0.9
    assert nothing.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(nothing.predict(blobs), labels)
    np.testing.assert_array_equal(clone(nothing).fit_predict(blobs, np.full(N, -1)), labels)
    assert len(set(TRUTH[nothing.query(3)])) == 3
    with pytest.raises(UserError, match=r"use sklearn.metrics.adjusted_rand_score"):
        nothing.score(blobs, TRUTH)


def test_questions_are_about_what_is_unknown(
    fitted: InteractiveClusterer, blobs: np.ndarray
) -> None:
    asked = fitted.query(5)
    assert len(set(asked.tolist())) == 5
    assert (KNOWN[asked] == -1).all()
    assert len(fitted.query(N)) == N - 12
    assert len(clone(fitted).fit(blobs, TRUTH).query(5)) == 0
    with pytest.raises(UserError, match="n is 0"):
        fitted.query(0)


def test_what_was_begun_is_kept_for_the_next_fit(
    fitted: InteractiveClusterer, blobs: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from idc_jax.runs.interaction import Interaction

    begun = []
    begin = Interaction.begin
    monkeypatch.setattr(Interaction, "begin", lambda self: (begun.append(1), begin(self)))
    model = InteractiveClusterer(C, warm_start=True, random_state=0)
    model.fit(blobs).fit(blobs, TRUTH).fit(blobs, KNOWN)
    assert len(begun) == 1
    np.testing.assert_array_equal(model.label_distributions_, fitted.label_distributions_)
    # Other samples, options or seeds are another beginning.
    given = blobs + 1
    model.fit(given, KNOWN)
    given -= 1
    model.fit(given, KNOWN)
    assert len(begun) == 3
    model.set_params(random_state=1).fit(blobs + 1, KNOWN)
    model.set_params(options={"graph_committee.hops": 1}).fit(blobs + 1, KNOWN)
    model.set_params(warm_start=False).fit(blobs + 1, KNOWN)
    assert len(begun) == 6


def test_samples_of_a_new_shape_compile_few_programs(fitted: InteractiveClusterer) -> None:
    del fitted  # whatever does not depend on the shape is compiled by now
    rng = np.random.default_rng(0)
    for seed, most in ((0, 20), (1, 0)):
        model = InteractiveClusterer(C, random_state=seed)
        with compilations() as programs:
            model.fit(rng.normal(size=(47, 7)), KNOWN[:47])
        assert len(programs) <= most, "\n".join(programs)


def test_a_pickled_one_predicts_and_asks_alike(
    fitted: InteractiveClusterer, blobs: np.ndarray
) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(blobs), fitted.predict_proba(blobs))
    np.testing.assert_array_equal(again.query(5), fitted.query(5))


@pytest.mark.slow
@pytest.mark.parametrize("method", registry.names())
def test_every_method_learns_and_asks(blobs: np.ndarray, method: str) -> None:
    quick = {
        "idc": {"idc.head_steps": 10, "finetune.min_steps": 20, "finetune.epochs": 3},
        "dsac": {"dsac_training.epochs": 5},
        "ipc": {"ipc_training.epochs": 20},
        "pcl": {"pcl_training.block_size": 30, "pcl_training.epochs": 1},
    }
    model = InteractiveClusterer(
        C, method=method, options=quick.get(method), random_state=0, warm_start=True
    )
    model.fit(blobs, np.where(KNOWN >= 0, NAMES[TRUTH], None))
    assert model.classes_.tolist() == NAMES.tolist()
    assert model.score(blobs, NAMES[TRUTH]) > 0.8
    asked = model.query(4)
    assert 0 < len(asked) <= 4
    assert (KNOWN[asked] == -1).all()


def test_classes_beyond_the_clusters_wanted_and_clusters_beyond_the_classes(
    blobs: np.ndarray,
) -> None:
    more = InteractiveClusterer(2, random_state=0).fit(blobs, KNOWN)
    assert (more.labels_ == TRUTH).mean() > 0.9
    fewer = InteractiveClusterer(8, random_state=0).fit(blobs, np.where(KNOWN == 2, -1, KNOWN))
    assert fewer.classes_.tolist() == [0, 1]
    assert set(fewer.labels_) == {0, 1}
    assert fewer.predict_proba(blobs).shape == (N, 2)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.arange(6.0)[:, None], [0, -1, -1, -1, -1, 1]),
        (np.zeros((6, 2)), [0, 1, -1, -1, -1, -1]),
        (np.array([[0, 1], [1, 0]]), [0, 1]),
        (np.array([[0, 1], [1, 0]]), [7, -1]),
        (np.array([[1e15, 0], [-1e15, 1], [0, 0]]), [0, 1, 1]),
    ],
    ids=["one column", "all the same", "two samples", "one class", "large numbers"],
)
def test_little_can_be_learned_from(x: np.ndarray, y: list[int]) -> None:
    model = InteractiveClusterer(random_state=0).fit(x, y)
    assert np.isfinite(model.predict_proba(x)).all()
    assert set(model.labels_) <= set(y)
    model.query(3)


@pytest.mark.parametrize(
    ("given", "y", "message"),
    [
        ({}, None, "n_clusters is None and y names no class; give one of them"),
        ({"n_clusters": N + 1}, KNOWN, f"n_clusters is {N + 1} for {N} samples"),
        ({"n_clusters": 0}, KNOWN, "n_clusters is 0; it must be at least 1"),
        ({"n_clusters": 2.5}, KNOWN, "n_clusters is 2.5; it must be a whole number"),
        ({"n_clusters": True}, KNOWN, "n_clusters is True; it must be a whole number"),
        ({"options": 5}, KNOWN, "options is 5; it must be a dict of values by name"),
        ({"n_neighbors": 0}, KNOWN, "n_neighbors is 0; it must be at least 1"),
        ({"method": "none"}, KNOWN, "method is 'none'; choose one of"),
        ({"options": {"committee.hop": 1}}, KNOWN, "'committee.hop'; choose one of"),
        ({}, KNOWN[:5], f"y has 5 labels; it must have {N}, one for each sample"),
        ({}, ["cat"] * (N - 1) + ["-1"], "y holds the string '-1'; use names, and None"),
        ({}, ["cat"] * (N - 1) + [""], "y holds the string ''; use names, and None"),
        ({}, ["cat"] * (N - 2) + [3, None], "y holds 'cat' and 3; use labels of one kind"),
        ({}, np.linspace(0, 1, N), "Unknown label type: continuous, as 0.01"),
        ({}, np.repeat(b"cat", N), "Unknown label type"),
    ],
)
def test_what_cannot_be_learned_from_is_told_in_a_line(
    blobs: np.ndarray, given: dict, y: object, message: str
) -> None:
    y = np.array(y, object) if isinstance(y, list) and None in y else y
    with pytest.raises(ValueError, match=message) as refused:
        InteractiveClusterer(**given).fit(blobs, y)
    assert "\n" not in str(refused.value)


def test_scores_count_known_labels_alone(fitted: InteractiveClusterer, blobs: np.ndarray) -> None:
    wrong = (fitted.predict(blobs) + 1) % C
    half = np.where(np.arange(N) < 30, fitted.predict(blobs), -1)
    assert fitted.score(blobs, half) == 1
    assert fitted.score(blobs, np.where(np.arange(N) < 30, half, wrong)) == 0.5
    weight = np.where(np.arange(N) < 30, 3, 1)
    assert fitted.score(blobs, np.where(half < 0, wrong, half), weight) == 0.75
    with pytest.raises(UserError, match="y has no known label"):
        fitted.score(blobs, np.full(N, -1))


def test_numbers_that_nobody_can_reckon_with_are_refused(
    fitted: InteractiveClusterer, blobs: np.ndarray
) -> None:
    odd = blobs.copy()
    odd[7] = 9.97e36
    for x in (odd, blobs * 1e20):
        with pytest.raises(ValueError, match="X: features as large as"):
            InteractiveClusterer(3).fit(x)
        with pytest.raises(ValueError, match="X: features as large as"):
            fitted.predict(x)
