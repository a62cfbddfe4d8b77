"""The one error that a user is meant to read, and the checks that most often end in it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input: one line that says what came and what would do.

    The command line prints the message alone and exits with code 2; a program that imports
    the library gets an ordinary ``ValueError``.
    """


def show_any_text() -> None:
    """Let the terminal show a mark for what it cannot, such as a file's name in no encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def check_one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse a ``value`` that is not among the ``known`` ones.

    Raises:
      UserError: naming the option, what it is and what would do.
    """
    known = tuple(known)
    if value not in known:
        raise UserError(f"{name} is {value!r}; one of {', '.join(known)} would do")


def check_at_least(name: str, value: float, least: float, why: str = "") -> None:
    """Refuse a ``value`` below ``least``, saying ``why`` where that is not plain.

    Raises:
      UserError: naming the option, what it is and what would do.
    """
    if not value >= least:
        reason = f": {why}" if why else ""
        raise UserError(f"{name} is {value}; {least} or more would do{reason}")
