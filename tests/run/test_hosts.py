"""One run by several processes is the run of one, ends everywhere at once, and goes on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from calling import call
from PIL import Image

from idc_jax.annotate import Store
from idc_jax.train.checkpoint import read_latest

ROOT = Path(__file__).resolve().parents[2]
# Small enough for seconds; what a run does stays the same.
SMALL = {
    "num_clusters": 4,
    "budget": 12,
    "rounds": 2,
    "progress": False,
    "report.map": False,
    "model.width": 8,
    "pretrain.epochs": 1,
    "pretrain.batch_size": 32,
    "idc.head_steps": 5,
    "finetune.epochs": 2,
    "finetune.min_steps": 0,
    "finetune.batch_size": 6,
    "dsac_training.epochs": 1,
    "dsac_training.batch_size": 16,
    "dsac_training.labelled_batch": 16,
    "pcl_training.block_size": 32,
    "pcl_training.warmup_epochs": 1,
    "pcl_training.epochs": 1,
    "pcl_training.final_epochs": 0,
    "ipc_training.warmup_epochs": 2,
    "ipc_training.epochs": 2,
    "ipc_training.min_steps": 0,
    # Of as many waves as samples, the last are rounding.
    "graph_committee.coordinates": 4,
}


class Processes:
    """The processes of one run, each with what it says on the terminal."""

    def __init__(self, count: int, workdir: Path, *flags: str, **more: str) -> None:
        config, *more_flags = flags
        with socket.socket() as free:
            free.bind(("localhost", 0))
            meeting = f"--coordinator=localhost:{free.getsockname()[1]}"
        self._logs = [workdir.parent / f"{workdir.name}.{number}.txt" for number in range(count)]
        self.running = []
        for number, log in enumerate(self._logs):
            place = [meeting, f"--processes={count}", f"--process={number}"]
            own = more.get(f"process_{number}", "").split()
            # Process 0 alone has the folder.
            place.append(f"--workdir={workdir if number == 0 else '/nowhere/at/all'}")
            with log.open("w") as file:
                self.running.append(
                    subprocess.Popen(
                        [sys.executable, "launch.py", config, *_small(), *more_flags, *own, *place],
                        cwd=ROOT,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
                    )
                )

    def codes(self) -> list[int]:
        """The exit codes, once all have ended."""
        return [process.wait(timeout=900) for process in self.running]

    def said(self, number: int) -> list[str]:
        """The lines of a process, but for the library's own greeting."""
        lines = self._logs[number].read_text().splitlines()
        return [line for line in lines if line and not line.startswith("[Gloo]")]

    def wait_for(self, text: str) -> None:
        """Until process 0 has said ``text``."""
        until = time.monotonic() + 900
        while not any(text in line for line in self.said(0)):
            assert time.monotonic() < until, self.said(0)
            assert self.running[0].poll() is None, self.said(0)
            time.sleep(0.02)


@contextlib.contextmanager
def processes(count: int, workdir: Path, *flags: str, **more: str) -> Iterator[Processes]:
    started = Processes(count, workdir, *flags, **more)
    try:
        yield started
    finally:
        for process in started.running:
            process.kill()
            process.wait()


def _small() -> list[str]:
    return [f"--config.{name}={value}" for name, value in SMALL.items()]


def _finished(count: int, workdir: Path, *flags: str) -> Path:
    with processes(count, workdir, *flags) as started:
        assert started.codes() == [0] * count, [started.said(n)[-5:] for n in range(count)]
        # The others keep quiet.
        assert all(started.said(number) == [] for number in range(1, count))
    return workdir


def _alone(workdir: Path, *flags: str) -> Path:
    """The same run by one process."""
    config, *more_flags = flags
    code, said = call(config, *_small(), *more_flags, f"--workdir={workdir}")
    assert code == 0, said
    return workdir


