"""Questions written to a file, answers read from one: annotation in somebody else's tool."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from idc_jax.annotate.annotator import Annotator, FusionName
from idc_jax.annotate.exchange import import_file
from idc_jax.annotate.label_studio import holds_annotations, labelling_config, tasks_of
from idc_jax.annotate.questions import Questions
from idc_jax.annotate.records import question_records, write_jsonl
from idc_jax.annotate.store import Store
from idc_jax.annotate.textfile import parse_json, read_lines
from idc_jax.errors import UserError


class AnswersPendingError(UserError):
    """The questions have been exported; the run goes on when their answers are there."""


def from_file(
    answers: str | Path,
    *,
    directory: str | Path,
    names: Sequence[str] = (),
    max_groups: int | None = None,
    class_names: Sequence[str] = (),
    votes: int = 1,
    fusion: FusionName = "majority",
) -> Annotator:
    """An annotator that reads a file of answers, and writes the questions where it has none.

    A round's questions go to ``questions_round_R.jsonl`` and, as tasks of Label Studio, to
    ``label_studio_round_R.json`` in ``directory``; a file there that holds answers stays as it is.

    Args:
      answers: as :func:`~idc_jax.annotate.exchange.import_file` reads it. ``{round}`` in it is
        replaced by the number of the round; without it one file holds all rounds.
      directory: where the questions go.
      names: what each sample is called, or empty: then its index.
      max_groups: how many groups the answers to label questions may name; None allows class ids
        alone.
      class_names: what the first class ids are called.
      votes: how many answers each question needs.
      fusion: how they become one.

    Returns:
      The annotator. Its ``answer`` raises :class:`AnswersPendingError` while answers are
      missing, and ``UserError`` for a file with anything but answers; then none of it is kept.
    """

    def place(round_: int) -> Path:
        return Path(str(answers).replace("{round}", str(round_))).expanduser()

    def take(store: Store, rounds: Iterable[int]) -> None:
        """Read the files of some rounds, each once."""
        for path in dict.fromkeys(map(place, rounds)):
            if os.path.exists(path):
                import_file(store, path, max_groups=max_groups, class_names=class_names)

    def answer(store: Store, questions: Questions) -> None:
        exported = _export(Path(directory), questions, names)
        take(store, [questions.round])
        missing = store.missing(questions.round, votes).size
        if missing:
            raise AnswersPendingError(
                f"round {questions.round}: the questions are in {exported}; {missing} of "
                f"{questions.count} answers are missing: put them into {place(questions.round)} "
                "and run the same command again"
            )

    return Annotator("file", answer, votes, fusion, lambda store: take(store, store.rounds()))


def _export(directory: Path, questions: Questions, names: Sequence[str]) -> Path:
    path = directory / f"questions_round_{questions.round}.jsonl"
    studio = directory / f"label_studio_round_{questions.round}.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not (path.exists() and _holds_answers(path)):
            write_jsonl(path, question_records(questions, names))
        if not (studio.exists() and holds_annotations(studio)):
            _write(studio, json.dumps(tasks_of(questions, names)))
        _write(directory / "label_studio_config.xml", labelling_config(questions.kind))
    except OSError as error:
        raise UserError(f"cannot write the questions to {directory}: {error.strerror}") from error
    return path


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _holds_answers(path: Path) -> bool:
    """Whether somebody has put answers among the questions; also where it cannot be read."""

    def answered(record: Any) -> bool:
        return not isinstance(record, dict) or record.get("answer") is not None

    try:
        return any(answered(parse_json(line)) for line in read_lines(path) if line.strip())
    except UserError:
        return True
