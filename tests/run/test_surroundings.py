"""Where a run is at home nowhere: no home folder, no GPU, locked folders, numbers off the scale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from calling import call

from idc_jax import Session
from idc_jax.data import default_cache_dir, load
from idc_jax.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
BASE = (
    "from idc_jax.runs import configuration as base\ndef get_config():\n  c = base.get_config()\n  "
)
FEATURES = f"--config={ROOT / 'configs' / 'features.py'}"


def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **changes},
        capture_output=True,
        text=True,
        check=False,
    )


def refused(code: int, said: str, wanted: str) -> None:
    assert code == 2, said
    assert said.count("\n") == 1, said
    assert said.startswith("error: ")
    assert wanted in said


@pytest.mark.parametrize("command", ["run", "page"])
def test_a_device_that_is_not_there(tmp_path: Path, command: str) -> None:
    file, out = tmp_path / "f.npy", tmp_path / "run"
    np.save(file, np.eye(9))
    arguments = ("-m", "idc_jax", "ask", str(file), "--clusters=2", f"--save={out}")
    # What no machine has, and what few have.
    platform = "abacus"
    if command == "run":
        arguments = ("launch.py", FEATURES, f"--config.data.path={file}", f"--workdir={out}")
        platform = "abacus" if shutil.which("nvidia-smi") else "cuda"
    done = run(*arguments, JAX_PLATFORMS=platform)
    refused(done.returncode, done.stderr, f"JAX_PLATFORMS is '{platform}'")
    assert not out.exists()


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A folder that every user can write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user whom nobody knows")
def test_a_user_without_a_name_or_a_home(anybodys: Path) -> None:
    code = (
        "import numpy, sys; from idc_jax import Session; "
        "session = Session(numpy.random.default_rng(0).normal(size=(30, 4)), 3, "
        "options={'graph_committee.steps': 2}); "
        "session.answer({1: 'cat', 2: 'dog'}); session.save(sys.argv[1]); "
        "from idc_jax.data import default_cache_dir; print(default_cache_dir())"
    )
    become = "setpriv --reuid=4321 --regid=4321 --clear-groups"
    done = subprocess.run(
        [*become.split(), sys.executable, "-c", code, str(anybodys / "kept")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(anybodys)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(anybodys / "idc_jax-4321")
    assert (anybodys / "kept" / "session.json").is_file()


def test_no_home_for_what_begins_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no home folder is known for '~'"):
        load("features", path="~nobody-is-called-so/f.npz")
    monkeypatch.delenv("IDC_JAX_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "idc_jax"
    np.save(tmp_path / "f.npy", np.eye(3))
    assert load("features", path="~/f.npy").size == 3


def test_what_a_mark_for_missing_values_does(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    for told, odd in (
        (
            "features as large as 9.97e+36 in 1 of 60 rows (7)",
            np.where(np.arange(60)[:, None] == 7, 9.97e36, features),
        ),
        ("in 60 of 60 rows (0, 1, 2, 3, 4, ...)", features * 1e20),
    ):
        np.savez(tmp_path / "f.npz", features=odd, labels=np.arange(60) % 3)
        path = f"--config.data.path={tmp_path / 'f.npz'}"
        refused(*call(FEATURES, path, f"--workdir={tmp_path / 'run'}"), told)
        with pytest.raises(UserError) as caught:
            Session(odd, 3)
        assert told in str(caught.value)
    assert not (tmp_path / "run").exists()


CONFIGS = {
    "def get_config(:": "line 1: invalid syntax",
    "import nowhere": "line 1: ModuleNotFoundError: No module named 'nowhere'",
    "x = 1": "has no attribute 'get_config'",
    "def get_config():\n  return 1 / 0": "line 2: ZeroDivisionError: division by zero",
    "def get_config():\n  raise RuntimeError('a\\nb')": "line 2: RuntimeError: a b",
    "def get_config():\n  return 3": "returns 3; it must return a ConfigDict",
    "import ml_collections\nget_config = ml_collections.ConfigDict": "lacks annotator, answers, ",
    BASE + "c.bugdet = 3\n  return c": "sets bugdet, which is not an option",
    BASE + "c.idc.hop = 3\n  return c": "sets idc.hop, which is not an option",
    BASE + "del c.data.path\n  return c": "lacks data.path; one that begins with",
    BASE + "c.budget = 3.5\n  return c": "line 4: TypeError: Could not override field 'budget'",
}


@pytest.mark.parametrize("content", CONFIGS)
def test_a_broken_config_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "mine.py").write_text(content)
    out = f"--workdir={tmp_path / 'run'}"
    refused(*call(f"--config={tmp_path / 'mine.py'}", out), CONFIGS[content])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a.json", "a.txt", "folder", "nowhere"])
def test_broken_answers_are_told_before_anything_is_written(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "f.npz", features=np.eye(30), labels=np.arange(30) % 3)
    (tmp_path / "folder").mkdir()
    for ending in ("npz", "csv", "json", "txt"):
        (tmp_path / f"a.{ending}").write_bytes(b"junk \xff\xfe junk")
    given = ("num_clusters=3", "budget=10", f"data.path={tmp_path / 'f.npz'}")
    out, path = tmp_path / "run", tmp_path / name
    options = [f"--config.{one}" for one in (*given, f"answers={path}")]
    refused(*call(FEATURES, *options, f"--workdir={out}"), name)
    assert not out.exists()


BROKEN = {
    "f.npz": b"PK\x03\x04 and no more",
    "f.npy": b"\x93NUMPY\x01\x00",
    "f.csv": b"a,b\n1,two,3\n",
    "f.parquet": b"PAR1 and no more",
    "f.json": b"[[1, 2], [3, 4]]",
    "f.txt": b"1 2\n3 4\n",
    "empty.npz": b"",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line_before_anything_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    path = f"--config.data.path={tmp_path / name}"
    out = tmp_path / "run"
    refused(*call(FEATURES, path, f"--workdir={out}"), str(tmp_path / name))
    assert sorted(os.listdir(tmp_path)) == [name]


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("buget", "is not an option; did you mean budget?"),
        ("idc.hop", "is not an option; did you mean hops?"),
        ("pcl.epochs", "is not an option; --options lists them all"),
    ],
)
def test_a_misspelt_option_is_named(tmp_path: Path, flag: str, told: str) -> None:
    out = f"--workdir={tmp_path / 'run'}"
    refused(*call(FEATURES, f"--config.{flag}=2", out), f"--config.{flag} {told}")
