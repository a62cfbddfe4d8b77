"""The Python on every page runs, from top to bottom, as it stands there.

A block that cannot run says why in its title: ``python title="not run in the tests: asks a
person"``. Names that a reader brings (``embeddings``, ``key``, ``what_is``, ``images``) are there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from idc_jax.annotate import Row, Store, label_questions

ROOT = Path(__file__).resolve().parents[2]
# tests/test_contributing.py follows CONTRIBUTING.md further than running it.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```python([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LEFT_OUT = re.compile(r' title="not run in the tests: [^"]{8,}"')
BLOCKS = {
    str(page.relative_to(ROOT)): found
    for page in PAGES
    if (found := FENCE.findall(page.read_text(encoding="utf-8")))
}


def brought() -> dict[str, Any]:
    """What a reader brings."""
    rng = np.random.default_rng(0)
    embeddings = 3 * np.eye(20, 32)[np.arange(600) % 20] + rng.normal(size=(600, 32))
    return {
        "embeddings": embeddings.astype(np.float32),
        "images": rng.integers(0, 256, (60, 8, 8), dtype=np.uint8),
        "key": jax.random.key(0),
        # Somebody who looks at a sample.
        "what_is": lambda sample: sample % 20,
    }


def leave_a_run(folder: Path) -> None:
    """The answers of a run on the digits."""
    folder.mkdir(parents=True)
    with Store(folder / "answers.db") as store:
        store.freeze(label_questions(1, np.array([5, 8]), np.ones(2)))
        store.add([Row("a", 1, 0, "Ann", 3, 2.5), Row("b", 1, 1, "Ann", 4, 1.5)])


def test_pages_have_code() -> None:
    assert {"README.md", "docs/start.md", "docs/sklearn.md", "docs/selectors.md"} <= BLOCKS.keys()


@pytest.mark.parametrize("page", BLOCKS)
def test_what_is_left_out_says_why(page: str) -> None:
    for info, _ in BLOCKS[page]:
        assert not info or LEFT_OUT.fullmatch(info), f"{page}: ```python{info}"


@pytest.mark.slow
@pytest.mark.parametrize("page", BLOCKS)
def test_every_block_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    leave_a_run(tmp_path / "runs" / "digits")
    names = brought()
    for info, code in BLOCKS[page]:
        if not info:
            exec(compile(code, f"<{page}>", "exec", dont_inherit=True), names)
