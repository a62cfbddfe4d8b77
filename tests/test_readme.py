"""What README.md and docs/sklearn.md show in Python runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/sklearn.md")
SNIPPETS = [
    (page, snippet)
    for page in PAGES
    for snippet in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
]


def test_there_are_snippets() -> None:
    assert {page for page, _ in SNIPPETS} == set(PAGES)


@pytest.mark.parametrize(("page", "snippet"), SNIPPETS, ids=lambda text: text.split("\n")[0])
def test_every_snippet_runs(
    page: str, snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    embeddings = 3 * np.eye(20, 32)[np.arange(600) % 20] + rng.normal(size=(600, 32))
    names: dict[str, Any] = {"embeddings": embeddings.astype(np.float32), "key": jax.random.key(0)}
    # Somebody who looks at a sample.
    names["what_is"] = lambda sample: sample % 20
    exec(compile(snippet, page, "exec"), names)
