"""What this project owes on a GPU, in order, resumable, into one table.

    python -m benchmarks.gpu --features=cifar20_features.npz --images=TFDS_DIRECTORY
    make gpu FLAGS="--features=..."     # the same

It needs a JAX that sees the GPU, and a PyTorch that does for the training step's other side.
A step that is done is not run again; one that was cut off begins anew, but for the recipe, which
goes on from its checkpoint. Steps whose data are not given are passed over with a line. Each
step's output is kept in ``--out``, beside ``table.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

Row = tuple[str, str]


class Step(NamedTuple):
    """One command and how its output becomes rows of the table.

    Attributes:
      command: after ``python``.
      rows: ``(folder of the step) -> rows``; the command's output is ``output.txt`` there.
    """

    command: list[str]
    rows: Callable[[Path], Iterator[Row]]


def training_rows(folder: Path) -> Iterator[Row]:
    for line in lines(folder):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith(("| JAX", "| PyTorch")):
            views = "with views" if cells[1] == "yes" else "without views"
            told = f"{cells[2]} images/s, {cells[4]} of the peak, first round {cells[5]}"
            yield f"{cells[0]}, {views}", told
        elif "GEMM" in line:
            yield "peak", line


def selection_rows(folder: Path) -> Iterator[Row]:
    for line in lines(folder):
        if not line.startswith("{"):
            continue
        found = json.loads(line)
        if "repeats" in found:
            again = "repeats" if found["repeats"] else "differs from call to call"
            yield found["case"], f"{again}, {found['as_cpu']} of {found['of']} as on the CPU"
        elif "case" in found:
            parts = "".join(f", {name} {wall:.2f}" for name, wall in found.get("parts", {}).items())
            memory = f", {found['gib']:.1f} GiB" if found["gib"] else ""
            yield found["case"], f"{found['wall']:.4f} s{parts}{memory}"


def run_rows(folder: Path) -> Iterator[Row]:
    result = json.loads((folder / "run" / "result.json").read_text())
    acc = f"ACC {result['initial']['acc']:.3f} → {result['final']['acc']:.3f}"
    seconds = ", ".join(f"{name} {value:.0f}" for name, value in result["seconds"].items())
    yield folder.name, f"{acc} with {result['questions']['asked']} answers; seconds: {seconds}"


def recipe_rows(folder: Path) -> Iterator[Row]:
    for line in (folder / "run" / "minutes.jsonl").read_text().splitlines()[-1:]:
        found = json.loads(line)
        minutes = f"{found['minutes']:.1f} minutes, {found['epoch']} epochs"
        yield "CIFAR-20 from nothing", f"ACC {found['acc']:.3f} NMI {found['nmi']:.3f}, {minutes}"
    for method in ("idc", "dsac"):
        path = folder / "run" / method / "result.json"
        if path.exists():
            result = json.loads(path.read_text())
            acc = f"ACC {result['initial']['acc']:.3f} → {result['final']['acc']:.3f}"
            seconds = result["seconds"]["total"]
            asked = result["questions"]["asked"]
            yield f"{method} from there", f"{acc} with {asked} answers, {seconds:.0f} s"


def lines(folder: Path) -> list[str]:
    return (folder / "output.txt").read_text(encoding="utf-8").splitlines()


def steps(args: argparse.Namespace) -> dict[str, Step]:
    """All steps for which there are data, in order."""
    # The recipe's own network and batch.
    step = "--network=resnet18 --width=40 --batch=1024 --steps=8 --views=yes,no"
    step += " --jax-rows=1 --torch-rows=2,4"
    found = {
        "selection": Step(["-m", "benchmarks.selectors.together"], selection_rows),
        "training": Step(["-m", "benchmarks.training.step", *step.split()], training_rows),
    }
    if args.features:
        for method in ("graph_committee", "idc", "dsac"):
            run = ["launch.py", f"--config=configs/features.py:{method}"]
            run += [f"--config.data.path={args.features}", "--config.num_clusters=20"]
            run += ["--config.budget=500", "--config.rounds=10", "--config.progress=False"]
            run += [f"--workdir={args.out / method / 'run'}"]
            found[method] = Step(run, run_rows)
    if args.images:
        recipe = ["-m", "benchmarks.training.cifar20_recipe", f"--data={args.images}"]
        recipe += [f"--out={args.out / 'recipe' / 'run'}", f"--epochs={args.epochs}", "--every=5"]
        found["recipe"] = Step(recipe, recipe_rows)
    return found


def run(name: str, step: Step, folder: Path) -> None:
    """Run a step, with its output on the screen and in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    since = time.perf_counter()
    # PyTorch and JAX share the device's memory in one of the steps.
    env = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONUNBUFFERED": "1"}
    with (folder / "output.txt").open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, *step.command], env=env, text=True, stdout=subprocess.PIPE
        )
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            output.write(line)
            output.flush()
    seconds = time.perf_counter() - since
    code = process.wait()
    print(f"{name}: exit code {code} after {seconds:.0f} s", flush=True)
    if not code:
        (folder / "seconds").write_text(f"{seconds:.0f}")


def table(every: dict[str, Step], out: Path) -> str:
    """All figures that are there."""
    rows = ["| step | what | figure |", "|---|---|---|"]
    for name, step in every.items():
        if (out / name / "seconds").exists():
            rows += [f"| {name} | {what} | {figure} |" for what, figure in step.rows(out / name)]
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--features", help="an .npz of features and labels")
    parser.add_argument("--images", help="TFDS's directory with cifar100, or a folder a class")
    parser.add_argument("--epochs", type=int, default=300, help="of the recipe's pre-training")
    parser.add_argument("--only", default="", help="these steps, with commas between")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    args = parser.parse_args()
    every = steps(args)
    for name in ("features", "images"):
        if not getattr(args, name):
            print(f"the steps that need --{name} are left out")
    wanted = [name for name in every if not args.only or name in args.only.split(",")]
    for name in wanted:
        if not (args.out / name / "seconds").exists():
            run(name, every[name], args.out / name)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "table.md").write_text(table(every, args.out), encoding="utf-8")
    print(table(every, args.out))


if __name__ == "__main__":
    main()
