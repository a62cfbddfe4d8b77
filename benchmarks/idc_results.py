"""IDC's results beside the simplest things to do instead: the tables of docs/results.md.

    python benchmarks/idc_results.py digits --out runs/idc_digits
    python benchmarks/idc_results.py features --path FILE.npz --out runs/idc_features

Each setting is a whole run of its config; a run that is there already is read, not repeated.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from sklearn.linear_model import LogisticRegression

from configs import digits, fashion_mnist, features
from idc_jax.data.base import Dataset
from idc_jax.runs.compose import run_experiment
from idc_jax.runs.parts import load_dataset

METRICS = ("acc", "nmi", "ari")
# The setting that says which recipe the others change.
PAPER = {"recipe": "idc_paper"}


def digits_settings() -> dict[str, dict]:
    return {
        "IDC": {},
        "random picks": {"selector": "random"},
        "medoids": {"selector": "medoids"},
        "IDC, exemplar annotator": {"annotator.oracle": "exemplar"},
        "IDC, 20 questions": {"budget": 20},
        "random picks, 20 questions": {"selector": "random", "budget": 20},
    }


def features_settings() -> dict[str, dict]:
    return {
        "IDC": {},
        "IDC, ten candidates": {"idc.num_candidates": 10},
        "IDC, ten rounds": {"rounds": 10},
        "random picks": {"selector": "random"},
        "medoids": {"selector": "medoids"},
        "the paper's recipe": PAPER,
        "the paper's recipe, learning rate 1e-3": PAPER | {"finetune.learning_rate": 1e-3},
        "the paper's recipe on averaged features": PAPER
        | {"idc.hops": 3, "finetune.learning_rate": 1e-3},
    }


TASKS = {
    "digits": (digits, digits_settings, 5),
    "features": (features, features_settings, 3),
    "fashion_mnist": (fashion_mnist, digits_settings, 1),
}


def configure(task: str, path: str, setting: dict, seed: int) -> ConfigDict:
    config = TASKS[task][0].get_config(setting.get("recipe", "idc"))
    config.seed, config.progress, config.report.map = seed, False, False
    config.data.path = path
    if task == "features":
        config.num_clusters, config.budget = 20, 500
    config.update_from_flattened_dict(setting)
    return config


def logistic_regression(dataset: Dataset, budget: int, seed: int) -> float:
    """Accuracy over all samples of logistic regression on ``budget`` random labels."""
    x = dataset.inputs.reshape(dataset.size, -1).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    picked = np.random.default_rng(seed).choice(dataset.size, budget, replace=False)
    model = LogisticRegression(C=10.0, max_iter=1000).fit(x[picked], dataset.labels[picked])
    return float(np.mean(model.predict(x) == dataset.labels))


def measure(task: str, path: str, out: Path, names: list[str], seeds: int) -> dict:
    rows: dict[str, list[dict]] = {}
    for name in names:
        setting = TASKS[task][1]()[name]
        for seed in range(seeds):
            config = configure(task, path, setting, seed)
            workdir = out / f"{name.replace(' ', '_').replace(',', '')}_{seed}"
            if not (workdir / "result.json").exists():
                run_experiment(config, workdir)
            result = json.loads((workdir / "result.json").read_text())
            rows.setdefault(name, []).append(result)
            print(name, seed, result["final"]["acc"], round(result["seconds"]["total"]), flush=True)
    return rows


def table(rows: dict[str, list[dict]], regression: list[float]) -> str:
    lines = [
        "| | " + " | ".join(METRICS) + " | questions: none | seconds |",
        "|---|---|---|---|---|---|",
    ]
    first = next(iter(rows.values()))
    lines.append(
        "| before any answer | "
        + " | ".join(spread(first, "initial", m) for m in METRICS)
        + " | | |"
    )
    for name, results in rows.items():
        none = np.mean([r["questions"]["none"] for r in results])
        seconds = np.mean([r["seconds"]["total"] for r in results])
        cells = " | ".join(spread(results, "final", m) for m in METRICS)
        lines.append(f"| {name} | {cells} | {none:.0f} | {seconds:.0f} |")
    if regression:
        text = f"{np.mean(regression):.3f} ± {np.std(regression):.3f}"
        lines.append(f"| logistic regression on as many random labels | {text} | | | | |")
    return "\n".join(lines)


def spread(results: list[dict], when: str, metric: str) -> str:
    values = [r[when][metric] for r in results]
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--path", default="")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="settings to run; all without it")
    parser.add_argument("--seeds", type=int, default=0)
    given = parser.parse_args()
    seeds = given.seeds or TASKS[given.task][2]
    names = given.only or list(TASKS[given.task][1]())
    rows = measure(given.task, given.path, given.out, names, seeds)
    config = configure(given.task, given.path, {}, 0)
    dataset = load_dataset(config)
    regression = [logistic_regression(dataset, config.budget, seed) for seed in range(seeds)]
    text = table(rows, regression)
    (given.out / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
