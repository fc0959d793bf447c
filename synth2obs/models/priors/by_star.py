"""A user's table of priors, put in the order of the spectra."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.given import floats


def by_star(table: Any, names: ArrayLike) -> Mapping[str, NDArray[np.float64]]:
    """Columns of a mapping or table, one value per spectrum; NaN for stars that its ``id`` does not name.

    Args:
        table: Columns by name; an astropy table will do.
        names: Of the spectra, shape (N,).

    Raises:
        DataError: For what is no table, a column that is no number, an id that occurs twice, or none of a spectrum.
    """
    if not hasattr(table, "keys") or not hasattr(table, "__getitem__"):
        raise DataError(
            f"is a {type(table).__name__}",
            field="priors",
            remedy="give a mapping or table: teff, teff_error …",
        )
    keys = list(table.keys())
    columns = {key: _numbers(str(key), table[key]) for key in keys if key != "id"}
    if "id" not in keys:
        return columns
    given, wanted = np.asarray(table["id"]).astype(str), np.asarray(names).astype(str)
    place = {name: row for row, name in enumerate(given)}
    if len(place) < len(given):
        raise DataError("an id occurs twice", field="priors", remedy="keep one row per star")
    if not place.keys() & set(wanted):
        raise DataError(
            f"no id is a spectrum's; the first are {given[0]!r} and {wanted[0]!r}", field="priors"
        )
    rows = np.array([place.get(name, -1) for name in wanted])
    return {key: np.where(rows < 0, np.nan, values[rows]) for key, values in columns.items()}


def _numbers(name: str, column: Any) -> NDArray[np.float64]:
    """Masked values are NaN."""
    values, masked = floats(f"priors.{name}", getattr(column, "value", column))
    if np.isinf(values).any() and not name.endswith("_error"):
        raise DataError("is infinite for a star", field=f"priors.{name}", remedy="use NaN for unknown")
    return values.astype(np.float64) if masked is None else np.where(masked, np.nan, values)
