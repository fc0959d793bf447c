"""Results as astropy tables, and tables on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.core.errors import OutputError
from synth2obs.core.files import atomic_path
from synth2obs.core.labels import unit_of


def label_table(
    columns: Mapping[str, Any],
    values: Mapping[str, np.ndarray],
    errors: Mapping[str, np.ndarray],
    flags: Mapping[int, str],
) -> Any:
    """An `astropy.table.Table` with a unit on every column.

    Args:
        columns: Plain columns (id, rv, …), in order.
        values, errors: Labels and their standard errors by name, each of shape (N,).
        flags: Meaning of every bit of the column ``flags``; kept in the table's meta.
    """
    from astropy.table import Column, Table

    units = {"rv": "km/s", "rv_error": "km/s"}
    table = Table({"id": columns["id"]}, meta={"flags": {str(bit): text for bit, text in flags.items()}})
    for name, column in values.items():
        unit = unit_of(name).split("(")[0]
        table[name] = Column(column, unit=unit)
        table[f"{name}_error"] = Column(errors[name], unit=unit)
    for name, column in columns.items():
        if name != "id":
            table[name] = Column(column, unit=units.get(name))
    return table


def spectrum_table(morphed: Any) -> Any:
    """Morphed spectra as a table, one row a pixel: wavelength and, for every star, flux, theory, gap and its error.

    Args:
        morphed: An `analysis.morph.Morphed`.
    """
    from astropy.table import Column, Table

    table = Table({"wavelength": Column(morphed.wavelength, unit="Angstrom")})
    table.meta.update(
        {"survey": morphed.survey, "medium": "vacuum", "flags": [int(flag) for flag in morphed.flags]}
    )
    for name in ("flux", "flux_theory", "gap", "gap_error"):
        rows = getattr(morphed, name)
        for row, values in enumerate(rows):
            table[name if len(rows) == 1 else f"{name}_{row}"] = values
    return table


def gap_table(measured: Any) -> Any:
    """A gap spectrum as a table.

    Args:
        measured: An `analysis.remeasure.GapMeasurement`.
    """
    from astropy.table import Column, Table

    table = Table({"wavelength": Column(measured.wavelength, unit="Angstrom")}, meta={"medium": "vacuum"})
    table["gap"], table["gap_error"] = measured.gap, measured.error
    return table


def _without_dex(table: Any) -> Any:
    """A copy for FITS, which has no unit dex: the column's description says it instead."""
    plain = table.copy()
    plain.meta = {key: str(value) for key, value in table.meta.items()}
    for column in plain.itercols():
        if str(column.unit) == "dex":
            column.unit, column.description = None, "dex"
    return plain


FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits"}


def write_table(table: Any, path: Path) -> Path:
    """Write a table, whole or not at all; the format follows the file's ending.

    Raises:
        OutputError: For an unknown ending, or a file that cannot be written.
    """
    if path.suffix not in FORMATS:
        raise OutputError(f"{path}: cannot tell the format; end the name with {', '.join(FORMATS)}")
    if path.suffix == ".fits":
        table = _without_dex(table)
    with atomic_path(path) as temporary:
        table.write(temporary, format=FORMATS[path.suffix], overwrite=True)
    return path
