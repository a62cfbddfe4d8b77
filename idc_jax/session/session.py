"""A clustering that a person steers, from Python."""

from __future__ import annotations

import os
import weakref
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idc_jax.annotate.questions import Questions
from idc_jax.annotate.store import Store
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError, check_at_least
from idc_jax.export import FinishedRun, Options, Table, make_table
from idc_jax.export import export as export_run
from idc_jax.methods import registry
from idc_jax.methods.contract import OWN
from idc_jax.ops.inputs import in_32_bits
from idc_jax.outlook import FOUND, WANTED, Estimate, number_of_groups
from idc_jax.runs.groups import find_candidates, first_number, most_groups
from idc_jax.runs.interaction import Interaction
from idc_jax.runs.lock import share
from idc_jax.runs.settings import kinds_of
from idc_jax.session.book import Book
from idc_jax.session.composing import compose
from idc_jax.session.course import Course
from idc_jax.session.keeping import (
    Samples,
    check_free,
    own_folder,
    read_begun,
    read_learned,
    write_learned,
    write_samples,
)
from idc_jax.session.parts import Batch, Group, Settings
from idc_jax.session.samples import as_features, as_samples
from idc_jax.session.serving import ask_on
from idc_jax.train.log import Log
from idc_jax.train.parallel import all_devices

# Whoever answers, unless a name is given.
_ME = "me"


