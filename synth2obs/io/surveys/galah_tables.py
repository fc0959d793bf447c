"""Labels of GALAH: the table of a night's reduction, and the main catalogue of a release."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.fits_file import open_fits
from synth2obs.io.surveys.survey import Parameters

NIGHT = {"teff_r": "teff", "logg_r": "logg", "fe_h_r": "fe_h", "alpha_fe_r": "alpha_fe", "vmic_r": "vmic"}
"""Columns of a night's table and their labels."""

RELEASE = {"teff": "teff", "logg": "logg", "fe_h": "fe_h", "alpha_fe": "alpha_fe", "vmic": "vmic"}
"""Columns of a release's catalogue; abundances are columns ``X_fe``, errors ``e_…``, quality ``flag_sp``."""


def read_catalogue(path: Path) -> Parameters:
    """Labels by sobject_id; stars whose ``flag_sp`` is not 0 have none.

    Raises:
        DataError: If the table has no column sobject_id, or none of the labels.
    """
    with open_fits(path) as file:
        table = file.table(1)
        names = {str(name).lower(): str(name) for name in table.dtype.names}
        known = _columns(names)
        if "sobject_id" not in names or not known:
            raise DataError(
                "has no columns sobject_id and teff or teff_r",
                path=path,
                field="HDU 1",
                remedy="give a GALAH catalogue as FITS",
            )
        good = _clean(table, names)
        return Parameters(
            objects=np.char.zfill(np.asarray(table[names["sobject_id"]]).astype(str), 15),
            values={label: _values(table, column, good) for column, label in known.items()},
            errors={
                label: _values(table, names[f"e_{column.lower()}"], good)
                for column, label in known.items()
                if f"e_{column.lower()}" in names
            },
        )


def _columns(names: dict[str, str]) -> dict[str, str]:
    """Columns of the table that are labels."""
    if "teff_r" in names:
        return {names[column]: label for column, label in NIGHT.items() if column in names}
    known = {names[column]: label for column, label in RELEASE.items() if column in names}
    elements = {
        real: name
        for name, real in names.items()
        if name.endswith("_fe") and name.count("_") == 1 and name not in RELEASE
    }
    return known | elements if known else {}


def _clean(table: Any, names: dict[str, str]) -> NDArray[np.bool_]:
    if "flag_sp" not in names:
        return np.ones(len(table), bool)
    return np.asarray(table[names["flag_sp"]]) == 0


def _values(table: Any, column: str, good: NDArray[np.bool_]) -> NDArray[np.float64]:
    values = np.asarray(table[column], dtype=np.float64)
    return np.where(good & np.isfinite(values), values, np.nan)
