"""How far the outlook holds: recorded courses, what is fitted to them, and docs/outlook.md.

    python -m benchmarks outlook             # records courses, 20 minutes on two cores
    python -m benchmarks outlook --report    # the tables, and the constants of idc_jax.outlook

For the tables, constants are fitted anew without the family of the data set that is told of.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.answers.reporting import REPORTING
from benchmarks.harness.points import Family, Row, Tables
from benchmarks.harness.tables import DOCS, table
from benchmarks.outlook import record
from benchmarks.outlook.fit import (
    Course,
    Standing,
    constants,
    expected,
    fit_gains,
    fit_line,
    gain_of,
    recorded,
    spread_of,
    standings,
)
from idc_jax.outlook import Estimate, advise, expected_gain, number_of_groups
from idc_jax.outlook.advice import MINUTES, SECONDS

OURS = "graph_committee"
# Answers at which the number of groups is told.
ANSWERS = (0, 20, 100, 500)
# What ten minutes hold, before people have shown their pace.
TEN_MINUTES = round(60 * MINUTES / SECONDS["label"])


class Told(NamedTuple):
    """What was expected at a point of a course, and of what the next ten minutes bring."""

    at: Standing
    accuracy: Estimate
    gain: Estimate
    ten_minutes: Estimate


def left_out(points: Sequence[Standing]) -> list[Told]:
    """What was expected, by constants that have not seen the family of the point's data set."""
    found = []
    for name in sorted({at.course.family for at in points}):
        others = [at for at in points if at.course.family != name]
        found += told([at for at in points if at.course.family == name], others)
    return found


def told(points: Sequence[Standing], others: Sequence[Standing]) -> list[Told]:
    """What was expected of ``points`` by constants fitted to ``others``."""
    line = fit_line(others)
    gains = fit_gains(others, line)
    found = []
    for at in points:
        accuracy = expected(at, line)
        ten = expected_gain(accuracy.value, at.answers, at.named, TEN_MINUTES, gains=gains)
        found.append(Told(at, accuracy, gain_of(at, accuracy.value, gains), ten))
    return found


def calibration(rows: Sequence[Told]) -> str:
    """Accuracy and gain by data set, and over all of them by learner."""
    ours = [row for row in rows if row.at.course.learner == OURS]
    lines = [_calibrated(name, group) for name, group in _by(ours, lambda c: c.task)]
    lines.append(_calibrated(f"**all, {OURS}**", ours))
    rest = [row for row in rows if row.at.course.learner != OURS]
    lines += [_calibrated(f"all, {name}", group) for name, group in _by(rest, lambda c: c.learner)]
    heads = (
        "data (courses, rounds)",
        "accuracy: 90 % holds",
        "width",
        "too high by",
        "off by",
        "gain of 50: too high by",
        "off by",
        "90 % holds",
    )
    return table(heads, lines)


def _calibrated(name: str, rows: Sequence[Told]) -> list[str]:
    real, estimates = [row.at.accuracy for row in rows], [row.accuracy for row in rows]
    known = [row for row in rows if np.isfinite(row.at.gain)]
    gains, brought = [row.gain for row in known], [row.at.gain for row in known]
    courses = {(row.at.course.task, row.at.course.seed) for row in rows}
    return [
        f"{name} ({len(courses)}, {len(rows)})",
        f"{_holds(estimates, real):.0%}",
        f"{np.mean([e.high - e.low for e in estimates]):.3f}",
        *_errors(estimates, real, "{:.3f}"),
        *_errors(gains, brought, "{:.4f}"),
        f"{_holds(gains, brought):.0%}",
    ]


def _holds(estimates: Sequence[Estimate], real: Sequence[float]) -> float:
    pairs = zip(estimates, real, strict=True)
    return float(np.mean([e.low <= value <= e.high for e, value in pairs]))


def _errors(estimates: Sequence[Estimate], real: Sequence[float], form: str) -> list[str]:
    miss = np.array([e.value for e in estimates]) - np.array(real)
    return [form.replace(":", ":+").format(miss.mean()), form.format(np.abs(miss).mean())]


def by_answers(rows: Sequence[Told]) -> str:
    """How far accuracies hold by answers for each class."""
    ours = [row for row in rows if row.at.course.learner == OURS]
    edges = (0, 1.5, 3.5, 7.5, 15, np.inf)
    lines = []
    for low, high in itertools.pairwise(edges):
        group = [r for r in ours if low < r.at.answers / r.at.course.trace.classes <= high]
        name = f"more than {low:g}" if high == np.inf else f"{low:g} to {high:g}"
        lines.append(_calibrated(name, group))
    heads = ("answers for each class (courses, rounds)", "90 % holds", "width")
    heads += ("too high by", "off by")
    return table(heads, [line[:5] for line in lines])


