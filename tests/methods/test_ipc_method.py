"""IPC end to end on toys, and its pairs by hand."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from playing import Game

from idc_jax import data
from idc_jax.annotate.evidence import Ledger, gather
from idc_jax.annotate.questions import (
    DIFFERENT,
    SAME,
    SKIP,
    answered,
    label_questions,
    pair_questions,
)
from idc_jax.errors import UserError
from idc_jax.methods.contract import Method, Parts
from idc_jax.methods.ipc import method as ipc
from idc_jax.methods.ipc import words as ipc_words
from idc_jax.methods.ipc.pairs import (
    contradictions,
    drawn_pairs,
    known_pairs,
    named_pairs,
    told_pairs,
)
from idc_jax.methods.ipc.state import IpcOptions
from idc_jax.methods.ipc.training import IpcTraining, Taught, network, refine, warm_up
from idc_jax.metrics import clustering_metrics
from idc_jax.ops import normalize
from idc_jax.train.log import silent

N, D = 160, 8
VIEWS = data.feature_views(
    weak_noise=0.0, strong_noise=0.0, weak_dropout=0.0, strong_dropout=0.0, scale=0.0
)
# Two ways to see the samples: by the first two directions, and, less plainly, by the next two.
COLOUR = np.repeat([0, 1], N // 2)
SHAPE = np.arange(N) % 2


def inputs() -> np.ndarray:
    """Unit vectors of an imagined image tower: the colour shows twice as much as the shape."""
    rng = np.random.default_rng(0)
    x = 0.25 * rng.normal(size=(N, D))
    x[np.arange(N), COLOUR] += 2
    x[np.arange(N), 2 + SHAPE] += 1
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def build(clusters: int = 2, epochs: int = 300, **options: object) -> Method:
    parts = Parts(
        None,  # type: ignore[arg-type]  # features need no network
        VIEWS,
        jnp.asarray(inputs()),
        num_clusters=clusters,
        begin=lambda key: {},
    )
    training = IpcTraining(hidden=32, warmup_epochs=60, epochs=epochs, learning_rate=3e-3)
    return ipc.build(parts, {"ipc": IpcOptions(**options), "ipc_training": training})  # type: ignore[arg-type]


def acc(game: Game, labels: np.ndarray) -> float:
    return clustering_metrics(game.probabilities.argmax(1), labels, 2)["acc"]


def same(pairs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (labels[pairs[:, 0]] == labels[pairs[:, 1]]).astype(np.int32)


def words(path: Path, first: int) -> str:
    """Text vectors near two directions of the images', somewhat off, as text is."""
    vectors = np.full((2, D), 0.1)
    vectors[[0, 1], [first, first + 1]] = 1
    np.savez(path, embeddings=vectors, words=["one", "other"])
    return str(path)


@pytest.mark.parametrize(("first", "labels"), [(0, COLOUR), (2, SHAPE)], ids=["colour", "shape"])
def test_words_say_by_what_to_cluster(tmp_path: Path, first: int, labels: np.ndarray) -> None:
    game = Game(build(criterion=words(tmp_path / "words.npz", first)), N, 20)
    assert game.embeddings.shape == (N, 2)
    np.testing.assert_allclose(np.linalg.norm(game.embeddings, axis=1), 1, rtol=1e-5)
    assert acc(game, labels) > 0.95


def test_a_criterion_of_another_network_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "words.npy", np.eye(3))
    with pytest.raises(UserError, match="vectors have 3 numbers, the samples' features 8"):
        build(criterion=str(tmp_path / "words.npy"))


def test_words_are_read_by_the_text_tower_of_the_features_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def vectors_of(path: Path, sentences: list[str]) -> np.ndarray:
        read.extend([path.name, *sentences])
        with np.load(words(tmp_path / "words.npz", 2)) as held:
            return normalize(held["embeddings"])

    monkeypatch.setattr(ipc_words, "vectors_of", vectors_of)
    network = tmp_path / "clip.safetensors"
    network.touch()
    with pytest.raises(UserError, match=r"lists 2 words.*set ipc\.text_network to"):
        build(criterion="round, straight")
    with pytest.raises(UserError, match=r"ipc\.text_network is '/none', which is not a checkpoint"):
        build(criterion="round, straight", text_network="/none")
    method = build(criterion="round, straight", text_network=str(network), prompt="a {} digit {}")
    assert read == ["clip.safetensors", "a round digit round", "a straight digit straight"]
    assert acc(Game(method, N, 20), SHAPE) > 0.95


@pytest.mark.parametrize(
    "options", [{}, {"closure": True, "spread": 0.9, "starts": 5}], ids=["paper", "ours"]
)
def test_pairs_turn_the_clusters_towards_the_person(options: dict[str, object]) -> None:
    game = Game(build(**options), N, 60)
    assert acc(game, COLOUR) > 0.95
    for last in (False, True):
        questions = game.ask(30)
        info = game.say(questions, same(questions.indices, SHAPE), last=last)
    assert info["answered"] == info["same"] + info["different"] == 60
    assert info["contradictions"] == 0
    assert acc(game, SHAPE) > 0.9
    game.say(game.next_pairs(questions.indices[:1]), 1 - same(questions.indices[:1], SHAPE))
    assert game.info["contradictions"] == 1


