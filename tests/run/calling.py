"""``launch.py`` called within the tests, as often as they like."""

from __future__ import annotations

import contextlib
import io
import sys
from unittest import mock

from absl import flags
from absl.testing import flagsaver

import launch


def call(*arguments: str) -> tuple[int, str]:
    """The exit code, and what stands on stderr."""
    said, argv = io.StringIO(), ["launch.py", *arguments]
    with (
        # A config's flags are looked for there.
        mock.patch.object(sys, "argv", argv),
        flagsaver.flagsaver(),
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        flags.FLAGS.unparse_flags()
        # A config is loaded into the module of the one before.
        sys.modules.pop("config_config", None)
        return launch.main(argv), said.getvalue()
