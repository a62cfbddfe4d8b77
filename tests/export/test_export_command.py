"""The command: what it says, and its exit code."""

import os
import subprocess
import sys

import numpy as np
import pytest
from finished import finish, finish_images, make_images

from configs import digits
from idc_jax.command import main


def test_folders(tmp_path, capsys):
    run, out = finish_images(tmp_path), tmp_path / "sorted"
    code = main(["export", str(run), "--to=folders", f"--out={out}", "--unsure=0.5"])
    assert code == 0
    assert capsys.readouterr().out == f"6 samples in 3 groups: {out}\n1 of them in unsure/\n"
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        "cats_dogs",
        "unsure",
        "unsure (2)",
        "Ünïcode 猫",
    ]


def test_images_are_loaded_as_the_run_did(tmp_path):
    data = digits.get_config().data.to_dict() | {"limit": 6, "cache": str(tmp_path / "cache")}
    run = finish(tmp_path / "run", data=data)
    assert main(["export", str(run), "--to=folders", f"--out={tmp_path / 'out'}"]) == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: COMMAND; see idc-jax --help"),
        (["exprot"], "invalid choice: 'exprot'"),
        (["export"], "required: RUN, --to, --out; see idc-jax export --help"),
        (["export", "RUN", "--to=csv", "--out=x", "--unsure=much"], "invalid float value: 'much'"),
        (["export", "RUN", "--to=csv", "--out=x", "--more"], "unrecognized arguments: --more"),
        (["export", "RUN", "--to=csv", "--out=x"], "RUN holds no run"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert said in told.err
    assert told.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("package", "to", "said"),
    [
        ("pyarrow", "parquet", "Parquet needs PyArrow: pip install pyarrow, or --to=csv"),
        ("PIL", "folders", "PIL is missing; pip install 'idc_jax[train,data]'"),
    ],
)
def test_a_package_that_is_missing(tmp_path, monkeypatch, capsys, package, to, said):
    data = digits.get_config().data.to_dict() | {"limit": 6, "cache": str(tmp_path / "cache")}
    run = finish(tmp_path / "run", data=data)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", str(run), f"--to={to}", f"--out={tmp_path / 'out'}"]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"
    assert not (tmp_path / "out").exists()


def test_help_needs_next_to_nothing():
    script = "import sys; sys.argv[1:] = ['export', '--help']\n"
    script += "import atexit; atexit.register(lambda: print('jax' in sys.modules))\n"
    script += "import runpy; runpy.run_module('idc_jax', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--unsure" in done.stdout
    assert done.stdout.endswith("False\n")


def test_files_are_found_that_a_table_cannot_name(tmp_path):
    paths = make_images(tmp_path / "photos")
    odd = paths[0].with_name(os.fsdecode(b"caf\xe9.png"))
    paths[0].rename(odd)
    names = [str(path) for path in (odd, *paths[1:])]
    data = {"source": "folder", "path": str(tmp_path / "photos")}
    run = finish(tmp_path / "run", names=names, data=data)
    np.savez(run / "samples.npz", names=np.asarray(names), digests=np.zeros(6, np.uint64))
    assert "caf\ufffd.png" in (run / "assignments.csv").read_text(encoding="utf-8")
    assert main(["export", str(run), "--to=folders", f"--out={tmp_path / 'out'}"]) == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6
