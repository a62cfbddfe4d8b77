"""Measures the points on stdin, a JSON list, and writes the outcome of each as a line of JSON.

    echo '[{"case": "kmeans/idc_jax", ...}]' | python -m benchmarks.harness.worker selectors

Whatever else is printed meanwhile goes to stderr.
"""

import json
import os
import sys

from benchmarks.families import load
from benchmarks.harness.processes import here


def main(name: str) -> None:
    """Measure what stdin lists."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        for outcome in here(name, load(name), json.load(sys.stdin)):
            print(json.dumps(outcome), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
