"""What all tests share: compiled programs kept between processes and runs."""

from pathlib import Path

import jax

_CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"

jax.config.update("jax_compilation_cache_dir", str(_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
