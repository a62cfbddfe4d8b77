"""Who answers a run's questions, and who is told how the run is going."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from absl import logging
from scipy.optimize import linear_sum_assignment

from idc_jax import annotate
from idc_jax.annotate.annotator import Annotator, FusionName
from idc_jax.annotate.samples import Samples, open_store
from idc_jax.annotate.store import Store
from idc_jax.data.base import Dataset
from idc_jax.data.progress import told
from idc_jax.data.telling import lines_of
from idc_jax.errors import representable
from idc_jax.runs.state import Notify
from idc_jax.runs.workdir import Course, last_round
from idc_jax.train.log import Log

if TYPE_CHECKING:
    from idc_jax.annotate.page import Lodging


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


def over() -> bool:
    """Nobody wants anything once a run is over."""
    return False


class Answering(NamedTuple):
    """The people of a run.

    Attributes:
      make_annotator: ``(probabilities before any answer [n, c]) -> annotator``.
      notify: told of each phase and of each round's metrics.
      show_losses: shown the training's losses.
      goes_on: once the run is over and reported, waits for what people still want: whether they
        said something, or want to be asked more.
    """

    make_annotator: Callable[[np.ndarray], Annotator]
    notify: Notify
    show_losses: Log
    goes_on: Callable[[], bool] = over


@contextmanager
def welcome(options: AnnotatorOptions, title: str, workdir: Path) -> Iterator[Lodging | None]:
    """Serve the page before there are data, if people answer at one; None otherwise.

    Args:
      options: who answers.
      title: of the page until the data are known.
      workdir: of the run, whose store may know the page's address.
    """
    if options.kind != "page":
        yield None
        return
    # A web server is loaded only where one is wanted.
    from idc_jax.annotate.page import identify, lodge

    # Nothing is written before all is known to be right.
    known = open_store(workdir) if (workdir / "answers.db").exists() else nullcontext()
    with known as store:
        run, token = identify(store)
    with lodge(
        title=title,
        run=run,
        token=token,
        host=options.host,
        port=options.port,
        allow_remote=options.allow_remote,
    ) as lodging:
        print(f"Questions are asked at {lodging.url}", flush=True)

        def tell(what: str, done: int, total: int) -> None:
            lodging.progress({"phase": what, "image": done, "images": total})

        with told(tell):
            yield lodging


@contextmanager
def answering(
    options: AnnotatorOptions,
    dataset: Dataset,
    max_groups: int,
    seed: int,
    workdir: Path,
    lodging: Lodging | None,
) -> Iterator[Answering]:
    """Open whatever answers: a simulation, a file, or the page that is served.

    Args:
      options: who.
      dataset: what is asked about.
      max_groups: how many groups people may name.
      seed: of a simulated annotator's errors.
      workdir: holds the store and the exported questions.
      lodging: where the page is, of :func:`welcome`.
    """
    if lodging is not None:
        with _page(options, dataset, max_groups, workdir, lodging) as people:
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
    if event in ("groups", "resumed"):
        return
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
    labels, error_rate, skip_rate = dataset.labels, options.error_rate, options.skip_rate
    if options.oracle == "exemplar":
        return annotate.exemplar(labels, seed=seed, error_rate=error_rate, skip_rate=skip_rate)
    return annotate.aligned(
        labels,
        probabilities.argmax(1),
        probabilities.shape[1],
        seed=seed,
        error_rate=error_rate,
        skip_rate=skip_rate,
    )


@contextmanager
def _page(
    options: AnnotatorOptions,
    dataset: Dataset,
    max_groups: int,
    workdir: Path,
    lodging: Lodging,
) -> Iterator[Answering]:
    asked = {"num_clusters": max_groups, "votes": options.votes, "fusion": options.fusion}
    with open_store(workdir) as store, lodging.open(store, dataset, **asked) as page:

        def goes_on() -> bool:
            print(f"The groups stay at {page.url}board as long as somebody is there", flush=True)
            return page.stay()

        yield Answering(lambda _: page.annotator, _shown_on(page), page.progress, goes_on)


def _shown_on(page: Any) -> Notify:
    """Show on the page what each round has bought, beside the line in the terminal."""
    from idc_jax.annotate.page import galleries

    before: dict[str, Any] = {}

    def notify(event: str, values: Mapping[str, Any]) -> None:
        if event == "groups":
            page.show_groups(
                *(values[name] for name in ("probabilities", "slots", "embeddings", "heard"))
            )
            return
        announce(event, values)
        if event == "report":
            page.progress({"phase": "report"})
        if event not in ("evaluated", "resumed"):
            return
        shown = galleries(values["probabilities"])
        # What a run goes on from is what the next round is compared with.
        if values["round"] and event == "evaluated":
            page.show_result(
                {
                    "round": values["round"],
                    "before": before.get("metrics"),
                    "after": values["metrics"],
                    "outlook": values["outlook"],
                    "galleries_before": _matched(before, values["probabilities"]),
                    "galleries_after": shown,
                }
            )
        clusters = np.asarray(values["probabilities"]).argmax(axis=1)
        before.update(metrics=values["metrics"], galleries=shown, clusters=clusters)

    return notify


def _matched(before: Mapping[str, Any], probabilities: np.ndarray) -> list[list[int]] | None:
    """The galleries from ``before``, each at the number of the cluster that has its samples now."""
    if not before.get("galleries"):
        return None
    old, now = before["clusters"], np.asarray(probabilities).argmax(axis=1)
    count = max(len(before["galleries"]), probabilities.shape[1])
    common = np.zeros((count, count))
    np.add.at(common, (old, now), 1)
    place = dict(zip(*linear_sum_assignment(-common), strict=True))
    found: list[list[int]] = [[] for _ in range(count)]
    for cluster, gallery in enumerate(before["galleries"]):
        found[place[cluster]] = gallery
    return found
