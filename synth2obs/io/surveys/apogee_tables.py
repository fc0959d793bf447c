"""Labels of APOGEE: the table in an aspcapStar file, and the allStar table of a release."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.cards import optional_number
from synth2obs.io.surveys.fits_file import FitsFile, open_fits
from synth2obs.io.surveys.survey import Parameters

Facts = dict[str, float | str]

UNKNOWN = -9000.0
"""Values below are the pipeline's marks for "unknown" (-9999)."""

ELEMENTS = (
    "C", "CI", "N", "O", "NA", "MG", "AL", "SI", "P", "S", "K", "CA", "TI", "TIII", "V", "CR", "MN", "CO", "NI",
    "CU", "CE",
)  # fmt: skip

COLUMNS = {"TEFF": "teff", "LOGG": "logg", "FE_H": "fe_h", "VMICRO": "vmic", "VSINI": "vsini"} | {
    f"{element}_FE": f"{element.lower()}_fe" for element in ELEMENTS
}
"""Columns of allStar and their labels."""

FACTS = {
    "rv": "VHELIO",
    "rv_error": "VERR",
    "rv_scatter": "VSCATTER",
    "visits": "NVISITS",
    "fibre": "MEANFIB",
    "snr": "SNR",
    "starflag": "STARFLAG",
    "aspcapflag": "ASPCAPFLAG",
}
"""Facts of an aspcapStar file and their columns."""


def aspcap_labels(file: FitsFile) -> tuple[Facts, dict[str, float]]:
    """Facts and calibrated labels of an aspcapStar file; what the pipeline marks as unknown is NaN.

    Without a calibrated temperature no other parameter counts: some are constants then. ``PARAM`` is Teff,
    log g, log10 vmic, [M/H], [C/M], [N/M], [α/M] and more, in this order.

    Raises:
        DataError: If the table has no star or no parameters.
    """
    row, names = _only_star(file)

    def number(name: str) -> float:
        return optional_number(row[name]) if name in names else float("nan")

    star = str(row["APOGEE_ID"]).strip()
    facts: Facts = {"id": star, "object": star, **{name: number(card) for name, card in FACTS.items()}}
    teff, logg, log_vmic, m_h, _, _, alpha_m = (_known(value) for value in row["PARAM"][:7])
    if np.isnan(teff):
        logg = log_vmic = m_h = alpha_m = float("nan")
    labels = {"teff": teff, "logg": logg, "vmic": 10.0**log_vmic, "m_h": m_h, "alpha_m": alpha_m}
    return facts, labels


def _only_star(file: FitsFile) -> tuple[Any, set[str]]:
    """The star of an aspcapStar file's table, and the names of its columns."""
    table = file.table(4)
    row = table[0] if len(table) else None
    names = {name.upper() for name in table.dtype.names}
    if row is None or not {"APOGEE_ID", "PARAM"} <= names or np.size(row["PARAM"]) < 7:
        raise DataError(
            "holds no star with APOGEE_ID and PARAM",
            path=file.path,
            field="HDU 4",
            remedy="check that it is such a table of a release",
        )
    return row, names


def read_allstar(path: Path) -> Parameters:
    """Labels by APOGEE_ID; of a star that was observed in several fields, the spectrum of highest S/N counts.

    Raises:
        DataError: If the file is no allStar table.
    """
    with open_fits(path) as file:
        table = file.table(1)
        names = set(table.dtype.names)
        if not {"APOGEE_ID", "TEFF"} <= names:
            raise DataError(
                "has no columns APOGEE_ID and TEFF", path=path, field="HDU 1", remedy="give an allStar table"
            )
        order = np.argsort(-np.nan_to_num(_column(table, "SNR")), kind="stable")
        known = {label: column for column, label in COLUMNS.items() if column in names}
        return Parameters(
            objects=np.char.strip(np.asarray(table["APOGEE_ID"], dtype=str))[order],
            values={label: _column(table, column)[order] for label, column in known.items()},
            errors={
                label: _column(table, f"{column}_ERR")[order]
                for label, column in known.items()
                if f"{column}_ERR" in names
            },
        )


def _column(table: Any, name: str) -> NDArray[np.float64]:
    if name not in table.dtype.names:
        return np.zeros(len(table))
    values = np.asarray(table[name], dtype=np.float64)
    return np.where(np.isfinite(values) & (values > UNKNOWN), values, np.nan)


def _known(value: float) -> float:
    return float(value) if np.isfinite(value) and value > UNKNOWN else float("nan")
