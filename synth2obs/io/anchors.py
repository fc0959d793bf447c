"""Stars whose labels are known independently of their spectra, as a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.tables import read_table, require_columns

LABELS = ("teff", "logg", "fe_h")
COLUMNS = ("survey", "id", *(f"{name}{end}" for name in LABELS for end in ("", "_error")))


@dataclass(frozen=True)
class Anchors:
    """Stars of one survey with known labels.

    Args:
        id: As in the survey's shard, shape (N,).
        labels: Teff in K, log g and [Fe/H] in dex, shape (N, 3); NaN where one is not known.
        errors: Of these, shape (N, 3).
    """

    id: NDArray[np.str_]
    labels: NDArray[np.float64]
    errors: NDArray[np.float64]


def read_anchors(path: str | Path, survey: str) -> Anchors:
    """The rows of one survey.

    Args:
        path: Table with the columns survey, id, teff, teff_error (K), logg, logg_error, fe_h, fe_h_error (dex);
            a label that is not known is empty or NaN.
        survey: Whose rows.

    Raises:
        DataError: If it cannot be read, lacks a column, names a star twice, or has a label without a positive error.
    """
    path = Path(path)
    table = read_table(path)
    require_columns(table, COLUMNS, path)
    rows = np.array([str(name) == survey for name in table["survey"]], dtype=bool)
    ids = np.array([str(name) for name in table["id"][rows]], dtype=str)
    twice = [str(name) for name in np.unique(ids) if (ids == name).sum() > 1]
    if twice:
        raise DataError(
            f"{twice[0]} of {survey} occurs twice", path=path, field="id", remedy="keep one row per star"
        )
    labels, errors = (
        np.stack([_numbers(table, f"{name}{end}", path)[rows] for name in LABELS], axis=1)
        for end in ("", "_error")
    )
    _check(ids, labels, errors, path)
    return Anchors(ids, labels, errors)


def _numbers(table: Any, name: str, path: Path) -> NDArray[np.float64]:
    column = table[name]
    try:
        return np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"has a value that is no number ({error})", path=path, field=name) from error


def _check(
    ids: NDArray[np.str_], labels: NDArray[np.float64], errors: NDArray[np.float64], path: Path
) -> None:
    with np.errstate(invalid="ignore"):
        wrong = np.isfinite(labels) & ~((errors > 0) & np.isfinite(errors))
    if wrong.any():
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        raise DataError(
            f"{ids[row]} has {LABELS[column]} {labels[row, column]} with the error {errors[row, column]}",
            path=path,
            field=f"{LABELS[column]}_error",
            remedy="give a positive error, or leave the label empty",
        )
