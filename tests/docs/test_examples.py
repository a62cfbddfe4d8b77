"""The examples run as they are, and print what they promise."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
PROMPT = "What is this? (Enter: cannot say) "
INK = " .:-=+*%#"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}

pytestmark = pytest.mark.slow


def printed(name: str, folder: Path) -> str:
    """What the example ``name`` prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(line: str, text: str) -> list[float]:
    """What stands where ``line`` has ``#``, in every line that is like it."""
    pattern = re.escape(line).replace(r"\#", r"([\d.]+)")
    return [float(number) for number in re.findall(pattern, text)]


def test_all_are_tried() -> None:
    names = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    text = Path(__file__).read_text()
    assert all(f'"{name}"' in text for name in names)
    for script in SCRIPTS:
        assert ast.get_docstring(ast.parse(script.read_text())), script.name


def test_selecting(tmp_path: Path) -> None:
    text = printed("select_from_embeddings.py", tmp_path)
    (random,) = numbers("random: accuracy # with 50 labels", text)
    (idc,) = numbers("idc: accuracy # with 50 labels", text)
    assert idc > random + 0.03


def test_training(tmp_path: Path) -> None:
    text = printed("train_with_losses.py", tmp_path)
    (alone,) = numbers("labels alone: accuracy #", text)
    (both,) = numbers("labels and pairs: accuracy #", text)
    assert both > alone + 0.05


def test_a_new_selector(tmp_path: Path) -> None:
    text = printed("new_selector.py", tmp_path)
    (random,) = numbers("random: the first 10 picks are of # of 10 classes", text)
    (dense,) = numbers("dense: the first 10 picks are of # of 10 classes", text)
    assert dense > random


def test_a_person_in_the_terminal(tmp_path: Path) -> None:
    digits = load_digits()
    seen = {
        "".join("".join(2 * INK[int(level) // 2] for level in row) + "\n" for row in image): label
        for image, label in zip(digits.images[:400], digits.target[:400], strict=True)
    }
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / "ask_in_terminal.py")],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as shown:
        text, answered = "", 0
        while character := shown.stdout.read(1):
            text += character
            if text.endswith(PROMPT):
                # Looks at the picture above the question, and types what it is.
                picture = "".join(text.removesuffix(PROMPT).splitlines(keepends=True)[-8:])
                shown.stdin.write(f"{seen[picture]}\n")
                shown.stdin.flush()
                text, answered = "", answered + 1
    assert (shown.returncode, answered) == (0, 20)
    (right,) = numbers("accuracy against the digits' own labels: #", text)
    assert right > 0.85


def test_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the notebook was not run: '.[dev]'")
    nbclient = pytest.importorskip("nbclient", reason="the notebook was not run: '.[dev]'")
    pytest.importorskip("anywidget", reason="the notebook was not run: '.[widget]'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    # The kernel of this environment, wherever others are installed.
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "".join(output.get("text", "") for output in outputs)
    (before,) = numbers("no answers: accuracy #\n", text)
    after = numbers("\naccuracy #. Expected", "\n" + text)
    assert len(after) == 3
    assert after[-1] > before
    assert any("widget-view+json" in str(output.get("data", "")) for output in outputs)