def stopping(rows: Sequence[Told]) -> str:
    """What a person who follows the recommendation saves and loses."""
    ours = [row for row in rows if row.at.course.learner == OURS]
    lines, totals = [], []
    for name, group in _by(ours, lambda c: c.task):
        ends = [_followed(course) for _, course in _by(group, lambda c: (c.task, c.seed))]
        totals += ends
        lines.append(_stopped(name, ends))
    return table(
        ("data", "budget", "answers given", "accuracy then", "accuracy of all answers", "lost"),
        [*lines, _stopped("**all**", totals)],
    )


def _followed(rows: Sequence[Told]) -> tuple[int, int, float, float]:
    """Budget, answers until the advice was to stop, accuracy then, accuracy of all of them."""
    last = rows[-1].at
    for row in rows:
        groups = _groups(row.at.course, row.at.answers)
        advice = advise(row.ten_minutes, TEN_MINUTES, MINUTES, groups.value - row.at.named)
        if not advice.go_on:
            return last.answers, row.at.answers, row.at.accuracy, last.accuracy
    return last.answers, last.answers, last.accuracy, last.accuracy


def _stopped(name: str, ends: Sequence[tuple[int, int, float, float]]) -> list[str]:
    budget, given, then, full = np.mean(ends, axis=0)
    return [
        f"{name} ({len(ends)})",
        f"{budget:.0f}",
        f"{given:.0f}",
        f"{then:.3f}",
        f"{full:.3f}",
        f"{full - then:.3f}",
    ]


def _groups(course: Course, answers: int) -> Estimate:
    trace = course.trace
    counts = np.bincount(trace.said[:answers], minlength=1)
    return number_of_groups(counts, trace.clusters, spread=spread_of(course)).estimate


def groups(courses: Sequence[Course]) -> str:
    """The number of groups that nobody told, after so many answers."""
    lines, held = [], {answers: [] for answers in ANSWERS}
    for course in courses:
        estimates = [_groups(course, answers) for answers in ANSWERS]
        for answers, e in zip(ANSWERS, estimates, strict=True):
            held[answers].append(e.low <= course.trace.classes <= e.high)
        shown = [f"{e.value:.0f} ({e.low:.0f} to {e.high:.0f})" for e in estimates]
        lines.append([f"{course.task} ({course.seed})", str(course.trace.classes), *shown])
    rates = [f"{np.mean(held[answers]):.0%}" for answers in ANSWERS]
    heads = ("data (seed)", "classes", *(f"{answers} answers" for answers in ANSWERS))
    return table(heads, [*lines, ["**holds**", "", *rates]])


def untold(courses: Sequence[Course], others: Sequence[Course]) -> str:
    """Accuracy without being told how many groups there are, beside being told."""
    known = {(course.task, course.seed): course for course in others if course.learner == OURS}
    lines, differences = [], []
    for name, group in _by(courses, lambda c: c.task):
        pairs = [(c, known[c.task, c.seed]) for c in group if (c.task, c.seed) in known]
        both = np.array([[_at(one), _at(other)] for one, other in pairs])
        differences.append(both[:, 0] - both[:, 1])
        lines.append([f"{name} ({len(pairs)})", *map(_beside, both.mean(axis=0).T)])
    mean = np.concatenate(differences).mean(axis=0)
    heads = ("data (seeds)", *(f"{answers} answers" for answers in ANSWERS))
    return table(heads, [*lines, ["**mean difference**", *(f"{value:+.3f}" for value in mean)]])


def _at(course: Course) -> list[float]:
    trace = course.trace
    where = [list(trace.answers).index(answers) for answers in ANSWERS]
    return trace.accuracy[where].tolist()


def _beside(pair: np.ndarray) -> str:
    return f"{pair[0]:.3f} ({pair[1]:.3f})"


def _by(rows: Iterable, key: Callable[[Course], object]) -> list[tuple[str, list]]:
    """Rows grouped by what ``key`` says of their course, in order."""
    found: dict[object, list] = {}
    for row in rows:
        course = row if isinstance(row, Course) else row.at.course
        found.setdefault(key(course), []).append(row)
    return [(str(name), group) for name, group in found.items()]


def tables(rows: list[Row]) -> Tables:
    """The document's tables and the constants, of all courses that the cache has."""
    del rows
    points = standings(recorded())
    unseen = told(standings(recorded(tuple(REPORTING), least=0)), points)
    left = left_out(points)
    without, beside = recorded(found=True, least=0), recorded(least=0)
    filled = {
        "calibration": calibration(left),
        "answers": by_answers(left),
        "stopping": stopping(left),
        "reporting": calibration(unseen) if unseen else "Nothing yet.",
        "reporting stops": stopping(unseen) if unseen else "Nothing yet.",
        "groups": groups(without),
        "untold": untold(without, beside),
    }
    return {DOCS / "outlook.md": filled, Path("outlook_constants.txt"): constants()}


FAMILY = Family(
    fields=("task", "learner", "seed"),
    points=record.points,
    measure=record.measure,
    tables=tables,
    seeds=(0, 1, 3, 100, 101, 102),
    home=record.FOLDER,
)
