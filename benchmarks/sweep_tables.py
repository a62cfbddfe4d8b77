"""The README's tables as sweeps: every row of one is a combination of options.

    python benchmarks/sweep_tables.py digits
    python benchmarks/sweep_tables.py features --path FILE.npz

Each is one command of `launch.py`, which is printed first; stopped, it goes on where it was. The
rows that are no run of a config (k-means, logistic regression) are benchmarks/idc_results.py's.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FEATURES = ("--config.num_clusters=20", "--config.budget=500")
TABLES = {
    "digits": ("digits", (), ("selector=idc,random,medoids", "budget=20,50", "seed=0,1,2,3,4")),
    "digits_annotator": ("digits", (), ("annotator.oracle=aligned,exemplar", "seed=0,1,2,3,4")),
    "features": ("features", FEATURES, ("selector=idc,random,medoids", "seed=0,1,2")),
    "features_candidates": ("features", FEATURES, ("idc.num_candidates=3,5,10", "seed=0")),
    "features_rounds": ("features", FEATURES, ("rounds=1,5,10", "seed=0")),
    "fashion_mnist": ("fashion_mnist", (), ("budget=100,250,500", "seed=0")),
}


def command(table: str, path: str) -> list[str]:
    """The arguments of `launch.py` for ``table``."""
    config, options, swept = TABLES[table]
    data = [f"--config.data.path={Path(path).resolve()}"] if path else []
    quiet = ["--config.progress=False", "--config.report.map=False"]
    return [
        "launch.py",
        f"--config=configs/{config}.py",
        *data,
        *options,
        *quiet,
        *(f"--sweep={axis}" for axis in swept),
        f"--workdir=runs/table_{table}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--path", default="", help="of the data, where the config needs one")
    given = parser.parse_args()
    arguments = command(given.table, given.path)
    print("python", shlex.join(arguments), flush=True)
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
