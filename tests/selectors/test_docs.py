"""The example on the selectors' page runs, and needs JAX and NumPy alone."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = (
    "flax",
    "tensorflow",
    "tensorflow_datasets",
    "matplotlib",
    "ml_collections",
    "starlette",
)


def test_the_example_runs_on_jax_alone():
    page = (ROOT / "docs" / "selectors.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    # As if it were not installed: the names of shapes stand for plain arrays then.
    code = f"import sys\nsys.modules['jaxtyping'] = None\n{code}"
    code += "\nimport typing, jax\nfrom idc_jax.ops import kmeans\n"
    code += "assert typing.get_type_hints(kmeans)['x'] is jax.Array\n"
    code += f"print([name for name in {FORBIDDEN} if name in sys.modules])\n"
    code += "assert len(set(herded.indices.tolist())) == 20\n"
    code += "assert not set(more.indices.tolist()) & set(picks.indices.tolist())\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
