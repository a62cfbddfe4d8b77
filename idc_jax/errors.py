"""The one error that a user is meant to read, and the checks that most often end in it."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable

# Half a character: how Python holds the bytes of a file's name that are not UTF-8.
_HALVES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class UserError(ValueError):
    """Bad input: one line that says what came and what to give instead.

    The command line prints the message alone and exits with code 2; a program that imports
    the library gets an ordinary ``ValueError``.
    """

    def __init__(self, message: str) -> None:
        """Say ``message``, on one line whatever is quoted in it."""
        super().__init__(printable(message))


def printable(text: str) -> str:
    """``text`` on one line, as every output takes it.

    Line ends and other control characters are escaped, as in ``"\\n"``; what is no Unicode, as in
    the name of a file from an older system, becomes the replacement character.
    """
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], representable(text))


def representable(text: str) -> str:
    """``text`` with the replacement character for what UTF-8 cannot hold."""
    return _HALVES.sub("\ufffd", text)


def of_the_system(error: OSError) -> str:
    """What the system refused, and about which file, on one line."""
    about = f"{error.filename}: " if error.filename else ""
    return printable(f"{about}{error.strerror or error}")


def show_anything() -> None:
    """Let no character that the terminal does not know stop a program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def check_one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse a ``value`` that is not among the ``known`` ones.

    Raises:
      UserError: naming the option, its value and the choices.
    """
    known = tuple(known)
    if value not in known:
        raise UserError(f"{name} is {value!r}; {choose(known)}")


def choose(known: Iterable[str]) -> str:
    """What to say of a choice among the ``known`` ones."""
    known = tuple(known)
    return f"use {known[0]}" if len(known) == 1 else f"choose one of {', '.join(known)}"


def check_at_least(name: str, value: float, least: float, why: str = "") -> None:
    """Refuse a ``value`` below ``least``, saying ``why`` where that is not plain.

    Raises:
      UserError: naming the option, its value and the bound.
    """
    if not value >= least:
        reason = f": {why}" if why else ""
        raise UserError(f"{name} is {value}; it must be at least {least}{reason}")


def check_above(name: str, value: float, bound: float) -> None:
    """Refuse a ``value`` that is not above ``bound``.

    Raises:
      UserError: naming the option, its value and the bound.
    """
    if not value > bound:
        raise UserError(f"{name} is {value}; it must be above {bound}")


def check_within(name: str, value: float, low: float, high: float, why: str = "") -> None:
    """Refuse a ``value`` outside ``low`` to ``high``, saying ``why`` where that is not plain.

    Raises:
      UserError: naming the option, its value and both bounds.
    """
    if not low <= value <= high:
        reason = f" ({why})" if why else ""
        raise UserError(f"{name} is {value}; it must be from {low} to {high:,}{reason}")
