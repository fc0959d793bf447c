"""Columns of a table of pixels, whatever file they stand in."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.cards import optional_number
from synth2obs.io.surveys.fits_file import FitsFile, open_fits, read_bytes

Array = NDArray[np.floating[Any]]

FITS_STARTS = (b"SIMPLE  =", b"\x1f\x8b")
TEXT_FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}


@dataclass(frozen=True)
class Columns:
    """Columns of equal length, and the cards of the headers.

    Args:
        path: Their file.
        arrays: By name, shape (P,) each.
        cards: By name; later headers do not hide earlier ones.
    """

    path: Path
    arrays: Mapping[str, Array]
    cards: Mapping[str, Any]

    def __getitem__(self, name: str) -> Array:
        """A column."""
        return self.arrays[name]

    def card(self, name: str) -> Any:
        """Value of a card, or None."""
        value = self.cards.get(name)
        return value.strip() if isinstance(value, str) else value

    def number(self, name: str) -> float:
        """A card as a number, or NaN."""
        return optional_number(self.card(name))


def read_columns(path: Path, hdu: int | str, names: Sequence[str]) -> Columns:
    """Named columns of a FITS file (table, or images of one dimension) or of a text table.

    Raises:
        DataError: If the file cannot be read, lacks a column, or columns differ in length.
    """
    content = read_bytes(path)
    columns = _from_fits(path, hdu, names) if content.startswith(FITS_STARTS) else _from_text(path, names)
    refuse_lengths(columns, names)
    return columns


def refuse_lengths(columns: Columns, names: Sequence[str]) -> None:
    """Refuse columns of one spectrum that differ in length.

    Raises:
        DataError: Naming the lengths.
    """
    lengths = {name: len(columns[name]) for name in names}
    if len(set(lengths.values())) != 1 or min(lengths.values()) < 2:
        found = f"columns have lengths {lengths}"
        raise DataError(found, path=columns.path, field="columns", remedy="give one value a pixel")


def _from_fits(path: Path, hdu: int | str, names: Sequence[str]) -> Columns:
    with open_fits(path) as file:
        cards: dict[str, Any] = {}
        for one in file.hdus:
            cards |= {card: one.header[card] for card in one.header if card and card not in cards}
        return Columns(path, {name: _fits_column(file, hdu, name) for name in names}, cards)


def _fits_column(file: FitsFile, hdu: int | str, name: str) -> Array:
    """A column whose rows are pixels, a cell that holds all pixels, or an image HDU of that name."""
    known = hdu < len(file) if isinstance(hdu, int) else hdu.upper() in file.names
    data = file.hdus[hdu].data if known else None
    if data is not None and data.dtype.names is not None and name in data.dtype.names:
        values = np.asarray(data[name], dtype=np.float64)
        if values.ndim == 2 and len(values) > 1:
            found, remedy = f"has {len(values)} rows of arrays", 'write rows = "stars" for a row per star'
            raise DataError(found, path=file.path, field=name, remedy=remedy)
        return values[0] if values.ndim == 2 else values
    if name.upper() in file.names:
        return file.numbers(name, 1)
    raise _no_column(file.path, name, [*(data.dtype.names or () if data is not None else ()), *file.names])


def _from_text(path: Path, names: Sequence[str]) -> Columns:
    from astropy.table import Table

    kind = TEXT_FORMATS.get(path.suffix.lower(), "ascii")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = Table.read(path, format=kind)
    except Exception as error:
        raise DataError(
            f"is neither FITS nor a text table ({type(error).__name__})", path=path, remedy="check the file"
        ) from error
    for name in names:
        if name not in table.colnames:
            raise _no_column(path, name, table.colnames)
    return Columns(path, {name: numbers(table[name], path, name) for name in names}, dict(table.meta))


def numbers(column: Any, path: Path, name: str) -> NDArray[np.float64]:
    """A column of a table as float64; what is blank is NaN.

    Raises:
        DataError: If it holds something that is no number.
    """
    filled = column.filled(np.nan) if hasattr(column, "filled") and column.dtype.kind == "f" else column
    try:
        return np.asarray(filled, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            "holds something that is no number", path=path, field=name, remedy="check the column"
        ) from error


def _no_column(path: Path, name: str, there: Sequence[str]) -> DataError:
    return DataError(
        "no such column", path=path, field=name, remedy=f"there are {', '.join(n for n in there if n)}"
    )


def angstroms(values: Array, unit: str, path: Path) -> Array:
    """Wavelengths in Å.

    Raises:
        DataError: If the unit is no length, or the wavelengths are not within 2000 Å to 100 µm.
    """
    from astropy import units

    try:
        if unit.startswith("log10("):
            values, unit = 10.0**values, unit.removeprefix("log10(").removesuffix(")")
        wavelength = np.asarray(values * units.Unit(unit).to("Angstrom"), dtype=np.float64)
    except (ValueError, TypeError, units.UnitConversionError) as error:
        raise DataError(
            f"got {unit!r}, which is no length", path=path, field="unit", remedy="use Angstrom, nm or um"
        ) from error
    if not (np.isfinite(wavelength).all() and wavelength.min() >= 2000.0 and wavelength.max() <= 1e6):
        raise DataError(
            f"wavelengths run from {wavelength.min():g} to {wavelength.max():g} Å",
            path=path,
            field="wavelength",
            remedy="check the unit; every pixel needs a wavelength, bad ones too",
        )
    return wavelength
