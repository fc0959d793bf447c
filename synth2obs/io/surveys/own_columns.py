"""Columns of a table of pixels, whatever file they stand in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import first_bytes
from synth2obs.io.surveys.cards import Headers, optional_number
from synth2obs.io.surveys.fits_file import FitsFile, open_fits, refuse_unreadable
from synth2obs.io.surveys.own_wcs import WCS, Axis, wcs_axis
from synth2obs.io.surveys.unknown import WORDS
from synth2obs.io.text_table import read_text_table

Array = NDArray[np.floating[Any]]

FITS_START = b"SIMPLE  ="


@dataclass(frozen=True)
class Columns:
    """Columns of equal length, and the cards of the headers.

    Args:
        path: Their file.
        arrays: By name, shape (P,) each; NaN where the file has no value.
        cards: By name; later headers do not hide earlier ones.
        units: Of columns and cards, as the file states them.
        axis: Wavelengths by the header's cards, for the name `WCS`.
    """

    path: Path
    arrays: Mapping[str, Array]
    cards: Mapping[str, Any] | Headers
    units: Mapping[str, str] = field(default_factory=dict)
    axis: Axis | None = None

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


def is_fits(path: Path) -> bool:
    """Whether a file is FITS, gzipped or not.

    Raises:
        DataError: If it cannot be read.
    """
    refuse_unreadable(path)
    return first_bytes(path).startswith(FITS_START)


def read_columns(path: Path, hdu: int | str, names: Sequence[str]) -> Columns:
    """Named columns of a FITS file (table, or images of one dimension) or of a text table.

    Raises:
        DataError: If the file cannot be read, lacks a column, or columns differ in length.
    """
    columns = _from_fits(path, hdu, names) if is_fits(path) else _from_text(path, names)
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
        found = {name: _fits_column(file, hdu, name) for name in names if name != WCS}
        units = {name: unit for name, (_, unit) in found.items()}
        arrays, axis = {name: values for name, (values, _) in found.items()}, None
        if WCS in names:
            axis = _axis(file, arrays)
            arrays[WCS], units[WCS] = axis.values, axis.unit
        return Columns(path, arrays, Headers([one.header for one in file.hdus], path), units, axis)


def _axis(file: FitsFile, arrays: Mapping[str, Array]) -> Axis:
    """Wavelengths by the header of the first image that is asked for."""
    image = next((name for name in arrays if name.upper() in file.names), None)
    if image is None:
        remedy = f"name an image as flux; there are {', '.join(file.names)}"
        raise DataError("is of no image", path=file.path, field=WCS, remedy=remedy)
    return wcs_axis(file.cards(image), len(arrays[image]))


def _fits_column(file: FitsFile, hdu: int | str, name: str) -> tuple[Array, str]:
    """A column whose rows are pixels, a cell that holds all pixels, or an image HDU of that name; and its unit."""
    known = hdu < len(file) if isinstance(hdu, int) else hdu.upper() in file.names
    data = file.hdus[hdu].data if known else None
    if data is not None and data.dtype.names is not None and name in data.dtype.names:
        values = floats(table_column(data, name))
        if values.ndim == 2 and len(values) > 1:
            found, remedy = f"has {len(values)} rows of arrays", 'write rows = "stars" for a row per star'
            raise DataError(found, path=file.path, field=name, remedy=remedy)
        return values[0] if values.ndim == 2 else values, str(data.columns[name].unit or "")
    if name.upper() in file.names:
        return _image(file, name), str(file.cards(name).get("BUNIT") or "")
    raise _no_fits_column(file, name, data)


def _image(file: FitsFile, name: str) -> Array:
    """An image of one dimension, or whose others have the length 1."""
    data = file.hdus[name].data
    flat = data is not None and data.dtype.names is None and data.ndim > 1 and data.size == data.shape[-1]
    return np.asarray(data, np.float64).reshape(-1) if flat else file.numbers(name, 1)


def table_column(data: Any, name: str) -> Any:
    """A column of a FITS table; masked where an integer is TNULL, or a cell of an ASCII table is blank."""
    values, null = data[name], data.columns[name].null
    if values.dtype.kind == "O":
        return _ragged(values, null)
    raw = data.view(np.ndarray)[name]
    if raw.dtype.kind == "S" and values.dtype.kind != "S" and np.asarray(values).dtype.kind in "fiu":
        cells = np.char.strip(raw)
        blank = (cells == b"") | (cells == str(null).strip().encode())
    elif null is not None and raw.dtype.kind in "iu":
        blank = raw == np.asarray(null).astype(raw.dtype)
    else:
        return values
    return np.ma.masked_array(np.asarray(values), blank)


def _ragged(values: Any, null: Any) -> NDArray[Any]:
    """Arrays of their own lengths, masked where an integer is TNULL."""
    result = np.empty(len(values), object)
    for row, own in enumerate(values):
        integers = null is not None and own.dtype.kind in "iu"
        result[row] = np.ma.masked_equal(own, null) if integers else own
    return result


def floats(values: Any) -> NDArray[np.float64]:
    """Numbers as float64; what is masked is NaN."""
    if isinstance(values, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))
    return np.asarray(values, dtype=np.float64)


def _no_fits_column(file: FitsFile, name: str, data: Any) -> DataError:
    columns = data.dtype.names or () if data is not None else ()
    error = no_column(file.path, name, [*columns, *file.names])
    if columns or not any(Headers([one.header], file.path).get("CRVAL1") is not None for one in file.hdus):
        return error
    remedy = f'{error.remedy}; for wavelengths of the header write wavelength = "{WCS}"'
    return DataError("no such column", path=file.path, field=name, remedy=remedy)


def _from_text(path: Path, names: Sequence[str]) -> Columns:
    table = read_text_table(path)
    for name in names:
        if name not in table.colnames:
            raise no_column(path, name, table.colnames)
    units = {name: str(table[name].unit or "") for name in names}
    return Columns(path, {n: numbers(table[n], path, n) for n in names}, dict(table.meta), units)


def numbers(column: Any, path: Path, name: str) -> NDArray[np.float64]:
    """A column of a table as float64; what is blank or says that it is none is NaN.

    Raises:
        DataError: If it holds something that is no number.
    """
    try:
        if column.dtype.kind in "UO":
            return np.array([_cell(value) for value in column], dtype=np.float64)
        return floats(column)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"holds something that is no number ({error})", path=path, field=name, remedy="check the column"
        ) from error


def _cell(value: Any) -> float:
    if value is np.ma.masked or value is None or str(value).strip().lower() in WORDS:
        return float("nan")
    return float(str(value))


def no_column(path: Path, name: str, there: Sequence[str]) -> DataError:
    """A refusal with the names that there are."""
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
            with np.errstate(over="ignore"):
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
