"""What README.md shows in Python runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import numpy as np
import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 2


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.split("\n")[0])
def test_every_snippet_runs(snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    embeddings = 3 * np.eye(20, 32)[np.arange(600) % 20] + rng.normal(size=(600, 32))
    names = {"embeddings": embeddings.astype(np.float32), "key": jax.random.key(0)}
    exec(compile(snippet, "README.md", "exec"), names)
