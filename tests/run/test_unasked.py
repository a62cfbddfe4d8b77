"""What people say unasked while a run goes on, after it, and across a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict
from small import shrink
from test_toy_method import toy_spec

from configs import features
from idc_jax.annotate import Annotator, Questions, Row, Store
from idc_jax.annotate.volunteered import Hand, volunteered_rounds
from idc_jax.methods import registry
from idc_jax.runs import compose
from idc_jax.runs.answering import Answering

Act = Callable[["People", int], None]
# Blobs lie one after the other, forty samples each.
SIZE, BLOB = 160, 40


class KilledError(Exception):
    """The run ends here, whatever it was at."""


class People:
    """Somebody who answers by the truth, and in each round does something else as well."""

    def __init__(self, act: Act, after: Callable[[Store], bool] = lambda _: False) -> None:
        self.act, self.after = act, after
        self.shown: list[np.ndarray] = []
        self.learn: Callable[[], None] = lambda: None

    @contextmanager
    def __call__(
        self, options: Any, dataset: Any, c: int, seed: int, workdir: Path, lodging: Any = None
    ):
        def notify(event: str, values: Any) -> None:
            if event == "groups":
                self.shown.append(np.asarray(values["probabilities"]).argmax(axis=1))

        def goes_on() -> bool:
            with Store(workdir / "answers.db") as store:
                return self.after(store)

        def listen(learn: Callable[[], None]) -> None:
            self.learn = learn

        annotator = Annotator("people", self.answer, meanwhile=listen)
        yield Answering(lambda _: annotator, notify, lambda _: None, goes_on)

    def answer(self, store: Store, questions: Questions) -> None:
        self.store = store
        self.act(self, questions.round)
        rows = enumerate((questions.indices // BLOB).tolist())
        missing = set(store.missing(questions.round).tolist())
        store.add(
            Row(f"{questions.round}:{at}", questions.round, at, "Ann", group)
            for at, group in rows
            if at in missing
        )

    def say(self, gesture: str, samples: Any, group: int) -> None:
        with self.store.whole():
            hand = Hand(self.store, gesture, "Ann", 1.0)
            hand.say(samples, group)
            hand.end()


def nothing(people: People, round_: int) -> None:
    """Only what was asked."""


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    registry.register(toy_spec(quick=True))
    yield
    registry.forget("toy")


@pytest.fixture
def config(features_file: Path, home: Path) -> ConfigDict:
    config = shrink(features.get_config("toy"), home)
    config.data.path = str(features_file)
    config.budget, config.rounds = 6, 2
    config.data.limit = SIZE
    return config


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, config: ConfigDict, tmp_path: Path):
    def run(people: People, folder: str = "run") -> dict[str, Any]:
        monkeypatch.setattr(compose, "answering", people)
        compose.run_experiment(config, tmp_path / folder)
        found = json.loads((tmp_path / folder / "result.json").read_text())
        return found | {"table": (tmp_path / folder / "assignments.csv").read_text()}

    return run


def move_some(people: People, round_: int) -> None:
    """In the first round, while it is open."""
    if round_ == 1:
        people.say("g", [150, 151, 152], 3)


def test_it_is_shown_at_once_and_learned_with_the_round(play, tmp_path: Path) -> None:
    def act(people: People, round_: int) -> None:
        move_some(people, round_)
        if round_ == 1:
            before = len(people.shown)
            people.learn()
            # Nothing else was said: all are what these three are, as the toy has it.
            assert len(people.shown) == before + 1
            assert (people.shown[-1] == 3).all()

    people = People(act)
    result = play(people)
    assert result["questions"] == {"asked": 6, "label": 6, "none": 0, "skip": 0, "unasked": 3}
    with Store(tmp_path / "run" / "answers.db") as store:
        assert volunteered_rounds(store) == {2: 3}
        assert [store.questions(number).count for number in store.rounds()] == [3, 3, 3]
    assert [entry["round"] for entry in result["rounds"]] == [0, 2, 3]
    assert (people.shown[-1][BLOB * 3 :] == 3).mean() > 0.8


def test_a_killed_run_comes_to_the_same(play) -> None:
    whole = play(People(move_some), "whole")

    def die(people: People, round_: int) -> None:
        move_some(people, round_)
        people.learn()
        raise KilledError

    with pytest.raises(KilledError):
        play(People(die), "killed")
    again = play(People(nothing), "killed")
    for key in ("table", "rounds", "questions", "final"):
        assert again[key] == whole[key], key


def test_between_two_rounds_it_is_learned_before_the_next_is_asked(play, tmp_path: Path) -> None:
    class Between(People):
        def answer(self, store: Store, questions: Questions) -> None:
            super().answer(store, questions)
            if questions.round == 1:
                # The round is answered, and is being learned.
                self.say("g", [5, 150], 3)

    result = play(Between(nothing))
    with Store(tmp_path / "run" / "answers.db") as store:
        assert 5 not in store.questions(3).indices  # it need not be asked
        assert store.missing(3).size == 0
    assert result["questions"]["asked"] == 6


def test_after_the_end_corrections_are_learned_and_more_is_asked(play, tmp_path: Path) -> None:
    wants = iter(("withdraw", "more", None))

    def after(store: Store) -> bool:
        what = next(wants)
        if what == "withdraw":
            hand = Hand(store, "w", "Bob", 0.0)
            hand.withdraw(["1:0"])
            hand.end()
        if what == "more":
            store.ask_further(4, max(store.rounds()))
        return what is not None

    people = People(nothing, after)
    result = play(people)
    assert result["questions"]["asked"] == 10
    assert result["questions"]["skip"] == 1  # asked, and nobody stands by an answer
    # The same command later has nothing left to ask.
    assert play(People(nothing))["questions"]["asked"] == 10


def test_a_run_that_was_stopped_goes_on_when_more_is_wanted(play) -> None:
    def stop(people: People, round_: int) -> None:
        if round_ == 1:
            people.store.stop("Ann")

    wants = iter((True, False))

    def after(store: Store) -> bool:
        if more := next(wants):
            store.ask_further(2, 1)
        return more

    result = play(People(stop, after))
    assert result["questions"]["asked"] > 3