def _same(found: Path, wanted: Path) -> None:
    """The same questions, answers and, but for rounding, metrics."""
    said = [(folder / "answers.jsonl").read_text().splitlines() for folder in (found, wanted)]
    parts = [[_untimed(json.loads(line)) for line in lines] for lines in said]
    assert parts[0] == parts[1]
    ours, theirs = (json.loads((folder / "result.json").read_text()) for folder in (found, wanted))
    assert ours["questions"] == theirs["questions"]
    for name, value in theirs["final"].items():
        assert ours["final"][name] == pytest.approx(value, abs=1e-3), name


def _untimed(line: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in line.items() if name not in ("seconds", "time", "value")}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty little pictures of four classes."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(60):
        kind = number % 4
        pixels = rng.integers(0, 60, (8, 8, 3), dtype=np.uint8)
        pixels[kind * 2 : kind * 2 + 2, :, kind % 3] = 220
        path = folder / f"class{kind}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def _features(path: Path, method: str) -> list[str]:
    return [f"--config=configs/features.py:{method}", f"--config.data.path={path}"]


def _pictures(folder: Path, cache: Path) -> list[str]:
    """What a run has to do whose network is pre-trained on the images of a folder."""
    return [
        "--config=configs/image_folder.py:idc",
        f"--config.data.path={folder}",
        f"--config.data.cache={cache}",
        "--config.data.embed_with=",
        "--config.data.image_size=8",
        "--config.init=pretrain",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "count"), [("dsac", 2), ("pcl", 2), ("ipc", 2), ("graph_committee", 4)]
)
def test_processes_ask_and_learn_what_one_does(features_file, tmp_path, method, count):
    flags = _features(features_file, method)
    # Where nobody says how many devices, so little is not spread over them.
    found = _finished(count, tmp_path / "several", *flags, f"--config.devices={count}")
    _same(found, _alone(tmp_path / "one", *flags))


@pytest.mark.slow
def test_processes_ask_questions_of_several_kinds(features_file, tmp_path):
    flags = [*_features(features_file, "graph_committee"), "--config.questions=label,pair"]
    found = _finished(2, tmp_path / "several", *flags, "--config.devices=2")
    _same(found, _alone(tmp_path / "one", *flags))


@pytest.mark.slow
def test_processes_pretrain_on_pictures(pictures, tmp_path):
    flags = [*_pictures(pictures, tmp_path / "cache"), "--config.devices=2"]
    found = _finished(2, tmp_path / "several", *flags)
    result = json.loads((found / "result.json").read_text())
    assert result["device"].startswith("2 x")
    assert result["questions"]["asked"] == 12
    # Process 0 keeps what the pre-training leaves.
    assert (found / "checkpoints" / "pretrain").is_dir()


@pytest.fixture(scope="module")
def asked_six_times(features_file, tmp_path_factory) -> tuple[list[str], Path]:
    """A run of six rounds by one process, and its flags."""
    flags = [*_features(features_file, "graph_committee"), "--config.rounds=6"]
    return flags, _alone(tmp_path_factory.mktemp("one") / "run", *flags)


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "left"), [(0, 4), (2, 1)])
def test_a_process_that_dies_ends_all_and_others_go_on(asked_six_times, tmp_path, victim, left):
    flags, wanted = asked_six_times
    workdir = tmp_path / "run"
    with processes(3, workdir, *flags) as started:
        started.wait_for("round 1")
        started.running[victim].send_signal(signal.SIGKILL)
        codes = started.codes()
        assert codes == [-signal.SIGKILL if n == victim else 1 for n in range(3)]
        for number in {0, 1, 2} - {victim}:
            said = started.said(number)[-1]
            assert said.startswith(f"error: process {victim} on "), started.said(number)
            assert said.endswith("is gone; the same command goes on from here")
    assert not (workdir / "report.html").exists()
    _finished(left, workdir, *flags) if left > 1 else _alone(workdir, *flags)
    _same(workdir, wanted)


