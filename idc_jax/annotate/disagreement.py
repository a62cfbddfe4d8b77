"""Where several people did not agree, as a report tells it."""

from typing import Any

from idc_jax.annotate.fusion import agreement, fuse
from idc_jax.annotate.records import encode_choice
from idc_jax.annotate.stopping import by_people
from idc_jax.annotate.store import Store

_MOST_SHOWN = 50


def disagreement(store: Store, fusion: str) -> dict[str, Any] | None:
    """Summarise how far the people agreed over all rounds.

    Args:
      store: holds every person's answers.
      fusion: how they become one; see :func:`idc_jax.annotate.fusion.fuse`.

    Returns:
      None where no question was answered by more than one person, else ``questions`` (answered
      by several), ``disputed`` (how many of those), ``people`` (for each name the ``answers``
      given and the ``agreed`` share equal to the fused answer) and ``examples``: of the disputed
      questions the ``round``, ``position``, ``votes`` by name and the ``fused`` answer.
    """
    several, disputed = 0, 0
    people: dict[str, list[float]] = {}
    examples: list[dict[str, Any]] = []
    for number in store.rounds():
        questions = store.questions(number)
        assert questions is not None
        rows = by_people(store.live(number))
        choice = fuse(rows, questions.count, fusion)
        found = agreement(rows, choice)
        several += int((found.votes > 1).sum())
        disputed += len(found.disputed)
        for name, share in found.per_annotator.items():
            given = sum(row.annotator == name for row in rows)
            tally = people.setdefault(name, [0, 0.0])
            tally[0] += given
            tally[1] += share * given
        for position in found.disputed[: _MOST_SHOWN - len(examples)].tolist():
            votes = {
                row.annotator: encode_choice(questions.kind, row.choice)
                for row in rows
                if row.position == position
            }
            fused = encode_choice(questions.kind, int(choice[position]))
            examples.append({"round": number, "position": position, "votes": votes, "fused": fused})
    if not several:
        return None
    return {
        "questions": several,
        "disputed": disputed,
        "people": {
            name: {"answers": int(given), "agreed": agreed / given}
            for name, (given, agreed) in sorted(people.items())
        },
        "examples": examples,
    }