def test_five_partners_of_an_anchor_about_whom_similarity_says_least() -> None:
    game = Game(build(), N, 20)
    questions = game.ask(10)
    x = game.embeddings
    cosines = (x @ x.T)[np.triu_indices(N, 1)]
    theta = float(game.context.threshold)
    assert np.mean(cosines > theta) == pytest.approx(0.5, abs=0.01)
    for five in np.split(questions.indices, 2):
        (anchor,) = set(five[0]) & set(five[1])
        assert (five == anchor).any(1).all()
        gaps = np.abs(x @ x[anchor] - theta)
        gaps[anchor] = np.inf
        partners = five[five != anchor]
        assert gaps[partners].max() <= np.sort(gaps)[4] + 1e-6
    assert game.ask(12).count == 12


def test_told_pairs_are_those_that_stand() -> None:
    asked = pair_questions(
        1, np.array([[5, 2], [2, 3], [3, 5], [0, 1], [1, 4], [2, 3]]), np.zeros(6)
    )
    said = answered(asked, np.array([SAME, SAME, DIFFERENT, DIFFERENT, SKIP, SAME]))
    evidence = gather(6, [(asked, said)])
    assert told_pairs(evidence).tolist() == [[0, 1, 0], [2, 3, 1], [2, 5, 1]]
    assert told_pairs(gather(6, [])).shape == (0, 3)


def test_drawn_pairs_are_all_that_follow_and_equally_likely() -> None:
    asked = pair_questions(1, np.array([[0, 1], [1, 2], [3, 4], [0, 3]]), np.zeros(4))
    evidence = gather(9, [(asked, answered(asked, np.array([SAME, SAME, SAME, DIFFERENT])))])
    drawn = drawn_pairs(np.random.default_rng(0), evidence.closure, 10_000)
    drawn[:, :2] = np.sort(drawn[:, :2], axis=1)
    found, count = np.unique(drawn, axis=0, return_counts=True)
    alike = [[0, 1, 1], [0, 2, 1], [1, 2, 1], [3, 4, 1]]
    apart = [[i, j, 0] for i in (0, 1, 2) for j in (3, 4)]
    assert found.tolist() == sorted(alike + apart)
    np.testing.assert_allclose(count, 1000, rtol=0.12)
    nothing = gather(9, []).closure
    assert drawn_pairs(np.random.default_rng(0), nothing, 10).shape == (0, 3)


def test_pairs_of_two_named_samples_are_not_drawn() -> None:
    ledger = Ledger(8)
    labels = label_questions(1, np.array([0, 1, 2]), np.zeros(3))
    ledger.add(labels, answered(labels, np.array([0, 0, 1])))
    pairs = pair_questions(2, np.array([[0, 5], [2, 6], [1, 7]]), np.zeros(3))
    ledger.add(pairs, answered(pairs, np.array([SAME, DIFFERENT, DIFFERENT])))
    drawn = drawn_pairs(np.random.default_rng(0), ledger.evidence().closure, 500)
    drawn[:, :2] = np.sort(drawn[:, :2], axis=1)
    # 0, 1 and 5 are of one group, 2 of another; 6 and 7 are of no named one.
    assert np.unique(drawn, axis=0).tolist() == [[0, 7, 0], [1, 7, 0], [2, 6, 0], [5, 7, 0]]


def test_known_pairs_keep_their_shape_however_many_there_are() -> None:
    asked = pair_questions(1, np.array([[0, 1], [2, 3]]), np.zeros(2))
    evidence = gather(5, [(asked, answered(asked, np.array([DIFFERENT, SKIP])))])
    few, many = known_pairs(gather(5, []), 8), known_pairs(evidence, 8)
    assert jax.tree.map(jnp.shape, few) == jax.tree.map(jnp.shape, many)
    assert many.apart[many.apart[:, 0] >= 0].tolist() == [[0, 1]]
    assert many.asked[many.asked[:, 0] >= 0].tolist() == [[0, 1], [2, 3]]
    assert known_pairs(evidence, 1).asked.shape == (2, 2)


def small() -> tuple[jax.Array, jax.Array, IpcTraining]:
    x = normalize(jnp.asarray(inputs()))
    return x, jnp.asarray(COLOUR, jnp.int32), IpcTraining(hidden=16, learning_rate=3e-3)


