"""Rows of a LAMOST low-resolution file, named as the file names them: releases write the same survey in other rows."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.cards import Cards
from synth2obs.io.surveys.fits_file import FitsFile, floating

Array = NDArray[np.floating[Any]]

ROWS = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK")
"""Rows of an image that names none, and columns of the table COADD."""

NEEDED = frozenset(ROWS) - {"WAVELENGTH"}
"""The earliest layout has the spectrum less its continuum in the place of wavelengths, which its cards give."""

OTHER_NAMES = {"INVERSE": "IVAR"}

LINES = ((440, 460), (650, 669), (686, 705), (1179, 1196), (1452, 1467), (2485, 2497))
"""Pixels of the earliest layout, the last excluded, about Hδ, the G band, Hγ, Hβ, Mg b and Hα. In all of 101 files the
inverse variance is a tenth of their neighbours' there, whatever the star and its velocity."""

LOWERED, EDGE = 10.0, 4
"""That factor, and pixels on either side of an end by which it is recognised."""

NEAR = (0.6, 1.6)
"""Range of the factor that is found over `LOWERED`: medians of 4 pixels are good to 15 %."""


def read_rows(file: FitsFile) -> dict[str, Array]:
    """Flux, inverse variance, masks and, if the file has them, wavelengths, shape (P,) each.

    A table COADD of one row names its columns, an image names its rows in the card EXTEN0, or in ARRAY1 to ARRAY5.

    Raises:
        DataError: If the file is neither, or the rows that it names are not those of a spectrum.
    """
    return _table(file) or _image(file)


def _table(file: FitsFile) -> dict[str, Array]:
    """Columns of the table COADD; nothing if there is no such table of one row."""
    if "COADD" not in file.names:
        return {}
    table = file.table("COADD")
    names = table.dtype.names
    if len(table) != 1 or not set(ROWS) <= set(names) or np.ndim(table["FLUX"]) != 2:
        return {}
    return {name: floating(table[name][0], file.path, name) for name in ROWS}


def _image(file: FitsFile) -> dict[str, Array]:
    data = file.hdus[0].data
    if data is None or data.dtype.names is not None or data.ndim != 2 or len(data) != len(ROWS):
        raise DataError(
            "has neither an image of 5 rows nor a table COADD of one row",
            path=file.path,
            remedy="use lamost_mrs for medium-resolution files",
        )
    names = _names(file)
    return {name: row for name, row in zip(names, file.image(0, 2), strict=True) if name in ROWS}


def _names(file: FitsFile) -> list[str]:
    """Names of the rows of the image, in order."""
    said = _said(file.cards())
    if not said:
        return list(ROWS)
    words = re.findall(r"\w+", str(said).upper())
    names = [OTHER_NAMES.get(word, word) for word in words]
    if len(set(names)) != len(ROWS) or len(names) != len(ROWS) or not set(names) >= NEEDED:
        raise DataError(
            f"names the rows {said!r}, of which 5 must be told apart and Flux, Inverse, Andmask and Ormask be there",
            path=file.path,
            field="EXTEN0",
            remedy="check that it is a LAMOST LRS spectrum",
        )
    return names


def _said(cards: Cards) -> str:
    """Names of the rows as the header has them: in one card, or each in its own; nothing if it has none."""
    each = [str(cards.get(f"ARRAY{number}") or "") for number in range(1, len(ROWS) + 1)]
    return str(cards.get("EXTEN0") or " ".join(filter(None, each)))


def raised(ivar: Array) -> Array:
    """Inverse variance of the earliest layout without its steps about strong lines, shape (P,).

    Pixels scatter there as their neighbours do, not three times as much. A line whose ends show no such step is left
    as it is.
    """
    found = ivar.copy()
    for first, last in LINES:
        if _lowered(ivar[first - EDGE : first + EDGE]) and _lowered(ivar[last - EDGE : last + EDGE][::-1]):
            found[first:last] *= LOWERED
    return found


def _lowered(across: Array) -> bool:
    """Whether inverse variances fall by the factor in the middle, from the left to the right."""
    left, right = (part[part > 0] for part in (across[:EDGE], across[EDGE:]))
    if not (len(left) and len(right)):
        return False
    low, high = NEAR
    return bool(low < np.median(left) / np.median(right) / LOWERED < high)
