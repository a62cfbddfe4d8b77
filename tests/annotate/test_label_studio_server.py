"""Against a real Label Studio: what is exported to it, and what is read back.

It is a program of its own with many dependencies, so it needs an environment of its own:

    python -m venv LS && LS/bin/pip install label-studio
    LABEL_STUDIO=LS/bin/label-studio python -m pytest tests/annotate/test_label_studio_server.py
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from idc_jax.annotate import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    Store,
    label_questions,
    pair_questions,
)
from idc_jax.annotate.exchange import import_label_studio
from idc_jax.annotate.label_studio import labelling_config, tasks_of
from idc_jax.annotate.questions import Questions, plain_roles
from idc_jax.export import Request, from_files, make_table
from idc_jax.export.label_studio import write_label_studio

TOKEN = "b7a1f2c3d4e5f60718293a4b5c6d7e8f90a1b2c3"
NAMES = ("red & round", 'the "green" ones', "blå")
PATIENCE = 180
PROGRAM = os.environ.get("LABEL_STUDIO") or shutil.which("label-studio")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROGRAM, reason="no label-studio here, nor does LABEL_STUDIO name one"),
]


class Server:
    """A running Label Studio."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, body: Any = None) -> bytes:
        """The response to a GET, or to a POST of ``body``."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.url + path, data, headers), timeout=60
            ) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()[:500]}") from error

    def json(self, path: str, body: Any = None) -> Any:
        return json.loads(self.ask(path, body))

    def project(self, title: str, config: str, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Make a project with ``tasks`` and give them as it has them now."""
        self.id = self.json("/api/projects/", {"title": title, "label_config": config})["id"]
        told = self.json(f"/api/projects/{self.id}/import?return_task_ids=true", tasks)
        assert told["task_count"] == len(tasks)
        return [self.json(f"/api/tasks/{task}/") for task in told["task_ids"]]

    def export(self) -> list[dict[str, Any]]:
        return self.json(f"/api/projects/{self.id}/export?exportType=JSON&download_all_tasks=true")


@contextlib.contextmanager
def serving(command: str, home: Path, root: Path) -> Iterator[Server]:
    """Start Label Studio with its data in ``home`` and local files below ``root``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(root),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
    }
    person = ["--username=a@example.com", "--password=round-trip-1", f"--user-token={TOKEN}"]
    arguments = ["--no-browser", f"--data-dir={home}", f"--port={port}"]
    arguments += ["--internal-host=127.0.0.1", "--enable-legacy-api-token", *person]
    with (home / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [command, "start", *arguments], env=os.environ | settings, stdout=log, stderr=log
        )
        try:
            yield wait(Server(f"http://127.0.0.1:{port}"), process, home / "log.txt")
        finally:
            process.terminate()
            process.wait(30)


def wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> Server:
    for _ in range(PATIENCE):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            urllib.request.urlopen(server.url + "/health", timeout=5).read()
            return server
        time.sleep(1)
    raise AssertionError(f"Label Studio did not start: {log.read_text()[-2000:]}")


def make_images(folder: Path) -> list[str]:
    """Nine plain images, in folders and with names that need escaping."""
    paths = []
    for sample in range(9):
        path = folder / f"part {sample % 2}" / f"ø #{sample} & 50%.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 20 * sample, np.uint8)).save(path)
        paths.append(str(path))
    return paths


def ask_all(paths: list[str]) -> list[tuple[Questions, list[str], list[int]]]:
    """Questions of the three kinds with what is answered, and as what it has to come back."""
    values = np.ones(3)
    cluster = label_questions(1, np.arange(3), values)._replace(
        kind="cluster",
        candidates=np.array([[0, 1], [1, 2], [2, 0]], np.int32),
        exemplars=np.array([3, 4, 5], np.int32),
        members=np.zeros((3, 0), np.int32),
        roles=plain_roles(3),
    )
    pairs = pair_questions(2, np.array([[0, 1], [2, 3], [4, 5]]), values)
    return [
        (cluster, ["1", "none", "skip"], [1, NONE_OF_THESE, SKIP]),
        (pairs, ["same", "different", "skip"], [SAME, DIFFERENT, SKIP]),
        (label_questions(3, np.array([6, 7, 8]), values), ["blå", "skip", "blå"], [0, SKIP, 0]),
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def paths(root: Path) -> list[str]:
    return make_images(root / "photos")


@pytest.fixture(scope="module")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert PROGRAM
    with serving(PROGRAM, tmp_path_factory.mktemp("home"), root) as found:
        yield found


def test_predictions_are_imported_shown_corrected_and_exported(
    server: Server, paths: list[str], root: Path
) -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), len(paths))
    table = make_table(probabilities, paths=paths, names=NAMES)
    out = root / "export"
    write_label_studio(Request(table, out, from_files(paths), root=root, made_by="idc_jax idc"))
    sent = json.loads((out / "tasks.json").read_text())
    tasks = server.project("predictions", (out / "config.xml").read_text(), sent)
    images = str(Path(paths[0]).parents[1])
    storage = {"project": server.id, "path": images, "use_blob_urls": True}
    server.json("/api/storages/localfiles", storage)
    for task, row in zip(tasks, table.rows(), strict=True):
        (prediction,) = task["predictions"]
        assert prediction["result"][0]["value"]["choices"] == [row.name], prediction
        assert abs(prediction["score"] - row.confidence) < 1e-6, prediction
        assert prediction["model_version"] == "idc_jax idc", prediction
        assert server.ask(task["data"]["image"]) == Path(row.path).read_bytes()
    assert len(tasks) == len(paths)
    for task in tasks:
        result = task["predictions"][0]["result"]
        if task is tasks[0]:
            result[0]["value"]["choices"] = [NAMES[2]]
        server.json(f"/api/tasks/{task['id']}/annotations/", {"result": result})
    came = {
        task["data"]["path"]: task["annotations"][0]["result"][0]["value"]["choices"][0]
        for task in server.export()
    }
    wanted = [row.name for row in table.rows()]
    assert [came[path] for path in paths] == [NAMES[2], *wanted[1:]]


def test_questions_are_imported_answered_exported_and_read_into_a_store(
    server: Server, paths: list[str], tmp_path: Path
) -> None:
    with Store(tmp_path / "answers.db") as store:
        for questions, answers, wanted in ask_all(paths):
            kind = questions.kind
            store.freeze(questions)
            config = labelling_config(kind)
            tasks = server.project(kind, config, tasks_of(questions, paths))
            for task, answer in zip(tasks, answers, strict=True):
                text = {"text": [answer]} if kind == "label" else {"choices": [answer]}
                control = "textarea" if kind == "label" else "choices"
                result = {"from_name": "answer", "to_name": "image", "type": control, "value": text}
                server.json(f"/api/tasks/{task['id']}/annotations/", {"result": [result]})
            exported = tmp_path / f"{kind}.json"
            exported.write_text(json.dumps(server.export()))
            assert import_label_studio(store, exported, max_groups=5) == len(tasks)
            assert [row.choice for row in store.live(questions.round)] == wanted
        assert [group.name for group in store.groups()] == ["blå"]
