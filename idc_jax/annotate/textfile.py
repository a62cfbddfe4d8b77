"""Files that people and other programs wrote: text in whatever encoding, JSON, tables."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from idc_jax.errors import UserError

_SEPARATORS = ",;\t"
# What escapes half of a character: it needs the other half beside it, and no file holds it alone.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
      UserError: it cannot be read, or is none of these.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise UserError(
            f"cannot read {path}: not a text file in UTF-8 or UTF-16; save it as one"
        ) from error


def read_lines(path: Path) -> list[str]:
    """Its lines. Characters that only look like ends of lines are parts of them."""
    return read_text(path).replace("\r\n", "\n").split("\n")


def parse_json(text: str) -> Any:
    """What ``text`` says.

    Raises:
      UserError: it is not JSON, or holds what nobody can mean.
    """
    try:
        found = json.loads(text)
        if _HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])[1:-1]
        raise UserError(f"holds {half}, half of a character; write whole ones") from error
    except RecursionError as error:
        raise UserError("not JSON (nested too deeply)") from error
    except ValueError as error:
        raise UserError(f"not JSON ({error})") from error


def read_json(path: Path) -> Any:
    """What the JSON file ``path`` says.

    Raises:
      UserError: it cannot be read, or is not JSON.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a line of column names, separated by commas, semicolons or tabs.

    Raises:
      UserError: it cannot be read, or is not a table.
    """
    text = read_text(path)
    header = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=header.count)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise UserError(f"{path} is not a table: {error}") from error
    # Fields beyond the columns have no name, and those that a short row lacks no value.
    return [
        {name.strip(): value or "" for name, value in row.items() if isinstance(name, str)}
        for row in rows
    ]
