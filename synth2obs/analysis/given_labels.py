"""Labels that are given as a table: a pandas DataFrame or an astropy Table, a row a star."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.labels import UNITS, unit_of

BESIDE = (
    "id",
    "rv",
    "rv_error",
    "vsini",
    "vsini_error",
    "lsf_scale",
    "lsf_scale_error",
    "chi2",
    "pixels",
    "flags",
)
"""Columns that `fit_labels` writes beside labels."""

OF_LABELS = ("_error", "_gain")
"""Endings of columns that it writes for every label."""


PHYSICAL = tuple(name for name, unit in UNITS.items() if "dex" not in unit)
"""Labels with units of physics."""


def labels_of_table(table: Any, names: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    """Columns of a table by name, in the grid's units.

    A column with a unit is converted. What `fit_labels` writes beside labels is left out; any other column that is no
    label is kept, so that a typo is refused later as it is in a mapping.

    Args:
        table: With ``columns`` or ``colnames``, as DataFrames and astropy Tables have them.
        names: Labels of the grid.

    Raises:
        DataError: For what is no table, a table of no rows, or a column that is no number or of another kind of unit.
    """
    columns = list(getattr(table, "colnames", getattr(table, "columns", ())))
    if not columns or not hasattr(table, "__getitem__"):
        raise DataError(
            f"must be a mapping or a table, got {type(table).__name__}",
            field="labels",
            remedy="give a dict, a pandas DataFrame or an astropy Table with a column for each label",
        )
    if len(table) == 0:
        raise DataError("the table has no rows", field="labels", remedy="give a row per star")
    kept = [name for name in columns if name in names or not _beside(str(name), names)]
    return {str(name): _values(str(name), table[name]) for name in kept}


def _beside(name: str, names: tuple[str, ...]) -> bool:
    return name in BESIDE or any(name == f"{label}{ending}" for label in names for ending in OF_LABELS)


def _values(name: str, column: Any) -> NDArray[np.float64]:
    """A column in the unit of its label; masked values are NaN, which no label may be."""
    unit, values = getattr(column, "unit", None), getattr(column, "value", column)
    try:
        numbers = np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)
        # Every other label is in dex, which has no other spelling.
        return np.asarray(
            unit.to(unit_of(name), numbers) if unit is not None and name in PHYSICAL else numbers
        )
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name!r} in {unit_of(name)} must be numbers of that kind, got {column.dtype} in {unit}: {error}",
            field="labels",
            remedy="convert the column",
        ) from error
