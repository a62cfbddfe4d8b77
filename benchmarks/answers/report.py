"""The tables of accuracy against answers."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.answers import figure
from benchmarks.answers.course import ABLATIONS, BUDGETS, SELECTORS
from benchmarks.answers.published import METHODS, PARTS, PARTS_BUDGETS, PARTS_TASK, WHOLE
from benchmarks.answers.reporting import REPORTING
from benchmarks.answers.rivals import RIVALS
from benchmarks.answers.tasks import TASKS
from benchmarks.harness.points import Tables
from benchmarks.harness.tables import DOCS, gap, spread, table

OURS = ("graph_committee", "value")
# Settings were chosen on seeds from here on.
DEVELOPMENT = 100
BASELINES = ("regression", "spreading")
MEAN_OVER = ("digits", "fashion", "cifar20_part", "cifar100_4_default", "cifar100_4_personal")
OVERVIEW = "cifar20_part"
# A clean data set, and the one that differs from it in one thing.
HARDER = {
    "digits_wrong": "digits",
    "cifar20_wrong": "cifar20_part",
    "cifar20_half": "cifar20_part",
    "cifar20_double": "cifar20_part",
}

Row = dict[str, Any]
Setting = tuple[str, str]
# (learner, selector) -> answers per class -> seed -> accuracy.
Scores = dict[Setting, dict[int, dict[int, float]]]


def tables(rows: list[Row]) -> Tables:
    """The documents' tables; draws the figure, too. Development seeds stay out."""
    rows = [row for row in rows if row["seed"] < DEVELOPMENT]
    scores, reported = by_task(rows, TASKS), by_task(rows, REPORTING)
    figure.draw(scores, {task: TASKS[task](0).classes for task in scores})
    filled = {
        "answers": overview(scores[OVERVIEW]),
        "against": against(scores),
        "reported": against(reported) if reported else "Nothing yet.",
        "mean": mean_table(scores),
        "closed": closed(scores),
        "parts": parts(scores),
        "harder": harder(scores),
        "whole": whole_methods(scores),
        "recipes": recipes(scores[PARTS_TASK]),
    }
    grid = [section(task, found) for task, found in scores.items()]
    grid += [section(f"{task} (reports)", found) for task, found in reported.items()]
    return {
        DOCS / "answers.md": filled,
        Path("answers_grid.md"): "\n\n".join(grid) + "\n",
    }


def by_task(rows: list[Row], tasks: Iterable[str]) -> dict[str, Scores]:
    """What was measured on each of ``tasks``, where anything was."""
    scores = {task: by_setting(row for row in rows if row["task"] == task) for task in tasks}
    return {task: found for task, found in scores.items() if found}


def by_setting(rows: Iterable[Row]) -> Scores:
    """Accuracy by seed of every setting."""
    scores: Scores = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        for budget, acc in zip(row["at"], row["acc"], strict=True):
            scores[row["learner"], row["selector"]][budget][row["seed"]] = acc
    return scores


def settings(scores: Scores) -> Iterator[Setting]:
    """What was run: ours first, then other picks, baselines, published methods, ablations."""
    wanted = [
        *itertools.product((OURS[0], *BASELINES), SELECTORS),
        *RIVALS,
        *((name, WHOLE) for name in METHODS),
        *((name, "value") for name in ABLATIONS),
    ]
    # Asking for a setting that is not there has made an empty one.
    yield from (setting for setting in wanted if any(scores[setting].values()))


def title(setting: Setting) -> str:
    """A line's name."""
    learner, selector = setting
    if setting == OURS:
        return "**graph_committee**"
    if learner in ABLATIONS:
        return f"graph_committee, {learner}"
    return learner if selector == WHOLE else f"{learner}, {selector}"


def per_class(name: str) -> list[str]:
    """The heads of a table by budget."""
    return [name, *(f"{budget} per class" for budget in BUDGETS)]


def strongest(scores: Scores, budget: int) -> Setting | None:
    """The baseline of the highest mean."""
    simple = [key for key in scores if key[0] in BASELINES or key in RIVALS]
    rivals = [key for key in simple if scores[key][budget]]
    mean = {key: float(np.mean(list(scores[key][budget].values()))) for key in rivals}
    return max(rivals, key=mean.__getitem__, default=None)


def against(scores: dict[str, Scores]) -> str:
    """Ours on every data set, and below it the difference from the strongest baseline there."""
    lines = []
    for task, found in scores.items():
        seeds = max((len(by_seed) for by_seed in found[OURS].values()), default=0)
        lines.append(
            [
                f"{task} ({seeds})",
                *(spread(found[OURS][budget].values()) for budget in BUDGETS),
            ]
        )
        cells = []
        for budget in BUDGETS:
            best = strongest(found, budget)
            told = f"{gap(found[OURS][budget], found[best][budget])} {title(best)}" if best else "–"
            cells.append(told)
        lines.append(["", *cells])
    return table(per_class("data (seeds)"), lines)


