"""Labels of LAMOST: a catalogue of stellar parameters, as a release publishes it or as a table made of it."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import read_text, uncommented
from synth2obs.io.surveys.cards import optional_number
from synth2obs.io.surveys.fits_file import open_fits
from synth2obs.io.surveys.own_columns import is_fits
from synth2obs.io.surveys.survey import Column, Parameters

SURVEY = "LAMOST "
"""Begins a designation in the spectra's headers; catalogues leave it out."""

NAME, SNR = "designation", "snrg"

LABELS = {"teff": "teff", "logg": "logg", "feh": "fe_h", "fe_h": "fe_h"}
"""Columns and their labels; errors are columns ``…_err``."""

UNKNOWN = -999.0
"""The catalogues' mark for "unknown" is -9999; no label and no S/N lies so low."""

Columns = Mapping[str, NDArray[Any]]


def read_catalogue(path: Path) -> Parameters:
    """Labels by designation; of a star that was observed several times, the spectrum of highest S/N in g counts.

    Args:
        path: FITS, or text whose columns ``|`` or ``,`` separates.

    Raises:
        DataError: If the table cannot be read, or has no column designation or none of the labels.
    """
    columns = _columns(path)
    known = {label: name for name, label in LABELS.items() if name in columns}
    if NAME not in columns or not known:
        raise DataError(
            f"has no columns {NAME} and {', '.join(LABELS)}",
            path=path,
            field="columns",
            remedy="give a LAMOST catalogue of stellar parameters as CSV or FITS",
        )
    order = _best_first(columns)
    return Parameters(
        objects=np.array([_designation(name) for name in columns[NAME][order]], dtype=str),
        values={label: _numbers(columns[name])[order] for label, name in known.items()},
        errors={
            label: _numbers(columns[f"{name}_err"])[order]
            for label, name in known.items()
            if f"{name}_err" in columns
        },
    )


def _columns(path: Path) -> Columns:
    """Columns of a FITS or text table by their names in lower case, shape (M,) each."""
    if is_fits(path):
        with open_fits(path) as file:
            table = file.table(1)
            return {str(name).lower(): np.array(table[name]) for name in table.dtype.names}
    try:
        lines = uncommented(read_text(path).splitlines()) or [""]
        separator = "|" if "|" in lines[0] else ","
        names, *rows = csv.reader(lines, delimiter=separator, strict=True)
        cells = zip(*rows, strict=True) if rows else [() for _ in names]
        return {name.strip().lower(): np.array(column) for name, column in zip(names, cells, strict=True)}
    except (csv.Error, ValueError, IndexError) as error:
        raise DataError(
            f"is neither FITS nor a text table ({error})", path=path, remedy="check the file"
        ) from error


def _best_first(columns: Columns) -> NDArray[np.intp]:
    if SNR not in columns:
        return np.arange(len(columns[NAME]))
    return np.argsort(-np.nan_to_num(_numbers(columns[SNR])), kind="stable")


def _designation(name: Any) -> str:
    """As the spectra's headers have it."""
    return SURVEY + str(name).strip().removeprefix(SURVEY)


def _numbers(column: NDArray[Any]) -> Column:
    """Numbers of a column; NaN for what is none, or marked as unknown."""
    values = np.array([optional_number(value) for value in column], dtype=np.float64)
    return np.where(values > UNKNOWN, values, np.nan)
