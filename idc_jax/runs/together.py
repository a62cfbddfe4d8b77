"""A method at work in several processes: process 0 says what comes next, the others do the same.

A step of a method is one program over the devices of all processes, so all of them have to call
it. What it is called with (questions, answers, a checkpoint) process 0 alone has, and sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from idc_jax import hosts
from idc_jax.annotate.questions import Answers, QuestionKind, Questions
from idc_jax.asking import Budget
from idc_jax.methods.contract import Context, Method, MethodSpec, Round, State
from idc_jax.runs.interaction import Interaction
from idc_jax.train.trees import plain_tree, rebuild

_Said = list[dict[str, Any]]


class Leading(Interaction):
    """Process 0's: tells the others each step before it takes it."""

    _told: _Said

    def begin(self) -> None:
        """As the others do."""
        hosts.tell({"step": "begin"})
        super().begin()

    def go_on(self, context: Context | None, state: State) -> None:
        """Give the others what was saved."""
        trees = {"context": plain_tree(context), "state": plain_tree(state)}
        hosts.tell({"step": "go_on", **trees})
        super().go_on(context, state)

    def hear_again(self, rounds: Iterable[tuple[Questions, Answers]]) -> None:
        """Keep ``rounds`` for the next step that is told."""
        rounds = list(rounds)
        super().hear_again(rounds)
        self._told = [
            {
                "questions": questions._asdict(),
                "answers": answers._asdict(),
                "family": self._family(questions.round),
            }
            for questions, answers in rounds
        ]

    def ask(self, round_: Round, budget: Budget | None = None) -> Questions:
        """As the others do; what they would ask is not heard."""
        plain = budget and {**budget._asdict(), "seconds": dict(budget.seconds)}
        self._tell("ask", round_, plain)
        return super().ask(round_, budget)

    def learn(self, round_: Round) -> dict[str, float]:
        """As the others do."""
        self._tell("learn", round_)
        return super().learn(round_)

    def foresee(self, round_: Round) -> State:
        """As the others do."""
        self._tell("foresee", round_)
        return super().foresee(round_)

    def rehearse(self, round_: Round) -> None:
        """As the others do."""
        self._tell("rehearse", round_)
        super().rehearse(round_)

    def _tell(self, step: str, round_: Round, budget: dict[str, Any] | None = None) -> None:
        told = {"step": step, "round": round_._asdict(), "said": self._told, "budget": budget}
        hosts.tell(told)


def follow(
    spec: MethodSpec,
    method: Method,
    num_samples: int,
    seed: int,
    *,
    kinds: Sequence[QuestionKind] = (),
) -> None:
    """Take every step that process 0 takes, until it has taken its last.

    Args:
      spec: says what the method is.
      method: what asks and learns.
      num_samples: n.
      seed: of the run.
      kinds: of questions that may be asked.
    """
    families: dict[int, int] = {}
    family = families.__getitem__
    here = Interaction(spec, method, num_samples, seed, kinds=kinds, family=family)
    while (told := hosts.hear()) is not None:
        step = told["step"]
        if step == "begin":
            here.begin()
        elif step == "go_on":
            here.go_on(rebuild(spec.context, told["context"]), rebuild(spec.state, told["state"]))
        else:
            families.update({one["questions"]["round"]: one["family"] for one in told["said"]})
            here.hear_again(_rounds(told["said"]))
            round_, budget = Round(**told["round"]), told["budget"]
            if step == "ask":
                here.ask(round_, None if budget is None else Budget(**budget))
            else:
                getattr(here, step)(round_)


def _rounds(said: _Said) -> list[tuple[Questions, Answers]]:
    return [(Questions(**one["questions"]), Answers(**one["answers"])) for one in said]
