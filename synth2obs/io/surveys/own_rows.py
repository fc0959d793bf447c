"""Stars of a described survey from a table with a row for each of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.own_columns import Columns, floats
from synth2obs.io.surveys.star_tables import open_star_table
from synth2obs.io.surveys.star_tables.contract import Block, StarTable, no_column

EXACT = 2.0**53
"""Whole numbers from which a floating-point column holds no names any more."""


def star_rows(
    path: Path, hdu: int | str, pixels: Sequence[str], stars: Sequence[str], flux: str
) -> Iterator[tuple[int, Columns]]:
    """Number of each row, and its columns: pixels as arrays, facts of the star as cards.

    Args:
        path: FITS, HDF5 or Parquet.
        hdu: As `open_star_table` says.
        pixels: Names of what a spectrum is made of: a row per star, or one vector for all.
        stars: Names of what is one value per star.
        flux: The one of ``pixels`` that says how many stars there are.

    Raises:
        DataError: If the table cannot be read, is empty, lacks a column, or columns differ in length.
    """
    with open_star_table(path, hdu) as table:
        for name in (*pixels, *stars):
            if name not in table.shapes:
                raise no_column(path, name, list(table.shapes))
        count = _count(table, flux)
        common = {name: table.whole(name).reshape(-1) for name in pixels if _is_common(table, name, count)}
        own = [name for name in pixels if name not in common]
        _refuse_shapes(table, own, stars, count)
        units = {name: table.unit(name) for name in (*pixels, *stars)}
        numbers = iter(range(count))
        for block in table.blocks([*own, *stars]):
            for row in range(len(block[flux])):
                yield next(numbers), replace(_columns(path, block, row, common, own, stars), units=units)


def _count(table: StarTable, flux: str) -> int:
    shape = table.shapes[flux]
    if len(shape) != 2:
        raise DataError(
            f"has shape {shape}, not (stars, pixels)",
            path=table.path,
            field=flux,
            remedy='name a column of arrays; for a file of one star leave rows = "stars" out',
        )
    if not shape[0]:
        raise DataError("the table has no rows", path=table.path, field=flux, remedy="give at least one star")
    return shape[0]


def _is_common(table: StarTable, name: str, count: int) -> bool:
    """Whether an array is a vector that all stars share; a lone row of several stars' table is one, too."""
    shape = table.shapes[name]
    return len(shape) == 1 or (shape[0] == 1 and count > 1 and len(shape) == 2)


def _refuse_shapes(table: StarTable, own: Sequence[str], stars: Sequence[str], count: int) -> None:
    for names, dimensions in ((own, 2), (stars, 1)):
        for name in names:
            shape = table.shapes[name]
            if shape[0] != count:
                found, remedy = f"has {shape[0]} rows, the flux has {count}", "give a row for every star"
                raise DataError(found, path=table.path, field=name, remedy=remedy)
            if len(shape) != dimensions:
                what = "an array" if dimensions == 2 else "one value"
                found = f"has shape {shape}"
                raise DataError(
                    found, path=table.path, field=name, remedy=f"name a column of {what} per star"
                )


def _columns(
    path: Path,
    block: Block,
    row: int,
    common: Mapping[str, NDArray[Any]],
    own: Sequence[str],
    stars: Sequence[str],
) -> Columns:
    spectrum = {name: floats(block[name][row]) for name in own}
    shared = {name: floats(values) for name, values in common.items()}
    return Columns(path, {**shared, **spectrum}, {name: plain(block[name][row]) for name in stars})


def plain(value: Any) -> str | int | float | None:
    """A cell as text or number; None for what is blank, masked or NaN."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if isinstance(value, (str, np.str_)):
        return str(value).strip() or None
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return None if np.isnan(value) else float(value)
    return str(value)


def star_name(value: str | int | float | None) -> str:
    """The name that a cell gives a star; empty if it gives none.

    Raises:
        DataError: For a number that is not whole, or too large to be exact.
    """
    if isinstance(value, float):
        if not (value.is_integer() and abs(value) < EXACT):
            raise DataError(f"{value!r} is no name", field="id", remedy="store ids as text or integers")
        value = int(value)
    return "" if value is None else str(value)