class Session:
    """Ask a few questions about samples, learn from the answers, ask again.

    Answers are kept on the disk from the moment that they are given, in a temporary folder until
    :meth:`save`. What was learned is brought up to date when it is asked for.
    """

    # Lets go of the folder that the session was saved in.
    _leave: weakref.finalize[..., Any] | None = None

    def __init__(
        self,
        data: Any,
        num_clusters: int = 0,
        *,
        method: str | None = None,
        ids: Sequence[Hashable] | None = None,
        label_column: str | None = None,
        questions: str = OWN,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        progress: bool = False,
    ) -> None:
        """Embed and cluster ``data``; nothing is asked yet.

        Args:
          data: embeddings ``[n, d]``, images ``[n, h, w]`` or ``[n, h, w, c]`` (uint8), a pandas
            DataFrame of numbers, a ``datasets.Dataset`` of Hugging Face's with a column of images
            or of vectors, the path of a file of features or of a folder of images. With images
            and vectors both, the images are shown and the vectors compared.
          num_clusters: groups wanted; 0 where nobody knows: the number to begin with is found in
            the samples, and groups grow as they are named.
          method: a name of :func:`idc_jax.methods.registry.names`; the usual one if not given.
          ids: what the samples are called; else a DataFrame's index, a column ``id`` or such, a
            folder's paths, or numbers.
          label_column: of a DataFrame or a Dataset, the column whose labels count as answers; else
            none do.
          questions: the kinds that :meth:`ask` may ask: ``"own"`` for the method's usual one,
            some of ``"label"``, ``"cluster"``, ``"pair"`` and ``"grid"`` joined by commas, or
            ``"auto"`` for all that can be asked for the method: each time the kind that is
            expected to mend most errors per second.
          seed: fixes everything.
          options: of the method, by their full names, as ``{"graph_committee.hops": 2}``.
          progress: show bars.

        Raises:
          UserError: what cannot be clustered, and what to do.
        """
        all_devices()
        dataset, names, features, labels = as_samples(data, ids, label_column)
        if num_clusters != 0:
            check_at_least("num_clusters", num_clusters, 2, "0 has the number found")
        if features is None:
            features = as_features(dataset, progress=progress)
        kept = None if num_clusters else find_candidates(features, int(seed))
        self._settings = Settings(
            int(num_clusters) if kept is None else first_number(kept, dataset.size),
            method or registry.usual(),
            int(seed),
            dict(options or {}),
            kept,
            questions,
        )
        self._open(dataset, names, features, progress)
        store = Store(self._temporary / "answers.db")
        self._go(Book(store, dataset.size, names))
        self._interaction.begin()
        called = range(dataset.size) if names is None else names
        known = {one: name for one, name in zip(called, labels, strict=False) if name is not None}
        if known:
            self.answer(known, annotator=label_column or _ME)

    def _open(
        self,
        dataset: Dataset,
        ids: tuple[Hashable, ...] | None,
        features: np.ndarray,
        progress: bool,
    ) -> None:
        settings, spec = self._settings, registry.get(self._settings.method)
        kinds = kinds_of(settings.questions, spec)
        self._dataset, self._ids, self._features = dataset, ids, features
        # Gone with the session, and with it what a pre-training keeps there.
        self._temporary = own_folder(self)
        with in_32_bits():
            method = compose(
                spec,
                features,
                settings.num_clusters,
                settings.options,
                self._temporary / "pretrain",
                wanted=settings.candidates is None,
                log=lambda values: self._course.hear(values),
                progress=progress,
            )
        self._interaction = Interaction(spec, method, dataset.size, settings.seed, kinds=kinds)
        self._widgets: dict[tuple[int, str], Any] = {}

    def _go(self, book: Book) -> None:
        self._book, self._course = book, Course(self._interaction, book)

    # -- asking and answering ------------------------------------------------------------------

    def ask(self, count: int = 10) -> Batch:
        """The questions that bring most, at most ``count``; fewer where less is left to ask.

        Raises:
          UserError: ``count`` below 1.
        """
        check_at_least("count", count, 1)
        questions = self._course.ask(count)
        called = [self._book.called(row) for row in questions.indices.tolist()]
        return Batch(
            questions.kind, questions.indices, tuple(called), questions.values, questions.candidates
        )

    def answer(self, answers: Mapping[Any, Any], *, annotator: str = _ME) -> None:
        """Take answers, about what was asked or about anything else; all of them or none.

        An answer given again replaces the one before.

        Args:
          answers: by sample: the name of a group, a class id, a cluster that was offered,
            ``"none"`` (of those that were offered) or None (cannot say). By pair of samples:
            ``"same"`` or ``"different"``, True or False, or None.
          annotator: who answers.

        Raises:
          UserError: nothing that was asked can be answered so, or no such sample.
        """
        self._book.add(answers, annotator)

    def withdraw(self, samples: Sequence[Any], *, annotator: str = _ME) -> None:
        """Take back what ``annotator`` said about ``samples`` or pairs of them.

        Raises:
          UserError: nothing was said about one of them.
        """
        self._book.withdraw(samples, annotator)

    # -- what came of it -----------------------------------------------------------------------

    @property
    def probabilities_(self) -> np.ndarray:
        """How likely each sample is of each group, float ``[n, c]``."""
        self._course.catch_up()
        return self._interaction.probabilities

    @property
    def labels_(self) -> np.ndarray:
        """The group of each sample, int ``[n]``, a position in :attr:`groups_`."""
        return self.probabilities_.argmax(axis=1)

    @property
    def groups_(self) -> tuple[Group, ...]:
        """The groups, in the order of the columns of :attr:`probabilities_`."""
        labels = self.labels_
        sizes = np.bincount(labels, minlength=self._interaction.probabilities.shape[1])
        slots = np.asarray(getattr(self._interaction.state, "slots", np.full(len(sizes), -1)))
        named = {group.id: group.name for group in self._book.store.groups()}
        said = self._interaction.evidence.group
        return tuple(
            Group(
                name=named.get(slot, str(slot)) if 0 <= slot < 1 << 30 else f"cluster {column}",
                size=int(sizes[column]),
                answered=int((said == slot).sum()) if slot >= 0 else 0,
            )
            for column, slot in enumerate(slots.tolist())
        )

    @property
    def expected_accuracy_(self) -> float | None:
        """What the method expects its accuracy to be; None where it cannot tell."""
        self._course.catch_up()
        expected = self._course.expected
        return None if expected is None else expected["accuracy"]

    @property
    def outlook_(self) -> dict[str, Any] | None:
        """How good it is, how many groups there are, and whether to go on.

        The keys are those of :func:`idc_jax.runs.outlook.outlook`, as ``result.json`` has them;
        None where the method cannot tell.
        """
        self._course.catch_up()
        return None if self._course.expected is None else dict(self._course.expected)

    @property
    def number_of_groups_(self) -> Estimate:
        """How many groups there are, those without a name too, with a 90 % interval."""
        self._course.catch_up()
        answered = np.array([group.answered for group in self.groups_])
        first, spread = self._settings.num_clusters, WANTED
        if self._settings.candidates:
            spread = FOUND
        limit = self._dataset.size
        return number_of_groups(answered, first, spread=spread, limit=limit).estimate

    def to_frame(self) -> Any:
        """A pandas DataFrame with ``group``, ``confidence`` and ``answer``, by id."""
        try:
            import pandas as pd
        except ImportError as error:
            raise UserError("to_frame() needs pandas: pip install pandas") from error
        names = np.asarray([group.name for group in self.groups_], object)
        answers = self._book.told(groups=self._names_of_groups())[1]
        return pd.DataFrame(
            {
                "group": names[self.labels_],
                "confidence": self.probabilities_.max(axis=1),
                "answer": [answer or None for answer in answers],
            },
            index=list(self._ids) if self._ids else None,
        )

    def export(self, to: str, out: str | Path, **options: Any) -> None:
        """Write the groups for other programs.

        Args:
          to: a format of :data:`idc_jax.export.FORMATS`: folders, csv, parquet, huggingface,
            fiftyone or label_studio.
          out: the file or folder to make.
          options: those of :class:`idc_jax.export.Options` that the format takes.

        Raises:
          UserError: anything that can be put right; then ``out`` is as it was.
        """
        folder = self._book.store.path.parent
        images = self._dataset.names if self._dataset.kind == "images" else ()
        parent = Path(os.path.commonpath(images)) if images else None
        source = "folder" if images else self._dataset.kind
        run = FinishedRun(
            folder, self._table(), {"data": {"source": source}}, self._settings.method, parent
        )
        chosen = Options(**options)
        told = export_run(
            run, to, Path(out).expanduser(), chosen, load_images=lambda: self._dataset.inputs
        )
        if told:
            print(told, flush=True)

    def to_folder(self, out: str | Path, **options: Any) -> None:
        """Sort the images into folders by group; ``unsure`` and ``links`` as of :meth:`export`."""
        self.export("folders", out, **options)

    def _table(self) -> Table:
        groups, size = self.groups_, self._dataset.size
        called = self._dataset.names or [str(self._book.called(n)) for n in range(size)]
        people, answers = self._book.told(groups=self._names_of_groups())
        return make_table(
            self.probabilities_,
            paths=called,
            names=[group.name for group in groups],
            answered_by=people,
            answer=answers,
        )

    def _names_of_groups(self) -> dict[int, str]:
        return {group.id: group.name for group in self._book.store.groups()}

    # -- keeping -------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Keep everything in ``folder``, where the session goes on from now on.

        Raises:
          UserError: the folder holds something else, cannot be written, or is in use.
        """
        folder = Path(folder).expanduser()
        own = self._book.store.path.parent.resolve() == folder.resolve()
        if not own:
            check_free(folder)
        self._course.catch_up()
        if not own:
            self._keep_to(folder)
            try:
                write_samples(folder, Samples(self._dataset, self._ids, self._features))
                self._book.store.move(folder / "answers.db")
            except (OSError, TypeError) as error:
                raise UserError(f"cannot save to {folder}: {error}") from error
        write_learned(folder, self._settings, self._interaction, self._course)
        return folder

    @classmethod
    def load(cls, folder: str | Path, *, progress: bool = False) -> Session:
        """Go on with what :meth:`save` kept; answers given since then are learned.

        Raises:
          UserError: the folder holds no session, or another process is in it.
        """
        folder = Path(folder).expanduser()
        all_devices()
        settings, (dataset, ids, features) = read_begun(folder)
        session = cls.__new__(cls)
        session._keep_to(folder)
        session._settings = settings
        session._open(dataset, ids, features, progress)
        session._go(Book(Store(folder / "answers.db"), dataset.size, ids))
        read_learned(folder, session._interaction, session._course)
        session._interaction.hear_again(session._book.rounds())
        return session

    def serve(self, *, per_round: int = 10, rounds: int | None = None, port: int = 8765) -> None:
        """Ask on a web page until people stop, or for so many ``rounds`` of questions.

        Then it stays as long as somebody is there and has not closed it: the groups can be looked
        at and set right, and more questions be asked.

        Args:
          per_round: questions between two learnings.
          rounds: how many; None for as long as somebody answers.
          port: of the page, on this machine; 0 takes a free one.
        """
        from idc_jax.annotate.page import serve

        self._book.store.go_on(len(self._book.store.rounds()) + 1)
        limit = self._most_groups
        with serve(self._book.store, self._shown(), num_clusters=limit, port=port) as page:
            print(f"Questions are asked at {page.url}", flush=True)
            ask_on(page, self._course, per_round=per_round, rounds=rounds)

    def widget(self, *, per_round: int = 10, annotator: str = _ME) -> Any:
        """Ask in a notebook: Jupyter, VS Code, Colab, marimo.

        Args:
          per_round: questions between two learnings.
          annotator: who answers.

        Returns:
          An ``anywidget.AnyWidget``, to be the last line of a cell; the same one every time.

        Raises:
          UserError: ``per_round`` below 1, a name that is none, or anywidget is not installed.
        """
        check_at_least("per_round", per_round, 1)
        try:
            from idc_jax.session.widget.notebook import Loop, Widget
        except ImportError as error:
            needed = f"widget() needs {error.name}: pip install 'idc_jax[widget]'"
            raise UserError(needed) from error
        found = self._widgets.get((per_round, annotator))
        # One that was closed can't be shown again.
        if found is None or found.comm is None:
            found = Widget(
                Loop(lambda hear: self._next(per_round, hear), self._standing),
                self._book.store,
                self._shown(),
                max_groups=self._most_groups,
                annotator=annotator,
            )
            self._widgets[per_round, annotator] = found
        found.resume()
        return found

    # -- inside --------------------------------------------------------------------------------

    @property
    def _most_groups(self) -> int:
        settings = self._settings
        wanted = 0 if settings.candidates else settings.num_clusters
        return most_groups(wanted, settings.method)

    def _next(self, count: int, hear: Log) -> Questions | None:
        """The next round; None where nothing is left to ask."""
        with self._course.heard_by(hear):
            questions = self._course.ask(count)
        return questions if questions.count else None

    def _standing(self) -> dict[str, Any]:
        return {
            "groups": [group._asdict() for group in self.groups_],
            "outlook": self._course.expected,
        }

    def _shown(self) -> Dataset:
        """The samples as people see them: by their ids, where nothing else names them."""
        names = self._dataset.names or tuple(map(str, self._ids or ()))
        return self._dataset._replace(names=names)

    def _keep_to(self, folder: Path) -> None:
        """Keep other processes out of ``folder`` as long as this session is there."""
        leave = share(folder)
        if self._leave is not None:
            self._leave()
        self._leave = weakref.finalize(self, leave)
