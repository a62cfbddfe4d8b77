"""The first screen: what was sorted into what, how sure that is, and what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np

from idc_jax.report.answers import count_questions
from idc_jax.report.summary import moved_samples
from idc_jax.report.view import View

# Below this confidence, the group is less likely than all others together.
UNSURE = 0.5
GROUPS = 24
PICTURES = 3
MORE_ANSWERS = 50


def title(view: View) -> str:
    """Say what was sorted into what."""
    n, groups = view.dataset.size, view.num_clusters
    what = ("image" if view.has_images else "sample") + ("" if n == 1 else "s")
    return f"{n:,} {what} in {groups} group{'' if groups == 1 else 's'}"


def facts(view: View) -> list[dict[str, str]]:
    """Say how sure the clustering is: what, its value, and a note."""
    counts = count_questions(view.rounds)
    found = [_accuracy(view)] if _accuracy(view) else []
    unsure = int((view.final.max(1) < UNSURE).sum())
    note = f"less than {UNSURE:.0%} sure of their group"
    found.append({"name": "unsure", "value": f"{unsure:,}", "note": note})
    answers = counts["asked"] - counts["skip"]
    moved = f"{moved_samples(view):,} moved to another group"
    note = moved + (f", {counts['skip']:,} skipped" if counts["skip"] else "")
    found.append({"name": "answers", "value": f"{answers:,}", "note": note})
    return found


def group_tiles(view: View) -> list[dict[str, Any]]:
    """Describe the largest groups: name, size, confidence and the surest members."""
    sizes = np.bincount(view.after, minlength=view.num_clusters)
    found = []
    for cluster in np.argsort(-sizes, kind="stable")[:GROUPS].tolist():
        members = np.flatnonzero(view.after == cluster)
        confidence = view.final[members, cluster]
        surest = members[np.argsort(-confidence, kind="stable")][:PICTURES]
        found.append(
            {
                "id": cluster,
                "name": view.cluster_name(cluster),
                "slot": int(view.slots.final[cluster]),
                "size": int(sizes[cluster]),
                "confidence": float(confidence.mean()) if len(members) else 0.0,
                "pictures": [view.picture(int(sample)) for sample in surest],
            }
        )
    return found


def next_steps(view: View, workdir: Path) -> list[dict[str, str]]:
    """Say what a reader may do now: the text, and a command or an anchor."""
    steps = []
    if unsure := int((view.final.max(1) < UNSURE).sum()):
        text = f"Look at what is unsure ({unsure:,}): it stands first among all members of a group."
        steps.append({"text": text, "anchor": "#groups", "command": ""})
    steps.append(_more_answers(view))
    steps.append(_export(view, workdir))
    return steps


def _export(view: View, workdir: Path) -> dict[str, str]:
    text, to = "Take the groups along as a table:", ["--to=csv", "--out=groups.csv"]
    if view.has_files:
        text, to = "Sort the files into a folder for each group:", ["--to=folders", "--out=sorted"]
    command = shlex.join(["python", "-m", "idc_jax", "export", str(workdir), *to])
    return {"text": text, "anchor": "", "command": command}


def _more_answers(view: View) -> dict[str, str]:
    asked = count_questions(view.rounds)["asked"]
    outlook = view.result["rounds"][-1].get("outlook")
    text = "Answer more; what is answered stays, and the same command goes on with:"
    if not asked:
        text = "Nobody was asked. Answer questions yourself: the same command with"
        return {"text": text, "anchor": "", "command": "--config.annotator.kind=page"}
    more = MORE_ANSWERS
    if outlook:
        more = int(outlook["further"])
        gain = f"{100 * outlook['gain']:.1f}"
        text = f"{more} more answers are likely to bring {gain} points: the same command with"
    return {"text": text, "anchor": "", "command": f"--config.budget={asked + more}"}


def _accuracy(view: View) -> dict[str, str]:
    initial, final = view.result["initial"], view.result["final"]
    if initial and final:
        note = f"{initial['acc']:.3f} before any answer"
        return {"name": "accuracy", "value": f"{final['acc']:.3f}", "note": note}
    outlook = view.result["rounds"][-1].get("outlook")
    if not outlook:
        return {}
    value = f"{outlook['accuracy']:.0%}"
    return {"name": "expected accuracy", "value": value, "note": "told from the answers alone"}
