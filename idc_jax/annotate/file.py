"""Questions written to a file, answers read from one: annotation in somebody else's tool."""

import json
from collections.abc import Sequence
from pathlib import Path

from idc_jax.annotate.annotator import Annotator, FusionName
from idc_jax.annotate.exchange import (
    import_answers,
    import_label_studio,
    label_studio_config,
    label_studio_tasks,
    question_records,
    write_jsonl,
)
from idc_jax.annotate.questions import Questions
from idc_jax.annotate.store import Store
from idc_jax.errors import UserError


class AnswersPendingError(UserError):
    """The questions have been exported; the run goes on when their answers are there."""


def from_file(
    answers: str | Path,
    *,
    directory: str | Path,
    names: Sequence[str] = (),
    max_groups: int | None = None,
    votes: int = 1,
    fusion: FusionName = "majority",
) -> Annotator:
    """An annotator that reads a file of answers, and writes the questions where it has none.

    A round's questions go to ``questions_round_R.jsonl`` and, as tasks of Label Studio, to
    ``label_studio_round_R.json`` in ``directory``.

    Args:
      answers: JSON Lines as :func:`~idc_jax.annotate.exchange.import_answers` reads them, or a
        JSON export of Label Studio (by the ending ``.json``). ``{round}`` in it is replaced by
        the number of the round; without it one file holds all rounds.
      directory: where the questions go.
      names: what each sample is called, or empty: then its index.
      max_groups: how many groups the answers to label questions may name; None allows class ids
        alone.
      votes: how many answers each question needs.
      fusion: how they become one.

    Returns:
      The annotator. Its ``answer`` raises :class:`AnswersPendingError` while answers are
      missing, and ``UserError`` for a file with anything but answers; then none of it is kept.
    """

    def answer(store: Store, questions: Questions) -> None:
        path = Path(str(answers).replace("{round}", str(questions.round)))
        exported = _export(Path(directory), questions, names)
        if path.exists():
            read = import_label_studio if path.suffix == ".json" else import_answers
            read(store, path, max_groups=max_groups)
        missing = store.missing(questions.round, votes).size
        if missing:
            raise AnswersPendingError(
                f"round {questions.round}: the questions are in {exported}; {missing} of "
                f"{questions.count} answers are missing: put them into {path} and run the same "
                "command again"
            )

    return Annotator("file", answer, votes, fusion)


def _export(directory: Path, questions: Questions, names: Sequence[str]) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"questions_round_{questions.round}.jsonl"
        write_jsonl(path, question_records(questions, names))
        studio = directory / f"label_studio_round_{questions.round}.json"
        studio.write_text(json.dumps(label_studio_tasks(questions, names)))
        (directory / "label_studio_config.xml").write_text(label_studio_config(questions.kind))
    except OSError as error:
        raise UserError(f"cannot write the questions to {directory}: {error.strerror}") from error
    return path
