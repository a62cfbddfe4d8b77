"""The tables of docs/results.md as sweeps: every row of one is a combination of options.

    python benchmarks/sweep_tables.py digits
    python benchmarks/sweep_tables.py features --path FILE.npz

Each is one command of `launch.py`, which is printed first; stopped, it goes on where it was. The
rows that are no run of a config (k-means, logistic regression) are benchmarks/idc_results.py's; the
other tables are benchmarks/answers' (few answers) and benchmarks/methods' (DSAC, PCL).
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SEEDS_3, SEEDS_5 = "seed=0,1,2", "seed=0,1,2,3,4"
IDC_ON_FEATURES = "configs/features.py:idc"
FEATURES = ("--config.num_clusters=20", "--config.budget=500")


class Table(NamedTuple):
    """Rows of one of docs/results.md's tables.

    Attributes:
      config: what to run, with a method behind a colon if it is not the default.
      options: that all points share.
      axes: what is swept.
    """

    config: str
    options: tuple[str, ...]
    axes: tuple[str, ...]


TABLES = {
    # "Digits", all rows but the annotator's.
    "digits": Table(
        "configs/digits.py", (), ("selector=idc,random,medoids", "budget=20,50", SEEDS_5)
    ),
    "digits_annotator": Table(
        "configs/digits.py", (), ("annotator.oracle=aligned,exemplar", SEEDS_5)
    ),
    # "IDC on the same features".
    "features": Table(IDC_ON_FEATURES, FEATURES, ("selector=idc,random,medoids", SEEDS_3)),
    "features_candidates": Table(IDC_ON_FEATURES, FEATURES, ("idc.num_candidates=5,10", "seed=0")),
    "features_rounds": Table(IDC_ON_FEATURES, FEATURES, ("rounds=5,10", "seed=0")),
    "features_published": Table(
        "configs/features.py:idc_paper",
        FEATURES,
        ("finetune.learning_rate=1e-4,1e-3", "seed=0,1"),
    ),
    # The text below the tables.
    "fashion_mnist": Table("configs/fashion_mnist.py", (), ("budget=100,250,500", "seed=0")),
}


def command(name: str, path: str, out: Path) -> list[str]:
    """The arguments of `launch.py` for the table ``name``."""
    table = TABLES[name]
    data = [f"--config.data.path={Path(path).resolve()}"] if path else []
    quiet = ["--config.progress=False", "--config.report.map=False"]
    return [
        "launch.py",
        f"--config={table.config}",
        *data,
        *table.options,
        *quiet,
        *(f"--sweep={axis}" for axis in table.axes),
        f"--workdir={out.resolve() / name}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--path", default="", help="of the data, where the config needs one")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "tables")
    given = parser.parse_args()
    arguments = command(given.table, given.path, given.out)
    print("python", shlex.join(arguments), flush=True)
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
