"""Features in a table, a row for each sample: ``.csv`` with commas, semicolons or tabs."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from idc_jax.data.sources.base import Request
from idc_jax.data.sources.columns import Columns, columns_of
from idc_jax.errors import UserError

TABLE_ENDINGS = (".csv", ".tsv")
_DELIMITERS = ",;\t"
# Rows parsed together.
_ROWS = 4096


def read_table(path: Path, request: Request) -> Columns:
    """Read a table; its first line names the columns, unless all of it is numbers.

    Raises:
      UserError: it is not a table, or has no numbers.
    """
    try:
        with path.open(newline="", encoding=_encoding(path)) as file:
            line = file.readline()
            delimiter = max(_DELIMITERS, key=line.count)
            file.seek(0)
            rows = (row for row in csv.reader(file, delimiter=delimiter, strict=True) if row)
            columns, notes = _parsed(path, rows)
    except (csv.Error, UnicodeError) as error:
        raise UserError(f"{path} is not a table of text in UTF-8: {error}") from error
    return columns_of(
        columns,
        str(path),
        features_key=request.features_key,
        label_key=request.label_key,
        notes=notes,
    )


def _encoding(path: Path) -> str:
    """UTF-8, or the UTF-16 that spreadsheets write, which begins with a mark of its own."""
    with path.open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _parsed(path: Path, rows: Iterator[list[str]]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The columns by name: float64 ``[n]`` where they hold numbers, else strings ``[n]``.

    With a line on what a person should know of their names.
    """
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path} has no rows")
    headed = _is_header(first)
    names = [cell.strip() if headed else str(at) for at, cell in enumerate(first)]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise UserError(f"{path} has two columns {twice!r}: give each a name of its own")
    notes = [] if headed else ["the first line has no names of columns: they are called 0, 1, ..."]
    if headed and any(map(_is_number, first)):
        notes = ["the first line, 0, 1, ..., is taken for the names of columns"]
    columns = _Parser(path, names, 2 if headed else 1)
    block = [] if headed else [first]
    while block := block + list(islice(rows, _ROWS - len(block))):
        columns.add(block)
        block = []
    return columns.joined(), notes


def _is_header(first: list[str]) -> bool:
    """Whether the first line names the columns: in words, or in numbers from 0 on."""
    numbers = [cell for cell in first if _is_number(cell)]
    counted = [cell.strip() for cell in numbers] == [str(i) for i in range(len(numbers))]
    return not numbers or (counted and len(numbers) > 1)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


class _Parser:
    """Takes rows block by block, which as text would fill the memory."""

    def __init__(self, path: Path, names: list[str], line: int) -> None:
        self._path, self._names, self._row = path, names, line
        # Which columns are of numbers, and which of text.
        self._numeric: list[int] = []
        self._text: list[int] = []
        self._numbers: list[np.ndarray] = []
        self._strings: list[np.ndarray] = []

    def add(self, block: list[list[str]]) -> None:
        """Parse some rows; the first of them tell which columns are of numbers."""
        for at, row in enumerate(block):
            if len(row) != len(self._names):
                raise UserError(
                    f"{self._path}: row {self._row + at} has {len(row)} cells, not "
                    f"{len(self._names)} as the first"
                )
        if not self._numbers:
            every = range(len(self._names))
            self._numeric = [at for at in every if any(_is_number(row[at]) for row in block)]
            self._text = [at for at in every if at not in set(self._numeric)]
        self._numbers.append(self._parsed([[row[at] for at in self._numeric] for row in block]))
        strings = [[row[at].strip() for at in self._text] for row in block]
        self._strings.append(np.asarray(strings, str).reshape(len(block), len(self._text)))
        self._row += len(block)

    def joined(self) -> dict[str, np.ndarray]:
        """All columns; an error where there are no rows."""
        if not self._numbers:
            raise UserError(f"{self._path} names {len(self._names)} columns and has no rows")
        columns = dict(zip(self._numeric, np.concatenate(self._numbers).T, strict=True))
        columns |= zip(self._text, np.concatenate(self._strings).T, strict=True)
        return {name: columns[at] for at, name in enumerate(self._names)}

    def _parsed(self, cells: list[list[str]]) -> np.ndarray:
        with suppress(ValueError):
            return np.asarray(cells, np.float64).reshape(len(cells), len(self._numeric))
        filled = [[cell if cell.strip() else "nan" for cell in row] for row in cells]
        try:
            return np.asarray(filled, np.float64)
        except ValueError:
            places = ((i, j) for i, row in enumerate(filled) for j, _ in enumerate(row))
            row, at = next((i, j) for i, j in places if not _is_number(filled[i][j]))
            raise UserError(
                f"{self._path}: row {self._row + row}, column "
                f"{self._names[self._numeric[at]]!r} is {filled[row][at]!r}, which is not a number "
                "as others of its column are"
            ) from None
