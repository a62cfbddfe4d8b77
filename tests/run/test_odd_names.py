"""Files and samples by any name, from the folder to the report and to every export."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from idc_jax import Session
from idc_jax.command import main
from idc_jax.runs.compose import run_experiment
from idc_jax.session import samples as session_samples

# As they lie in folders: not UTF-8, several lines, markup, a table's own signs, a line end of
# Unicode's, a sign in front, spaces.
ODD = (
    b"caf\xe9.png",
    b"two\nlines.png",
    b"<b>&amp;\"'.png",
    b"a,b;c\t.png",
    "line\u2028end.png".encode(),
    b"=1+1.png",
    b" - .png",
    b"\xff\xfe.png",
)


def lines(table: Path) -> io.StringIO:
    """The table as it stands, whatever ends a line in a name."""
    return io.StringIO(table.read_bytes().decode(), newline="")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Sixteen images in two folders, half of them by odd names."""
    rng = np.random.default_rng(0)
    for group, folder in enumerate(("dark", os.fsdecode(b"h\xe9ll"))):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        for name in (*ODD[group::2], *(b"%d.png" % i for i in range(4))):
            pixels = rng.integers(0, 40, (4, 4, 3)) + 200 * group
            path = tmp_path / "photos" / folder / os.fsdecode(name)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return tmp_path / "photos"


FORMATS = ("folders", "csv", "parquet", "huggingface", "fiftyone", "label_studio")


def test_a_session_on_images_by_odd_names(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_samples, "best_network", lambda: "")
    monkeypatch.setattr(session_samples, "_OWN_SIDE", 4)
    monkeypatch.setenv("IDC_JAX_CACHE", str(tmp_path / "cache"))
    session = Session(photos, 2, options={"graph_committee.steps": 5})
    asked = session.ask(6).ids
    session.answer({name: "night" if "dark" in str(name) else "day" for name in asked})
    for to in FORMATS:
        out = tmp_path / "out" / to
        session.export(to, out, **({"links": "copy"} if to == "folders" else {}))
    rows = list(
        csv.reader(io.StringIO((tmp_path / "out" / "csv").read_bytes().decode(), newline=""))
    )
    assert len(rows) == 17
    assert {f"{photos}/dark/caf\ufffd.png", f"{photos}/h\ufffdll/two\nlines.png"} <= {
        row[0] for row in rows
    }
    copied = list((tmp_path / "out" / "folders").rglob("*.png"))
    assert len(copied) == 16
    tasks = json.loads((tmp_path / "out" / "label_studio" / "tasks.json").read_text())
    assert any(task["data"]["image"].endswith("caf%E9.png") for task in tasks)
    again = Session.load(session.save(tmp_path / "kept"))
    assert set(again.ask(16).ids).isdisjoint(asked)


def test_a_run_on_samples_by_odd_names(
    tiny: ConfigDict, tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    names = [os.fsdecode(b"%d " % i + ODD[i % len(ODD)]) for i in range(160)]
    np.savez(tmp_path / "f.npz", features=blobs[0], labels=blobs[1], names=np.asarray(names))
    tiny.data.path = str(tmp_path / "f.npz")
    report = run_experiment(tiny, tmp_path / "run")
    page = report.read_text(encoding="utf-8")
    assert "caf\ufffd.png" in page
    assert "<b>&amp;" not in page
    table = csv.DictReader(lines(tmp_path / "run" / "assignments.csv"))
    assert [row["sample"] for row in table][:2] == [
        "0 caf\ufffd.png",
        "1 two\nlines.png",
    ]
    assert main(["export", str(tmp_path / "run"), "--to=csv", f"--out={tmp_path / 't.csv'}"]) == 0
    # What was asked and answered is there when the run goes on.
    tiny.budget = 16
    run_experiment(tiny, tmp_path / "run")