def test_the_network_first_learns_the_clusters() -> None:
    x, clusters, training = small()
    model = network(2, 16)
    start = model.init(jax.random.key(0), x[:1])
    options = {"log": silent, "progress": False}
    untouched = training._replace(warmup_epochs=0)
    same_ = warm_up(jax.random.key(1), model, VIEWS, start, x, clusters, untouched, **options)
    assert same_ is start
    more = training._replace(warmup_epochs=60)
    told: list[dict[str, float]] = []
    learnt = warm_up(
        jax.random.key(1), model, VIEWS, start, x, clusters, more, log=told.append, progress=False
    )
    predicted = model.apply(learnt, x, False)[0].logits.argmax(1)
    np.testing.assert_array_equal(predicted, clusters)
    assert told[-1]["step"] == told[-1]["steps"] == 60
    # What nobody looks at stays.
    head = "instance_head"
    for before, after in zip(
        *(jax.tree.leaves(v["params"][head]) for v in (start, learnt)), strict=True
    ):
        np.testing.assert_array_equal(before, after)


def test_where_nothing_is_known_nothing_is_learned() -> None:
    x, clusters, training = small()
    model = network(2, 16)
    start = model.init(jax.random.key(0), x[:1])
    nothing = Taught(jnp.full(N, -1, jnp.int32), jnp.zeros((N, 2), bool))
    variables, info = refine(
        jax.random.key(1),
        model,
        VIEWS,
        start,
        x,
        clusters,
        np.zeros((0, 3), int),
        nothing,
        training,
        answers=3,
        log=silent,
        progress=False,
    )
    assert variables is start
    assert info == {}


def test_an_epoch_is_a_pass_over_the_answers() -> None:
    x, clusters, training = small()
    model = network(2, 16)
    start = model.init(jax.random.key(0), x[:1])
    nothing = Taught(jnp.full(N, -1, jnp.int32), jnp.zeros((N, 2), bool))
    pairs = np.stack([np.arange(70), np.arange(70) + 70, np.arange(70) % 2], axis=1)
    for answers, epochs, least, steps in ((70, 3, 0, 3), (130, 3, 0, 6), (70, 3, 11, 11)):
        told: list[dict[str, float]] = []
        how = training._replace(epochs=epochs, min_steps=least)
        _, info = refine(
            jax.random.key(1),
            model,
            VIEWS,
            start,
            x,
            clusters,
            pairs,
            nothing,
            how,
            answers=answers,
            log=told.append,
            progress=False,
        )
        assert told[-1]["steps"] == steps
        assert info["positive"] == info["negative"] == 0
        assert info["pairs"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "some"}, "ipc.space is 'some'"),
        ({"per_anchor": 0}, "ipc.per_anchor is 0"),
        ({"hops": -1}, "ipc.hops is -1"),
        ({"spread": 1.0}, "ipc.spread is 1.0"),
        ({"hardness": -1.0}, "ipc.hardness is -1.0"),
        ({"clusters": 1}, "num_clusters is 1"),
        ({"criterion": "/none.npz"}, "'/none.npz' is not a file"),
        ({"prompt": "a photo"}, "ipc.prompt is 'a photo'; it must have {} for the word"),
        ({"epochs": -1}, "ipc_training.epochs is -1"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(**options)  # type: ignore[arg-type]


def test_the_start_is_the_one_that_the_answers_contradict_least() -> None:
    game = Game(build(starts=6), N, 60)
    starts = np.asarray(game.context.starts)
    assert starts.shape == (6, N)
    assert game.state.chosen == 0
    # One that goes by the shape, as no k-means does.
    game.context = game.context._replace(starts=jnp.asarray(starts).at[4].set(SHAPE))
    questions = game.ask(30)
    game.say(questions, same(questions.indices, SHAPE))
    assert game.state.chosen == 4
    np.testing.assert_array_equal(np.asarray(game.state.prior).argmax(1), SHAPE)
    game = Game(build(starts=6), N, 60)
    game.context = game.context._replace(starts=jnp.asarray(starts).at[4].set(SHAPE))
    game.say(game.next_labels(range(12)), SHAPE[:12])
    assert game.state.chosen == 4


def test_starts_are_numbered_alike() -> None:
    first = np.array([0, 0, 0, 1, 1, 2, 2])
    other = np.array([2, 2, 2, 0, 1, 1, 1])
    assert ipc._numbered_as(first, other, 3).tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert ipc._numbered_as(first, np.zeros(7, int), 3).tolist() == [0] * 7


def test_pairs_of_named_samples_and_what_contradicts_them() -> None:
    outputs = np.array([-1, 2, 0, -3, 2, -1])
    pairs = named_pairs(np.random.default_rng(0), outputs, 4)
    assert set(pairs[:, :2].ravel()) == {1, 2, 4}
    assert (pairs[:, 0] != pairs[:, 1]).all()
    np.testing.assert_array_equal(pairs[:, 2], outputs[pairs[:, 0]] == outputs[pairs[:, 1]])
    assert named_pairs(np.random.default_rng(0), outputs[:1], 4).shape == (0, 3)
    told = np.array([[0, 1, 1], [1, 2, 0], [0, 3, 0]])
    clusters = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]])
    assert contradictions(clusters, told).tolist() == [0, 3, 2]
