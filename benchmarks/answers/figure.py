"""The figure of accuracy against answers, a panel for each data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.answers.course import BUDGETS
from benchmarks.harness.tables import DOCS

# (learner, selector) -> name, colour, style; what a user would try, and the methods whole.
DRAWN = {
    ("graph_committee", "value"): ("graph_committee", "#c1272d", "-"),
    ("spreading", "typiclust"): ("label spreading, TypiClust", "#1f4e79", "-"),
    ("spreading", "idc"): ("label spreading, IDC's picks", "#1f4e79", ":"),
    ("spreading", "medoids"): ("label spreading, medoids", "#1f4e79", "--"),
    ("regression", "medoids"): ("regression, medoids", "#5b8c3a", "-"),
    ("regression", "random"): ("regression, random", "#888888", "-"),
    ("IDC", "whole"): ("IDC whole", "#7a5195", "-"),
    ("DSAC", "whole"): ("DSAC whole", "#d98e04", "-"),
    ("PCL", "whole"): ("PCL whole", "#3aa6a6", "-"),
}
# Curves that would lie on another panel's.
LEFT_OUT = ("cifar20_half", "cifar20_double", "digits_wrong")
COLUMNS = 4


def draw(scores: dict[str, Any], classes: dict[str, int]) -> None:
    """Write ``docs/images/answers.png``.

    Args:
      scores: data set -> (learner, selector) -> answers per class -> seed -> accuracy.
      classes: how many each data set has.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    tasks = [task for task in scores if task not in LEFT_OUT]
    lines = -(-len(tasks) // COLUMNS)
    size = (3.4 * COLUMNS, 2.9 * lines)
    figure, axes = plt.subplots(lines, COLUMNS, figsize=size, squeeze=False, layout="constrained")
    for axis, task in zip(axes.flat, tasks, strict=False):
        _panel(axis, task, scores[task], classes[task])
    for axis in axes.flat[len(tasks) :]:
        axis.axis("off")
    handles: dict[str, Any] = {}
    for axis in axes.flat[: len(tasks)]:
        handles |= {line.get_label(): line for line in axis.get_lines()}
    ordered = [name for name, _, _ in DRAWN.values() if name in handles]
    figure.legend(
        [handles[name] for name in ordered],
        ordered,
        loc="outside upper center",
        ncols=5,
        frameon=False,
        fontsize=9,
    )
    figure.savefig(DOCS / "images" / "answers.png", dpi=110)
    plt.close(figure)


def _panel(axis: Any, task: str, found: Any, classes: int) -> None:
    for setting, (name, color, style) in DRAWN.items():
        means = {b: np.mean(list(found[setting][b].values())) for b in BUDGETS if found[setting][b]}
        if not means:
            continue
        width = 2.4 if setting[0] == "graph_committee" else 1.2
        answers = [budget * classes for budget in means]
        axis.plot(
            answers,
            list(means.values()),
            style,
            color=color,
            marker="o",
            markersize=3,
            linewidth=width,
            label=name,
            zorder=3 if width > 2 else 2,
        )
    axis.set_title(task, fontsize=10)
    axis.set(xscale="log", xlabel="answers", ylabel="ACC")
    axis.set_xticks([budget * classes for budget in BUDGETS])
    axis.xaxis.set_major_formatter("{x:.0f}")
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