@pytest.mark.slow
def test_what_was_spread_over_processes_is_made_again_by_one(features_file, tmp_path):
    flags = [*_features(features_file, "idc"), "--config.rounds=6"]
    workdir = tmp_path / "run"
    with processes(2, workdir, *flags, "--config.devices=2") as started:
        started.wait_for("round 2")
        started.running[1].send_signal(signal.SIGKILL)
        assert started.codes() == [1, -signal.SIGKILL]
    # No process could have saved the rows by itself; the first prediction stays as it was.
    kept = read_latest(workdir / "checkpoints" / "context").tree["context"]
    assert len(kept["compared"]["embeddings"]) == 0
    assert len(kept["prior"]) == len(np.load(features_file)["features"])
    _same(_alone(workdir, *flags), _alone(tmp_path / "one", *flags))


@pytest.mark.slow
def test_a_networks_embeddings_are_spread_and_made_again(features_file, tmp_path):
    flags = [*_features(features_file, "idc"), "--config.rounds=6", "--config.idc.space=network"]
    two = "--config.devices=2"
    unstopped, stopped = _finished(2, tmp_path / "unstopped", *flags, two), tmp_path / "stopped"
    with processes(2, stopped, *flags, two) as started:
        started.wait_for("round 2")
        started.running[1].send_signal(signal.SIGKILL)
        assert started.codes() == [1, -signal.SIGKILL]
    compared = read_latest(stopped / "checkpoints" / "rounds").tree["state"]["compared"]
    assert {len(compared["embeddings"]), *map(len, compared["near"].values())} == {0}
    shutil.copytree(stopped, tmp_path / "one")
    _same(_finished(2, stopped, *flags, two), unstopped)
    # A network that is trained by two is another after a few hundred steps, and so are its groups.
    ours, theirs = (
        json.loads((folder / "result.json").read_text())
        for folder in (_alone(tmp_path / "one", *flags), unstopped)
    )
    assert ours["questions"] == theirs["questions"]
    assert min(ours["final"]["acc"], theirs["final"]["acc"]) > 0.6


def _post(address: str, **body: object) -> None:
    request = urllib.request.Request(
        f"{address}/api/answer", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.status == 200


@pytest.mark.slow
def test_people_answer_at_the_page_of_process_0(features_file, blobs, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = _features(features_file, "graph_committee")
    page = ["--config.annotator.kind=page", f"--config.annotator.port={port}"]
    workdir = tmp_path / "run"
    with processes(2, workdir, *flags, *page, "--config.devices=2") as started:
        for number in (1, 2):
            # Somebody who knows the classes; learning goes on beneath, in both processes.
            started.wait_for(f"round {number - 1},")
            for position, sample in enumerate(_asked(workdir, number)):
                _post(
                    f"http://127.0.0.1:{port}",
                    client_id=f"{number}.{position}",
                    annotator="Ann",
                    round=number,
                    position=position,
                    answer=int(blobs[1][sample]),
                    seconds=1.0,
                )
        # It would stay as long as somebody is there.
        started.wait_for("The groups stay at")
    assert json.loads((workdir / "result.json").read_text())["questions"]["asked"] == 12


def _asked(workdir: Path, number: int) -> list[int]:
    """The samples of a round, once it is open."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        with Store(workdir / "answers.db") as store:
            if (questions := store.questions(number)) is not None:
                time.sleep(1.0)  # It is asked right after it is frozen.
                return questions.indices.tolist()
        time.sleep(0.1)
    raise AssertionError(f"round {number} was not asked")


@pytest.mark.slow
def test_what_one_process_cannot_do_all_tell(features_file, blobs, tmp_path):
    other = tmp_path / "other.npz"
    np.savez(other, features=blobs[0][::2], labels=blobs[1][::2])
    for path, reason in ((other, "has other samples here than in process 0"), ("/gone", "/gone")):
        with processes(
            2,
            tmp_path / "run",
            *_features(features_file, "graph_committee"),
            process_1=f"--config.data.path={path}",
        ) as started:
            assert started.codes() == [2, 2]
            for number in range(2):
                assert reason in started.said(number)[-1], started.said(number)
                assert started.said(number)[-1].startswith("error: ")
    assert not (tmp_path / "run" / "answers.db").exists()
