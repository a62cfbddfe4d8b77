"""A finished run as the sections of the page read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.errors import UserError
from idc_jax.metrics import Matching, match_clusters
from idc_jax.report.answers import Round, name_of, picked_samples
from idc_jax.report.naming import cluster_names, group_names
from idc_jax.report.palette import Slots, assign_slots
from idc_jax.report.thumbnails import thumbnail


@dataclass(frozen=True)
class ReportOptions:
    """How much the page shows.

    Attributes:
      draw_map: whether to lay out the 2-D map, the one part that takes seconds.
      map_points: how many samples the map shows at most; the asked ones are kept.
      seed: of the map's layout and subsample.
      questions: how many questions the gallery shows at most.
      clusters: how many clusters get a gallery.
      images: how many samples a cluster's gallery shows per row.
      answer_names: one name per id that a label answer can give; empty for the classes' names.
      group_names: what each cluster is called ``[c]``; empty for what the rounds say.
    """

    draw_map: bool = True
    map_points: int = 5000
    seed: int = 0
    questions: int = 60
    clusters: int = 100
    images: int = 6
    answer_names: Sequence[str] = ()
    group_names: Sequence[str] = ()


class View(NamedTuple):
    """Everything the page is made of.

    Attributes:
      dataset: the data set.
      result: what ``result.json`` holds.
      rounds: the questions and answers of every round.
      initial: ``[n, c]``, probabilities before any answer.
      final: ``[n, c]``, probabilities at the end.
      embeddings: ``[n, d]``.
      log: the lines of ``metrics.jsonl``.
      picks: int ``[p]``, the samples asked about, each once.
      slots: which colour stands for what.
      matching: clusters at the end against classes, or None without labels.
      names: what people called each cluster ``[c]``, "cluster 3" and so on where they did not.
      options: how much to show.
    """

    dataset: Dataset
    result: Mapping[str, Any]
    rounds: Sequence[Round]
    initial: np.ndarray
    final: np.ndarray
    embeddings: np.ndarray
    log: Sequence[Mapping[str, Any]]
    picks: np.ndarray
    slots: Slots
    matching: Matching | None
    names: Sequence[str]
    options: ReportOptions

    @property
    def before(self) -> np.ndarray:
        """Cluster ids before any answer: int ``[n]``."""
        return self.initial.argmax(1)

    @property
    def after(self) -> np.ndarray:
        """Cluster ids at the end: int ``[n]``."""
        return self.final.argmax(1)

    @property
    def known(self) -> np.ndarray:
        """The samples whose class is known: int ``[k]``."""
        labels = self.dataset.labels
        return np.zeros(0, np.int64) if labels is None else np.flatnonzero(labels >= 0)

    @property
    def num_clusters(self) -> int:
        """The number of clusters."""
        return int(self.final.shape[1])

    def class_name(self, index: int) -> str:
        """Name a class."""
        return name_of(index, self.dataset.class_names)

    def label(self, sample: int) -> str:
        """Name the class of a sample; empty where it is unknown."""
        labels = self.dataset.labels
        if labels is None or labels[sample] < 0:
            return ""
        return self.class_name(int(labels[sample]))

    def cluster_class(self, cluster: int) -> str:
        """Name the class matched with a cluster; empty where there is none."""
        matched = -1 if self.matching is None else int(self.matching.class_of_cluster[cluster])
        return self.class_name(matched) if matched >= 0 else ""

    def cluster_name(self, cluster: int) -> str:
        """Name a cluster as people did, else by its class, else by its number."""
        name = self.names[cluster]
        if name != cluster_names(cluster + 1)[cluster]:
            return name
        return self.cluster_class(cluster) or name.capitalize()

    def title(self, sample: int, note: str = "") -> str:
        """Say which sample it is, its class where that is known, and a ``note``."""
        name = name_of(sample, self.dataset.names).rsplit("/", 1)[-1]
        label = self.label(sample)
        parts = [name, f"class {label}" if label else "", note]
        return " · ".join(part for part in parts if part)

    def file(self, sample: int) -> str:
        """The address of the sample's own file, to open it from the page; empty for none."""
        return _address(self.dataset.names[sample]) if self.has_files else ""

    def picture(self, sample: int, note: str = "") -> dict[str, str]:
        """Return a sample's ``src`` (empty for features), ``title``, ``name`` and ``file``."""
        name = name_of(sample, self.dataset.names)
        return {
            "src": thumbnail(self.dataset.inputs[sample]) if self.has_images else "",
            "title": self.title(sample, note),
            "name": name.rsplit("/", 1)[-1],
            "file": self.file(sample),
        }

    @property
    def has_files(self) -> bool:
        """Whether samples are images in files of their own."""
        names = self.dataset.names
        return self.has_images and bool(names) and Path(names[0]).is_file()

    @property
    def has_images(self) -> bool:
        """Whether samples can be shown."""
        return self.dataset.kind == "images"


def build_view(
    *,
    dataset: Dataset,
    result: Mapping[str, Any],
    rounds: Sequence[Round],
    initial: np.ndarray,
    final: np.ndarray,
    embeddings: np.ndarray,
    log: Sequence[Mapping[str, Any]],
    options: ReportOptions,
) -> View:
    """Check that the parts belong together and match clusters with classes.

    Raises:
      UserError: if the arrays disagree about the number of samples or of clusters.
    """
    initial, final = np.asarray(initial, np.float32), np.asarray(final, np.float32)
    embeddings = np.asarray(embeddings, np.float32).reshape(len(embeddings), -1)
    shapes = {"initial": initial.shape, "final": final.shape, "embeddings": embeddings.shape}
    same_rows = {shape[0] for shape in shapes.values()} == {dataset.size}
    if not same_rows or initial.shape != final.shape or not dataset.size:
        raise UserError(f"a report needs one row per sample ({dataset.size}); got {shapes}")
    if dataset.labels is not None and not np.any(dataset.labels >= 0):
        dataset = dataset._replace(labels=None)
    labels, clusters = dataset.labels, int(final.shape[1])
    called = options.answer_names or dataset.class_names
    return View(
        dataset=dataset,
        result=result,
        rounds=rounds,
        initial=initial,
        final=final,
        embeddings=embeddings,
        log=log,
        picks=picked_samples(rounds),
        slots=assign_slots(initial.argmax(1), final.argmax(1), labels, clusters),
        matching=None if labels is None else _match_known(final.argmax(1), labels, clusters),
        names=options.group_names or group_names(rounds, final, called),
        options=options,
    )


def _address(name: str) -> str:
    path = Path(name)
    return path.absolute().as_uri() if path.is_file() else ""


def _match_known(ids: np.ndarray, labels: np.ndarray, num_clusters: int) -> Matching:
    known = labels >= 0
    return match_clusters(ids[known], labels[known], num_clusters)
