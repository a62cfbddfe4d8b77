"""Who answers a run's questions, and who is told how the run is going."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from absl import logging

from idc_jax import annotate
from idc_jax.annotate.annotator import Annotator, FusionName
from idc_jax.annotate.samples import Samples, open_store
from idc_jax.annotate.store import Store
from idc_jax.data.base import Dataset
from idc_jax.data.telling import lines_of
from idc_jax.errors import representable
from idc_jax.runs.loop import Notify
from idc_jax.runs.workdir import Course, last_round
from idc_jax.train.log import Log


class AnnotatorOptions(NamedTuple):
    """Who answers.

    Attributes:
      kind: ``"oracle"`` simulates a person from the labels, ``"page"`` serves a web page,
        ``"file"`` exports the questions and reads the answers.
      oracle: ``"aligned"`` (the papers': clusters matched with classes) or ``"exemplar"`` (what a
        person can see).
      error_rate: share of wrong answers of a simulated annotator.
      skip_rate: share of questions that it skips.
      file: the answers of kind ``"file"``; ``{round}`` in it is replaced.
      host: where the page is served.
      port: likewise; 0 takes a free one.
      allow_remote: serve another host than this machine.
      votes: how many people answer each question.
      fusion: how their answers become one.
    """

    kind: Literal["oracle", "page", "file"] = "oracle"
    oracle: Literal["aligned", "exemplar"] = "aligned"
    error_rate: float = 0.0
    skip_rate: float = 0.0
    file: str = ""
    host: str = "127.0.0.1"
    port: int = 8765
    allow_remote: bool = False
    votes: int = 1
    fusion: FusionName = "majority"


class Answering(NamedTuple):
    """The people of a run.

    Attributes:
      make_annotator: ``(probabilities before any answer [n, c]) -> annotator``.
      notify: told of each phase and of each round's metrics.
      show_losses: shown the training's losses.
    """

    make_annotator: Callable[[np.ndarray], Annotator]
    notify: Notify
    show_losses: Log


@contextmanager
def answering(
    options: AnnotatorOptions, dataset: Dataset, max_groups: int, seed: int, workdir: Path
) -> Iterator[Answering]:
    """Open whatever answers: a simulation, a file, or a page that is served meanwhile.

    Args:
      options: who.
      dataset: what is asked about.
      max_groups: how many groups people may name.
      seed: of a simulated annotator's errors.
      workdir: holds the store and the exported questions.
    """
    if options.kind == "page":
        with _page(options, dataset, max_groups, workdir) as people:
            yield people
    elif options.kind == "file":
        reader = annotate.from_file(
            options.file,
            directory=workdir,
            names=dataset.names,
            max_groups=max_groups,
            class_names=dataset.class_names,
            votes=options.votes,
            fusion=options.fusion,
        )
        yield Answering(lambda _: reader, announce, _ignore)
    else:
        yield Answering(lambda probs: _oracle(options, dataset, probs, seed), announce, _ignore)


def announce_data(dataset: Dataset) -> None:
    """Print what was read and how, and name what was not."""
    labels = "no labels"
    if dataset.labels is not None:
        labels = f"{np.unique(dataset.labels[dataset.labels >= 0]).size} classes"
    print(f"data: {dataset.name}, {dataset.size} {dataset.kind}, {labels}", flush=True)
    for line in lines_of(dataset):
        print(line, flush=True)


def announce_course(workdir: Path, course: Course) -> None:
    """Print what was changed since the last call, in one line."""
    if course.changes and (change := course.changes[-1]).round == last_round(workdir):
        how = "learning again from all answers" if change.anew else "going on"
        print(f"{workdir}: {change.told()}; {how} after round {change.round}", flush=True)


def announce_samples(before: Samples, now: Samples, where: np.ndarray, store: Store) -> None:
    """Print which samples came and went, in one line.

    Args:
      before: those of before.
      now: those of today.
      where: int ``[m]``, where those of before are today, -1 for those that are gone.
      store: holds what was said of them.
    """
    gone = np.flatnonzero(where < 0)
    new = np.setdiff1d(np.arange(len(now.digests)), where)
    parts = [_counted(gone, before.names, "gone"), _counted(new, now.names, "new")]
    told = ", ".join(part for part in parts if part) or "their order alone has changed"
    lost = store.num_answered() - sum(len(store.live(number)) for number in store.rounds())
    if lost:
        told += f"; {lost} answers are about some that are gone: they are kept and do not count"
    print(f"samples: {told}", flush=True)


def _counted(samples: np.ndarray, names: Sequence[str], what: str, most: int = 3) -> str:
    if not len(samples):
        return ""
    named = [representable(names[n]) if names else f"number {n}" for n in samples[:most].tolist()]
    more = ["..."] if len(samples) > most else []
    return f"{len(samples)} {what} ({', '.join(named + more)})"


def answer_names(dataset: Dataset, store: Store) -> tuple[str, ...]:
    """What the ids of label answers are called: the groups that people named, and the classes."""
    found = dict(enumerate(dataset.class_names))
    found |= {group.id: group.name for group in store.groups()}
    if not found:
        return ()
    return tuple(found.get(group, str(group)) for group in range(max(found) + 1))


def announce(event: str, values: Mapping[str, Any]) -> None:
    """Print a line for every round that has been evaluated."""
    if event != "evaluated":
        logging.info("%s %s", event, dict(values))
        return
    scores = values["metrics"] or {}
    shown = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
    shown = shown or f"{values['health']['live_clusters']:.0f} live clusters"
    print(f"round {values['round']}, {values['questions']:4d} questions: {shown}", flush=True)
    if values["outlook"]:
        print(f"  {values['outlook']['told']}", flush=True)


def _ignore(values: Mapping[str, Any]) -> None:
    del values


def _oracle(
    options: AnnotatorOptions, dataset: Dataset, probabilities: np.ndarray, seed: int
) -> Annotator:
    assert dataset.labels is not None
    rates = {"error_rate": options.error_rate, "skip_rate": options.skip_rate}
    if options.oracle == "exemplar":
        return annotate.exemplar(dataset.labels, seed=seed, **rates)
    clusters = probabilities.shape[1]
    return annotate.aligned(dataset.labels, probabilities.argmax(1), clusters, seed=seed, **rates)


@contextmanager
def _page(
    options: AnnotatorOptions, dataset: Dataset, max_groups: int, workdir: Path
) -> Iterator[Answering]:
    # A web server is loaded only where one is wanted.
    from idc_jax.annotate.page import serve

    with (
        open_store(workdir) as store,
        serve(
            store,
            dataset,
            num_clusters=max_groups,
            host=options.host,
            port=options.port,
            allow_remote=options.allow_remote,
            votes=options.votes,
            fusion=options.fusion,
        ) as page,
    ):
        print(f"Questions are asked at {page.url}", flush=True)
        yield Answering(lambda _: page.annotator, _shown_on(page), page.progress)
        page.finish()


def _shown_on(page: Any) -> Notify:
    """Show on the page what each round has bought, beside the line in the terminal."""
    from idc_jax.annotate.page import galleries

    before: dict[str, Any] = {}

    def notify(event: str, values: Mapping[str, Any]) -> None:
        announce(event, values)
        if event != "evaluated":
            return
        shown = galleries(values["probabilities"])
        if values["round"]:
            page.show_result(
                {
                    "round": values["round"],
                    "before": before.get("metrics"),
                    "after": values["metrics"],
                    "outlook": values["outlook"],
                    "galleries_before": before.get("galleries"),
                    "galleries_after": shown,
                }
            )
        before.update(metrics=values["metrics"], galleries=shown)

    return notify