def mean_table(scores: dict[str, Scores]) -> str:
    """Means over the clean, balanced data sets, of every setting that was run on all of them."""
    chosen = [scores[task] for task in MEAN_OVER if task in scores]
    lines = []
    for setting in settings(chosen[0]):
        cells = []
        for budget in BUDGETS:
            there = [list(found[setting][budget].values()) for found in chosen]
            cells.append(
                f"{np.mean([np.mean(values) for values in there]):.3f}" if all(there) else "–"
            )
        if set(cells) != {"–"}:
            lines.append([title(setting), *cells])
    return table(per_class("learner, selector"), lines)


def closed(scores: dict[str, Scores]) -> str:
    """How much of the way from random picks to the best of all each selector goes, by learner.

    The best of all is chosen for every data set, seed and budget by looking at the labels.
    """
    chosen, lines = [scores[task] for task in MEAN_OVER if task in scores], []
    for learner, selector in itertools.product(BASELINES, SELECTORS):
        cells = []
        for budget in BUDGETS:
            ways = [_way(found, learner, selector, budget) for found in chosen]
            gained, whole = np.sum(ways, axis=0) if ways else (0.0, 0.0)
            cells.append(f"{gained / whole:.2f}" if whole else "–")
        lines.append([title((learner, selector)), *cells])
    return table(per_class("learner, selector"), lines)


def _way(found: Scores, learner: str, selector: str, budget: int) -> tuple[float, float]:
    """How far a selector and the best of all are above random picks, added up over seeds."""
    every = [found[learner, one][budget] for one in SELECTORS if found[learner, one][budget]]
    ours, random = found[learner, selector][budget], found[learner, "random"][budget]
    seeds = set(ours).intersection(*every)
    best = sum(max(by_seed[seed] for by_seed in every) - random[seed] for seed in seeds)
    return sum(ours[seed] - random[seed] for seed in seeds), best


def parts(scores: dict[str, Scores]) -> str:
    """What leaving a part out costs, over all data sets and seeds."""
    lines = []
    for name in ABLATIONS:
        cells = []
        for budget in BUDGETS:
            without, whole = (
                {
                    (task, seed): value
                    for task, found in scores.items()
                    for seed, value in found[setting][budget].items()
                }
                for setting in ((name, "value"), OURS)
            )
            cells.append(gap(without, whole))
        if set(cells) != {"–"}:
            lines.append([name, *cells])
    return table(per_class("left out"), lines) if lines else "Nothing yet."


def harder(scores: dict[str, Scores]) -> str:
    """What wrong answers and wrong guesses cost each learner, on the same samples."""
    lines = []
    for task, clean in HARDER.items():
        for setting in (OURS, ("regression", "medoids"), ("spreading", "idc")):
            if task not in scores or clean not in scores or setting not in scores[task]:
                continue
            costs = (
                gap(scores[task][setting][budget], scores[clean][setting][budget])
                for budget in BUDGETS
            )
            lines.append([f"{task}: {title(setting)}", *costs])
    return table(per_class("against the same without"), lines)


def whole_methods(scores: dict[str, Scores]) -> str:
    """The published methods whole beside ours."""
    lines = []
    for task, found in scores.items():
        ran = [(name, WHOLE) for name in METHODS if any(found[name, WHOLE].values())]
        for setting in [*ran, OURS] if ran else []:
            seeds = max(len(by_seed) for by_seed in found[setting].values())
            cells = (spread(found[setting][budget].values()) for budget in BUDGETS)
            lines.append([task, f"{title(setting)} ({seeds})", *cells])
    return table(["data", *per_class("method (seeds)")], lines)


def recipes(scores: Scores) -> str:
    """Where our settings leave the papers', one change at a time."""
    lines = []
    for name in PARTS:
        whole = next(method for method in sorted(METHODS, key=len)[::-1] if name.startswith(method))
        found, rest = scores[name, WHOLE], scores[whole, WHOLE]
        cells = [f"{gap(found[b], rest[b])} ({spread(found[b].values())})" for b in PARTS_BUDGETS]
        lines.append([name, *cells])
    return table(["change", *(f"{budget} per class" for budget in PARTS_BUDGETS)], lines)


def overview(scores: Scores) -> str:
    """What a user would try, and the methods whole, on one data set."""
    shown = [*figure.DRAWN, *((name, WHOLE) for name in METHODS)]
    lines = []
    for setting in dict.fromkeys(shown):
        seeds = max((len(by_seed) for by_seed in scores[setting].values()), default=0)
        cells = (spread(scores[setting][budget].values()) for budget in BUDGETS)
        lines.append([f"{title(setting)} ({seeds})", *cells])
    classes = TASKS[OVERVIEW](0).classes
    return table(["method (seeds)", *(f"{budget * classes} answers" for budget in BUDGETS)], lines)


def section(task: str, scores: Scores) -> str:
    """All that was measured on one data set."""
    lines = (
        [title(setting), *(spread(scores[setting][budget].values()) for budget in BUDGETS)]
        for setting in settings(scores)
    )
    return f"## {task}\n\n" + table(per_class("learner, selector"), lines)
