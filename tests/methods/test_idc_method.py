"""IDC: what it asks, what it shows, and that the answers teach."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from playing import Game

from idc_jax import models
from idc_jax.annotate.questions import NONE_OF_THESE, SKIP, Questions
from idc_jax.data import feature_views
from idc_jax.data.views import view_batch
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.methods.contract import Method, Parts
from idc_jax.methods.idc import method as idc
from idc_jax.methods.idc import options as idc_options
from idc_jax.methods.idc.questions import ask_clusters
from idc_jax.selectors import Selection
from idc_jax.train.finetune import FinetuneOptions

N, D, C = 90, 6, 3


@pytest.fixture(scope="module")
def blobs() -> tuple[jax.Array, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(C), N // C)
    middles = 2.5 * np.eye(C, D)
    x = middles[labels] + 0.7 * rng.normal(size=(N, D))
    return jnp.asarray(x, jnp.float32), labels


def compose(data: jax.Array, options: dict[str, Any], learning: dict[str, Any]) -> Method:
    views = feature_views(
        weak_noise=0.1, strong_noise=0.1, weak_dropout=0.0, strong_dropout=0.1, scale=0.0
    )
    model = models.build("mlp", num_clusters=C, input_shape=(D,), width=16)
    own = idc.IDCOptions(**{"space": "input", "head_steps": 60, "restarts": 2} | options)
    finetuning = {"epochs": 20, "batch_size": 10, "learning_rate": 3e-3} | learning
    begin = lambda key: model.init(key, view_batch(views.val, key, data[:2]))  # noqa: E731
    parts = Parts(model, views, data, num_clusters=C, begin=begin)
    return idc.build(parts, {"idc": own, "finetune": FinetuneOptions(**finetuning)})


def told(questions: Questions, truth: np.ndarray) -> np.ndarray:
    """What somebody who knows which cluster each sample belongs to would say."""
    right = truth[questions.indices]
    offered = (questions.candidates == right[:, None]).any(1)
    return np.where(offered, right, NONE_OF_THESE).astype(np.int32)


@pytest.mark.parametrize(
    ("options", "learning"),
    [
        ({}, {}),
        ({}, {"balanced": True, "pseudo_labels": "store"}),
        ({}, {"pseudo_labels": "graph", "negative": "mean"}),
        ({"centers": "spherical", "head_steps": 0}, {"regularise_from": 0.5}),
    ],
    ids=["paper", "code", "graph", "propos"],
)
@pytest.mark.parametrize("candidates", [2, 5])
def test_answers_teach(
    blobs: tuple[jax.Array, np.ndarray],
    options: dict[str, Any],
    learning: dict[str, Any],
    candidates: int,
) -> None:
    data, labels = blobs
    method = compose(data, {"num_candidates": candidates} | options, learning)
    game = Game(method, N, 30)
    # A person whose groups are the clusters by other names: shift every id by one.
    start = game.probabilities.argmax(1)
    of_class = np.array([np.bincount(start[labels == k], minlength=C).argmax() for k in range(C)])
    truth = ((of_class + 1) % C)[labels]
    before = (start == truth).mean()
    for _ in range(2):
        questions = game.ask(15)
        info = game.say(questions, told(questions, truth))
        assert all(np.isfinite(value) for value in info.values())
    after = (game.probabilities.argmax(1) == truth).mean()
    assert before < 0.2
    # Two candidates of three often leave the right one out; "none of these" still helps.
    assert after > (0.85 if candidates == 5 else 0.4)


def test_a_network_without_a_head_starts_from_clusters_of_directions(
    blobs: tuple[jax.Array, np.ndarray],
) -> None:
    data, labels = blobs
    _, state = compose(data, {"centers": "spherical", "head_steps": 0}, {}).init(jax.random.key(0))
    # The head is random; what is predicted is the clusters, each of one blob.
    table = np.zeros((C, C), int)
    np.add.at(table, (np.asarray(state.probabilities).argmax(1), labels), 1)
    assert sorted(table.argmax(axis=1)) == list(range(C))
    assert table.max(axis=1).sum() > 0.9 * N


def test_a_new_head_learns_before_it_teaches() -> None:
    paper, store = idc.IDCOptions(), FinetuneOptions(regularise_from=0.8)
    options, learning = idc_options.for_new_head(paper, FinetuneOptions())
    assert (options.centers, learning.regularise_from) == ("spherical", 0.5)
    assert idc_options.for_new_head(paper, store)[1].regularise_from == 0.8
    graph = FinetuneOptions(pseudo_labels="graph")
    assert idc_options.for_new_head(paper, graph)[1] == graph
    fitted = idc.IDCOptions(head_steps=10)
    assert idc_options.for_new_head(fitted, store) == (fitted, store)


def test_questions_are_new_capped_and_frozen(blobs: tuple[jax.Array, np.ndarray]) -> None:
    data, labels = blobs
    game = Game(compose(data, {}, {}), N, N)
    first, again = game.ask(20), game.ask(20)
    np.testing.assert_array_equal(first.indices, again.indices)
    assert first.candidates.shape == (20, C)
    assert {tuple(sorted(row)) for row in first.candidates} == {(0, 1, 2)}
    game.say(first, told(first, labels))
    rest = game.ask(N)
    assert set(first.indices).isdisjoint(rest.indices)
    assert len(rest.indices) == N - 20


def test_a_round_of_skips_changes_nothing_but_is_not_asked_again(
    blobs: tuple[jax.Array, np.ndarray],
) -> None:
    data, _ = blobs
    game = Game(compose(data, {}, {}), N, 10)
    before, asked = game.probabilities, game.ask(5)
    assert game.say(asked, np.full(5, SKIP)) == {}
    assert set(asked.indices).isdisjoint(game.ask(5).indices)
    np.testing.assert_array_equal(game.probabilities, before)


def test_exemplars_and_members_by_hand() -> None:
    similarities = jnp.asarray([[0.9, 0.0, 0], [0.8, 0.1, 0], [0.2, 0.7, 0], [0.1, 0.95, 0]])
    questions = ask_clusters(
        1,
        Selection(jnp.asarray([2, -1]), jnp.asarray([1.0, -jnp.inf])),
        similarities=similarities,
        offered=similarities,
        counts=jnp.asarray([2, 2, 0]),
        num_candidates=5,
        assignments=jnp.asarray([0, 0, 1, 1]),
    )
    assert questions.indices.tolist() == [2]
    # The empty cluster is neither offered nor shown.
    assert questions.candidates.tolist() == [[1, 0, -1]]
    assert questions.exemplars.tolist() == [0, 3, -1]
    assert questions.members[0].tolist()[:2] == [1, -1]
    assert questions.members[2].tolist() == [-1] * 4


@pytest.mark.parametrize(("show_asked", "exemplars"), [(True, [0, 3]), (False, [1, 2])])
def test_nobody_is_asked_about_what_is_shown_by_hand(
    show_asked: bool, exemplars: list[int]
) -> None:
    similarities = jnp.asarray([[0.9, 0.0], [0.8, 0.1], [0.2, 0.7], [0.1, 0.95], [0.3, 0.6]])
    questions = ask_clusters(
        1,
        Selection(jnp.asarray([0, 3]), jnp.asarray([1.0, 0.5])),
        similarities=similarities,
        offered=similarities,
        counts=jnp.asarray([2, 3]),
        num_candidates=5,
        assignments=jnp.asarray([0, 0, 1, 1, 1]),
        show_asked=show_asked,
    )
    assert questions.exemplars.tolist() == exemplars
    if not show_asked:
        assert set(questions.members.ravel()) == {4, -1}


@pytest.mark.parametrize("budget", [1, 12, N])
def test_nobody_is_asked_about_what_is_shown(
    blobs: tuple[jax.Array, np.ndarray], budget: int
) -> None:
    data, _ = blobs
    assert registry.get("idc").defaults["idc.show_asked"] is False
    game = Game(compose(data, {"show_asked": False}, {}), N, budget)
    asked = game.ask(budget)
    shown = np.concatenate([asked.exemplars, asked.members.ravel()])
    assert (asked.exemplars >= 0).all()
    # Where everybody is asked about, somebody has to be shown.
    assert set(asked.indices).isdisjoint(shown) == (budget < N)


@pytest.mark.parametrize(
    "options", [{"centers": "x"}, {"num_candidates": 0}, {"spread": 1.0}, {"space": "pixels"}]
)
def test_options_that_mean_nothing(
    blobs: tuple[jax.Array, np.ndarray], options: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        compose(blobs[0], options, {})
