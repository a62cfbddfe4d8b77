"""What every registered method keeps to, whoever wrote it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import jax
import numpy as np
import pytest
from compiling import compilations
from conformance import CLUSTERS, LABELS, N, begin, choose, compose, dataset, make
from ml_collections import ConfigDict
from playing import Game
from sending import nothing_sent

from idc_jax.annotate.evidence import Ledger
from idc_jax.annotate.questions import SKIP, answered
from idc_jax.methods import registry
from idc_jax.methods.contract import MethodSpec, Round
from idc_jax.metrics import clustering_metrics
from idc_jax.runs import configuration
from idc_jax.runs.interaction import Interaction
from idc_jax.train.checkpoint import Checkpoints, rebuild
from idc_jax.train.trees import plain_tree

pytestmark = pytest.mark.parametrize("spec", registry.specs(), ids=lambda spec: spec.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def check(game: Game) -> None:
    """Predictions mean something, and so do all other numbers."""
    probs = game.probabilities
    assert np.isfinite(probs).all()
    np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-4)
    assert (probs >= 0).all()
    assert probs.shape[0] == game.embeddings.shape[0] == N
    assert np.isfinite(game.embeddings).all()
    assert all(np.isfinite(value) for value in game.info.values())


def asked_of(questions) -> set[tuple[int, ...]]:
    rows = questions.indices.reshape(questions.count, -1)
    return {tuple(sorted(row)) for row in rows.tolist()}


def test_it_says_what_it_is(spec: MethodSpec, folder: Path) -> None:
    game = begin(spec, folder)
    check(game)
    assert isinstance(game.context, spec.context)
    assert isinstance(game.state, spec.state)
    assert game.probabilities.shape == (N, CLUSTERS)
    questions = game.ask(6)
    assert questions.kind in spec.asks
    assert questions.count == len(asked_of(questions)) == 6
    assert (questions.indices.ndim == 2) == (spec.chooses == "pairs")
    # What is asked depends on the arguments alone.
    np.testing.assert_array_equal(game.ask(6).indices, questions.indices)


def test_skips_change_nothing_and_are_not_asked_again(spec: MethodSpec, folder: Path) -> None:
    game = begin(spec, folder)
    before, asked = game.probabilities, set()
    for _ in range(3):
        questions = game.ask(5)
        assert not asked_of(questions) & asked
        asked |= asked_of(questions)
        assert game.say(questions, np.full(5, SKIP)) == {}
        np.testing.assert_array_equal(game.probabilities, before)
    check(game)


def test_it_goes_on_from_a_checkpoint_as_if_nothing_had_happened(
    spec: MethodSpec, folder: Path
) -> None:
    game, resumed = begin(spec, folder), begin(spec, folder)
    for round_ in range(3):
        checkpoints = Checkpoints(folder / f"saved{round_}")
        checkpoints.save(0, {"context": resumed.context, "state": resumed.state}, {})
        saved = checkpoints.latest()
        assert saved is not None
        checkpoints.close()
        resumed.context = rebuild(spec.context, saved.tree["context"])
        resumed.state = rebuild(spec.state, saved.tree["state"])
        assert jax.tree.structure(resumed.state) == jax.tree.structure(game.state)
        assert jax.tree.structure(resumed.context) == jax.tree.structure(game.context)
        first, second = game.ask(6), resumed.ask(6)
        np.testing.assert_array_equal(first.indices, second.indices)
        game.say(first, choose(first))
        resumed.say(second, choose(second))
        np.testing.assert_array_equal(game.probabilities, resumed.probabilities)


def test_it_goes_on_from_what_another_process_sends(spec: MethodSpec, folder: Path) -> None:
    method, round_ = compose(spec, folder), Round(1, 6, 0, 12, False, 1)
    here, there = (Interaction(spec, method, N, seed=0) for _ in range(2))
    here.begin()
    # As the lines between processes bring them: NumPy's arrays.
    sent = jax.tree.map(np.asarray, (plain_tree(here.context), plain_tree(here.state)))
    there.go_on(rebuild(spec.context, sent[0]), rebuild(spec.state, sent[1]))
    questions = here.ask(round_)
    np.testing.assert_array_equal(there.ask(round_).indices, questions.indices)
    said = answered(questions, choose(questions))
    for one in (here, there):
        one.hear(questions, said)
        one.learn(round_)
    np.testing.assert_array_equal(there.probabilities, here.probabilities)


def test_what_was_not_saved_of_a_state_is_made_again(spec: MethodSpec, folder: Path) -> None:
    game = begin(spec, folder)
    questions = game.ask(8)
    game.say(questions, choose(questions))
    assert game.method.restore(game.context, game.state) is game.state
    # What is spread over devices, where there are several: no process could save it.
    for part in {"idc": ["compared"], "dsac": ["embeddings"]}.get(spec.name, []):
        wanted = getattr(game.state, part)
        without = game.state._replace(**{part: jax.tree.map(lambda a: a[:0], wanted)})
        found = getattr(game.method.restore(game.context, without), part)
        jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_budgets_may_be_uneven(spec: MethodSpec, folder: Path) -> None:
    game, asked = begin(spec, folder), set()
    for budget in (7, 1, 4):
        questions = game.ask(budget)
        assert questions.count == budget
        assert not asked_of(questions) & asked
        asked |= asked_of(questions)
        game.say(questions, choose(questions))
        check(game)


def test_it_asks_what_is_left_and_then_nothing(spec: MethodSpec, folder: Path) -> None:
    game = begin(spec, folder, total=N)
    if spec.chooses == "samples":
        game.say(game.next_labels(range(N - 3)), LABELS[: N - 3])
        questions = game.ask(10)
        assert asked_of(questions) == {(N - 3,), (N - 2,), (N - 1,)}
        game.say(questions, choose(questions))
        left = game.ask(10).count
    else:
        # All pairs are known once every sample has a class.
        game.say(game.next_labels(range(N)), LABELS)
        left = game.ask(10).count
    check(game)
    assert left == 0
    nothing = game.next_labels([])
    game.say(nothing, np.zeros(0, int), last=True)
    check(game)


def test_people_may_stop_in_the_middle_of_a_round(spec: MethodSpec, folder: Path) -> None:
    game = begin(spec, folder)
    questions = game.ask(6)
    choice = choose(questions)
    choice[3:] = SKIP
    game.say(questions, choice, last=True)
    check(game)


def test_more_groups_than_clusters(spec: MethodSpec, folder: Path) -> None:
    game = begin(spec, folder)
    groups = np.array([9, 0, 4, 2, 7, 11, 3, 1])
    game.say(game.next_labels(range(0, 80, 10)), groups)
    check(game)
    game.say(game.next_labels([5, 6]), [30, 9])
    check(game)
    questions = game.ask(4)
    assert questions.count == 4


@pytest.mark.parametrize("kind", ["label", "cluster", "pair", "grid", "mixture"])
def test_it_learns_from_each_kind_of_evidence(spec: MethodSpec, folder: Path, kind: str) -> None:
    game = begin(spec, folder)
    before = game.probabilities
    kinds = ("label", "cluster", "pair") if kind == "mixture" else (kind,)
    rng = np.random.default_rng(0)
    for one in kinds:
        questions = make(game, one, rng, 40)
        game.say(questions, choose(questions))
        check(game)
    assert np.abs(game.probabilities - before).max() > 1e-4
    # Told a good part of the truth, it does not do worse than by chance.
    counts = np.zeros((game.probabilities.shape[1], CLUSTERS))
    np.add.at(counts, (game.probabilities.argmax(1), LABELS), 1)
    assert counts.max(1).sum() / N > 0.5


def test_each_of_its_kinds_can_be_asked_and_learned(spec: MethodSpec, folder: Path) -> None:
    method = compose(spec, folder)
    for kind in spec.asks:
        interaction = Interaction(spec, method, N, 0, kinds=(kind,))
        interaction.begin()
        asked: list[str] = []
        for number in range(1, 4):
            round_ = Round(number, 12, 12 * (number - 1), 40, False, number)
            questions = interaction.ask(round_)
            assert 0 < questions.count <= 12
            assert questions.round == number
            asked.append(questions.kind)
            interaction.hear(questions, answered(questions, choose(questions)))
            interaction.learn(round_)
            np.testing.assert_allclose(interaction.probabilities.sum(1), 1, rtol=1e-4)
        # There is no grid before a group has a name.
        assert set(asked) <= ({kind, spec.asks[0]} if kind == "grid" else {kind})


def test_the_order_of_answers_does_not_matter(spec: MethodSpec, folder: Path) -> None:
    games = [begin(spec, folder), begin(spec, folder)]
    rng = np.random.default_rng(1)
    asked = [make(games[0], kind, rng, 15) for kind in ("label", "pair", "cluster")]
    for game, order in zip(games, (1, -1), strict=True):
        game.ledger = Ledger(N, shown=spec.asks[0] != "cluster")
        for questions in asked:
            rows = np.arange(questions.count)[::order]
            turned = questions._replace(
                indices=questions.indices[rows],
                candidates=questions.candidates[rows],
                values=questions.values[rows],
                roles=questions.roles[rows],
            )
            game.ledger.add(turned, answered(turned, choose(turned)))
        game.learn(asked[0])
    np.testing.assert_allclose(games[0].probabilities, games[1].probabilities, atol=1e-5)


def test_nothing_compiles_after_the_first_round_and_no_epoch_sends_anything(
    spec: MethodSpec, folder: Path
) -> None:
    # Others may have compiled the first round's programs.
    game = begin(spec, folder, total=24)
    spans: list[range] = []
    for number in range(4):
        guard = nothing_sent() if number else nullcontext(spans)
        with compilations() as compiled, guard as spans:
            questions = game.ask(6)
            game.say(questions, choose(questions), last=number == 3)
            check(game)
        assert not (number and compiled), f"round {number + 1} compiled {compiled}"
        # The graph committee trains no network.
        assert bool(spans) == (number > 0 and spec.name != "graph_committee")


def test_more_samples_than_fit_are_streamed(spec: MethodSpec, folder: Path) -> None:
    images = dataset("images")
    resident = begin(spec, folder / "a", images)
    streamed = begin(spec, folder / "b", images, gigabytes=1e-6)
    for game in (resident, streamed):
        questions = game.ask(6)
        game.say(questions, choose(questions))
        check(game)
    np.testing.assert_allclose(resident.probabilities, streamed.probabilities, atol=2e-3)


@pytest.mark.parametrize("said", [1, 2, 5])
def test_a_few_answers_are_no_worse_than_none(spec: MethodSpec, folder: Path, said: int) -> None:
    """One of its own questions, or labels of one class alone."""

    def suit(config: ConfigDict) -> None:
        # The papers' own settings may fall behind: their heads learn the one class.
        configuration.for_features(config)
        config.dsac_training.epochs = 30  # of so few samples

    game = begin(spec, folder, suit=suit)
    before = clustering_metrics(game.probabilities.argmax(1), LABELS, CLUSTERS)["acc"]
    if said > 1:
        game.say(game.next_labels(range(said)), LABELS[:said])
    else:
        questions = make(game, spec.asks[0], np.random.default_rng(1), 1)
        game.say(questions, choose(questions))
    probs = game.probabilities
    after = clustering_metrics(probs.argmax(1), LABELS, probs.shape[1])["acc"]
    assert after >= before - 0.01
    check(game)
