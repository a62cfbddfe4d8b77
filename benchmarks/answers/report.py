"""The tables and the figure of accuracy against answers."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmarks.answers.run import ABLATIONS, BUDGETS, RESULTS, SELECTORS
from benchmarks.answers.tasks import ROOT, TASKS

OURS = ("graph_committee", "value")
# Settings were chosen on seeds from here on.
DEVELOPMENT = 100
BASELINES = ("regression", "spreading")
# What the figure draws: (learner, selector) -> colour, style.
DRAWN = {
    OURS: ("#c1272d", "-"),
    ("regression", "medoids"): ("#1f4e79", "-"),
    ("spreading", "medoids"): ("#1f4e79", "--"),
    ("spreading", "idc"): ("#5b8c3a", "--"),
    ("regression", "u_herding"): ("#d98e04", "-"),
    ("regression", "margin"): ("#7a5195", "-"),
    ("regression", "random"): ("#888888", "-"),
}

Row = dict[str, Any]
# (learner, selector, answers per class) -> accuracy by seed.
Scores = dict[tuple[str, str, int], dict[int, float]]


def write(rows: list[Row]) -> None:
    """Write ``results/tables.md`` and ``docs/images/answers.png``; development seeds stay out."""
    rows = [row for row in rows if row["seed"] < DEVELOPMENT]
    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    parts = [section(task, [row for row in rows if row["task"] == task]) for task in tasks]
    text = "\n\n".join([*parts, calibration(rows)]) + "\n"
    (RESULTS / "tables.md").write_text(text)
    draw(rows, tasks)
    print(text)


def section(task: str, rows: list[Row]) -> str:
    """All that was measured on one task, a column for each budget."""
    scores = by_setting(rows)
    budgets = [budget for budget in BUDGETS if any(key[2] == budget for key in scores)]
    head = f"| {task} | " + " | ".join(f"{budget} per class" for budget in budgets) + " |"
    lines = [head, "|---" * (len(budgets) + 1) + "|"]
    for learner, selector in settings(scores):
        cells = (spread(scores.get((learner, selector, budget), {})) for budget in budgets)
        lines.append(f"| {title(learner, selector)} | " + " | ".join(cells) + " |")
    against = (difference(scores, budget) for budget in budgets)
    lines.append("| *against the strongest baseline* | " + " | ".join(against) + " |")
    return "\n".join(lines)


def by_setting(rows: Iterable[Row]) -> Scores:
    """Accuracy by seed of every setting."""
    scores: Scores = defaultdict(dict)
    for row in rows:
        scores[row["learner"], row["selector"], row["per_class"]][row["seed"]] = row["acc"]
    return scores


def settings(scores: Scores) -> list[tuple[str, str]]:
    """Learners and selectors that were run, ours first, ablations last."""
    there = {key[:2] for key in scores}
    learners = ("graph_committee", *BASELINES, *ABLATIONS)
    return [(a, b) for a in learners for b in SELECTORS if (a, b) in there]


def title(learner: str, selector: str) -> str:
    """A line's name."""
    if (learner, selector) == OURS:
        return "**graph_committee**"
    if learner in ABLATIONS:
        return f"graph_committee, {learner}"
    return f"{learner}, {selector}"


def spread(found: dict[int, float]) -> str:
    """Mean ± standard deviation over seeds."""
    values = list(found.values())
    if not values:
        return "–"
    more = f" ± {np.std(values):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{more}"


def difference(scores: Scores, budget: int) -> str:
    """Ours minus the baseline of the highest mean, seed by seed, ± its standard error."""
    ours = scores.get((*OURS, budget), {})
    rivals = {key: found for key, found in scores.items() if key[2] == budget}
    rivals = {key: found for key, found in rivals.items() if key[0] in BASELINES}
    if not ours or not rivals:
        return "–"
    best = max(rivals, key=lambda key: float(np.mean(list(rivals[key].values()))))
    shared = sorted(ours.keys() & rivals[best].keys())
    if not shared:
        return "–"
    gaps = np.array([ours[seed] - rivals[best][seed] for seed in shared])
    error = f" ± {np.std(gaps, ddof=1) / np.sqrt(len(gaps)):.3f}" if len(gaps) > 1 else ""
    return f"{np.mean(gaps):+.3f}{error} ({best[0]}, {best[1]})"


def calibration(rows: list[Row]) -> str:
    """How far the expectations of ours were off, over all rounds of all runs."""
    ours = [row for row in rows if (row["learner"], row["selector"]) == OURS]
    lines = ["| expectation | rounds | mean error | mean absolute error |", "|---|---|---|---|"]
    for task in TASKS:
        errors, gains = [], []
        for row in ours:
            if row["task"] != task:
                continue
            rounds = row["rounds"]
            errors += [r["expected_accuracy"] - r["acc"] for r in rounds]
            for now, later in itertools.pairwise(rounds):
                answered = now["answered"]
                share = np.log(later["answered"] / answered) / np.log1p(50 / answered)
                gains.append(now["expected_gain_of_50"] * share - (later["acc"] - now["acc"]))
        for name, found in (("accuracy", errors), ("gain of the next round", gains)):
            if found:
                mean, size = np.mean(found), np.mean(np.abs(found))
                lines.append(f"| {task}: {name} | {len(found)} | {mean:+.3f} | {size:.3f} |")
    return "\n".join(lines)


def draw(rows: list[Row], tasks: list[str]) -> None:
    """The figure: a panel a task, accuracy against answers."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(3, len(tasks))
    lines = -(-len(tasks) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.2 * columns, 3.2 * lines), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(tasks) :]:
        axis.axis("off")
    for axis, task in zip(axes.flat, tasks, strict=False):
        scores = by_setting(row for row in rows if row["task"] == task)
        classes = TASKS[task]().classes
        for (learner, selector), (color, style) in DRAWN.items():
            found = {
                key[2]: values for key, values in scores.items() if key[:2] == (learner, selector)
            }
            if not found:
                continue
            budgets = sorted(found)
            means = [np.mean(list(found[budget].values())) for budget in budgets]
            axis.plot(
                [budget * classes for budget in budgets],
                means,
                style,
                color=color,
                marker="o",
                markersize=3,
                linewidth=2 if (learner, selector) == OURS else 1.2,
                label=title(learner, selector).strip("*"),
            )
        axis.set(title=task, xscale="log", xlabel="answers", ylabel="ACC")
        axis.set_xticks([budget * classes for budget in BUDGETS], minor=False)
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes.flat[0].legend(fontsize=7, frameon=False)
    figure.savefig(ROOT / "docs" / "images" / "answers.png", dpi=110)
    plt.close(figure)
