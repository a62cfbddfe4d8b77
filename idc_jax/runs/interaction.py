"""A method at work on what people say: what runs and sessions drive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import asking, hosts
from idc_jax.annotate.evidence import Evidence, Ledger
from idc_jax.annotate.questions import (
    Answers,
    QuestionKind,
    Questions,
    answered,
    label_questions,
)
from idc_jax.errors import UserError
from idc_jax.methods.contract import Context, Method, MethodSpec, Round, State, embeddings_of
from idc_jax.ops.inputs import in_32_bits
from idc_jax.ops.sharded import is_spread
from idc_jax.outlook import SECONDS

_INIT, _ASK, _LEARN = range(3)


def storable(tree: Any) -> Any:
    """A context or state as one process can save it: no rows of what is spread over devices."""

    def own(array: Any) -> Any:
        return np.zeros((0, *array.shape[1:]), array.dtype) if is_spread(array) else array

    return jax.tree.map(own, tree)


def _lacks(array: Any) -> bool:
    """Whether the rows of ``array`` were not saved."""
    return np.shape(array)[:1] == (0,)


def _filled(array: Any, made: Any) -> Any:
    return made if _lacks(array) else array


def _own(round_: int) -> int:
    del round_
    return 0


class Interaction:
    """A method, its state, and all that was said.

    Attributes:
      spec: says what the method is.
      context: the method's, once begun.
      state: likewise.
    """

    context: Context
    state: State

    def __init__(
        self,
        spec: MethodSpec,
        method: Method,
        num_samples: int,
        seed: int,
        *,
        kinds: Sequence[QuestionKind] = (),
        family: Callable[[int], int] = _own,
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
          spec: says what the method is.
          method: what asks and learns.
          num_samples: n.
          seed: fixes everything.
          kinds: of questions that may be asked; by default the method's usual one.
          family: tells of a round whose clusters people were shown in it: 0 for the method's own,
            another number for each other clustering.
        """
        self.spec, self._method, self._num_samples = spec, method, num_samples
        self._seed, self._family = seed, family
        self._kinds = tuple(kinds) or spec.asks[:1]
        # Embeddings that are spread over processes, of the state and of one that was foreseen, and
        # the same in this host's memory.
        self._together: list[tuple[jax.Array, np.ndarray | None]] = []
        self.hear_again(())

    def begin(self) -> None:
        """Load or pre-train the network, embed, cluster."""
        self._begin()
        self._bring_together(self.state)

    def _begin(self) -> None:
        with in_32_bits():
            self.context, self.state = self._method.init(self._key(_INIT, 0))
            jax.block_until_ready((self.context, self.state))
        self._together = []

    def _bring_together(self, state: State) -> None:
        """Have the embeddings in ``state`` in this host's memory, where others have some rows.

        Every process comes to this.
        """
        rows = embeddings_of(self.context, state)
        if not is_spread(rows) or rows.is_fully_addressable:
            return
        if not any(known is rows for known, _ in self._together):
            found = hosts.rows_together(rows)
            # What is asked by them every process has to come to.
            found = found if self._asks_alone else hosts.told(lambda: found)
            self._together = [*self._together[:1], (rows, found)]

    @property
    def _asks_alone(self) -> bool:
        """Whether the method alone says what is asked."""
        return self._kinds == self.spec.asks[:1]

    def go_on(self, context: Context | None, state: State) -> None:
        """Take the place of an interaction that was saved.

        What :func:`storable` left out is made again; the context is, where it is None.
        """
        if context is None or any(map(_lacks, jax.tree.leaves(context))):
            self._begin()
            made = self.context
            context = made if context is None else jax.tree.map(_filled, context, made)
        # What another process sent is not on the device yet.
        self.context, state = jax.tree.map(jnp.asarray, (context, state))
        with in_32_bits():
            self.state = self._method.restore(self.context, state)
            jax.block_until_ready(self.state)
        self._bring_together(self.state)

    def hear(self, questions: Questions, answers: Answers) -> None:
        """Enter what was said."""
        self._ledger.add(questions, answers, elsewhere=self._family(questions.round))

    def hear_again(self, rounds: Iterable[tuple[Questions, Answers]]) -> None:
        """Forget what was entered, and enter ``rounds``: answers may have been corrected."""
        # Methods that ask about clusters mean their own; others read what people were shown.
        self._ledger = Ledger(self._num_samples, shown=self.spec.asks[0] != "cluster")
        for questions, answers in rounds:
            self.hear(questions, answers)

    def ask(self, round_: Round, budget: asking.Budget | None = None) -> Questions:
        """What is asked in ``round_``.

        Args:
          round_: where the run stands.
          budget: what the round may cost; None for as many questions as it says, whatever kind.
        """
        usual = self.spec.asks[0]
        with in_32_bits():
            own = partial(self._own_questions, round_)
            if self._asks_alone:
                return own(round_.budget)
            budget = budget or asking.Budget(round_.budget, SECONDS)
            asked = asking.ask(self.known(), self._kinds, own, usual, budget)
            return asked._replace(round=round_.number)

    def _own_questions(self, round_: Round, count: int) -> Questions:
        key, evidence = self._key(_ASK, round_.number), self.evidence
        if not self._asks_alone:
            # Who was compared with a sample of a known group needs no question any more.
            told = (evidence.group < 0) & (evidence.closure.label >= 0)
            group = np.where(told, evidence.closure.label, evidence.group)
            evidence = evidence._replace(group=group)
        round_ = round_._replace(budget=count)
        return self._method.ask(key, self.context, self.state, evidence, round_)

    def known(self) -> asking.Known:
        """What there is to ask by."""
        slots = np.asarray(self.state.slots)
        return asking.Known(self.probabilities, slots, self.embeddings, self.evidence)

    def learn(self, round_: Round) -> dict[str, float]:
        """Learn from all that was said, of which what was said in ``round_`` is new.

        Returns:
          Scalars to log; empty where there was nothing to learn.

        Raises:
          UserError: a prediction that means nothing; the state is then as it was.
        """
        self.state, info = self._after(round_)
        rows = embeddings_of(self.context, self.state)
        self._together = [pair for pair in self._together if pair[0] is rows]
        return info

    def foresee(self, round_: Round) -> State:
        """The state that :meth:`learn` would come to; this one stays as it is.

        Raises:
          UserError: as :meth:`learn`.
        """
        return self._after(round_)[0]

    def rehearse(self, round_: Round) -> None:
        """Have :meth:`learn` compiled, by an answer that nobody gave; nothing of it is kept."""
        ledger = Ledger(self._num_samples)
        asked = label_questions(round_.number, np.zeros(1, np.int32), np.zeros(1))
        ledger.add(asked, answered(asked, np.zeros(1)))
        with in_32_bits():
            key = self._key(_LEARN, round_.number)
            self._method.learn(key, self.context, self.state, ledger.evidence(), round_)

    def _after(self, round_: Round) -> tuple[State, dict[str, float]]:
        with in_32_bits():
            key, evidence = self._key(_LEARN, round_.number), self.evidence
            state, info = self._method.learn(key, self.context, self.state, evidence, round_)
            jax.block_until_ready(state)
        self._bring_together(state)
        if not np.isfinite(np.asarray(state.probabilities)).all():
            raise UserError(
                f"round {round_.number}: {self.spec.name} predicts numbers that are not finite; "
                "the answers are kept: try a lower learning rate or weaker options"
            )
        return state, info

    @property
    def evidence(self) -> Evidence:
        """All that was said."""
        return self._ledger.evidence()

    @property
    def probabilities(self) -> np.ndarray:
        """The prediction ``[n, c]``."""
        return np.asarray(self.state.probabilities)

    @property
    def embeddings(self) -> np.ndarray:
        """The embeddings ``[n, d]``; of rows that are spread over processes, only where needed."""
        return self.embeddings_in(self.state)

    def embeddings_in(self, state: State) -> np.ndarray:
        """The same in the ``state`` that :meth:`foresee` came to last."""
        rows = embeddings_of(self.context, state)
        found = next((here for known, here in self._together if known is rows), rows)
        return np.asarray(found)[: self._num_samples]

    def _key(self, purpose: int, round_: int) -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(self._seed), purpose), round_)
