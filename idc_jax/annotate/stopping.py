"""Stopping early: what was answered counts, and what is left of the round is skipped."""

from collections.abc import Sequence

from idc_jax.annotate.questions import SKIP
from idc_jax.annotate.store import Row

_MARK = "stopped:"


def left_out(
    round_: int, voters: Sequence[set[str]], votes: int, rows: Sequence[Row], stopped_by: str
) -> list[Row]:
    """Skips for the answers of a round that nobody will give any more.

    Args:
      round_: the round.
      voters: who has answered each question.
      votes: how many have to.
      rows: answers that are on their way into the store.
      stopped_by: who stopped; the skips stand under this name, numbered where several people
        would have answered.

    Returns:
      One row for each missing answer. Stopping twice makes the same rows again.
    """
    given = [set(names) for names in voters]
    for row in rows:
        if row.round == round_:
            names = given[row.position]
            (names.add if row.undoes is None else names.discard)(row.annotator)
    return [
        Row(
            client_id=f"{_MARK}{round_}:{position}:{vote}",
            round=round_,
            position=position,
            annotator=f"{stopped_by} (stopped {vote + 1})",
            choice=SKIP,
        )
        for position, names in enumerate(given)
        for vote in range(votes - len(names))
    ]


def by_people(rows: Sequence[Row]) -> list[Row]:
    """The rows that somebody gave, without those of :func:`left_out`."""
    return [row for row in rows if not row.client_id.startswith(_MARK)]
