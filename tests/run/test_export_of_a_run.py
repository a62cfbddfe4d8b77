"""What a real run leaves is enough to take it elsewhere."""

import csv
import json
from pathlib import Path

import numpy as np

from idc_jax.command import main


def test_a_real_run_is_exported(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    assert main(["export", str(whole), "--to=csv", f"--out={out}"]) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 160
    asked = [row for row in rows if row["answer"]]
    assert len(asked) == 12
    assert {row["answered_by"] for row in asked} == {"aligned"}
    # Cluster questions name no classes.
    assert {row["name"] for row in rows} <= {f"cluster {group}" for group in range(4)}
    result = json.loads((whole / "result.json").read_text())
    assert len(result["answer_names"]) == len(np.unique(result["answer_names"])) == 4
    assert Path(result["started_in"]) == Path.cwd()
