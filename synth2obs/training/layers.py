"""Layers of the rest frame: which grid spectra they have, and which of them a survey sees."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.core.wavelengths import bands, coarsest

Columns = Mapping[str, NDArray[Any]]

ROUNDED = 1e-5
"""Largest difference of a label of one spectrum in two grids, in its unit."""

SHARPER = 1e-6
"""By how much less than a grid's a survey's σ may be, relatively, and still be as sharp."""


def same_rows(first: Columns, other: Columns) -> NDArray[np.intp]:
    """Row in the first grid of every spectrum of another, by their labels, shape (n,); −1 where there is none.

    Args:
        first: Labels of the first grid by name, shape (N,) each.
        other: Of the other, shape (n,) each; it may have more of them.

    Raises:
        DataError: If the other lacks a label.
    """
    missing = [name for name in first if name not in other]
    if missing:
        raise DataError(
            f"lacks {', '.join(missing)}", field="labels", remedy="compute it with the same labels"
        )
    keys, wanted = (_keys([table[name] for name in first]) for table in (first, other))
    place = {key: row for row, key in enumerate(keys)}
    return np.array([place.get(key, -1) for key in wanted], dtype=np.intp)


def _keys(columns: list[NDArray[Any]]) -> list[tuple[int, ...]]:
    table = np.rint(np.stack([np.asarray(column, float) for column in columns], axis=1) / ROUNDED)
    return [tuple(row) for row in table.astype(np.int64).tolist()]


def seen_pixels(survey: Spectra, grid: Spectra) -> NDArray[np.bool_]:
    """Whether the bands of a grid hold a pixel of every star, shape (P,)."""
    rest = np.asarray(grid.wavelength, float)
    edges = [(rest[band.start], rest[band.stop - 1]) for band in bands(rest)]
    wavelength = np.atleast_2d(survey.wavelength)
    inside = [((wavelength >= low) & (wavelength <= high)).all(0) for low, high in edges]
    return np.logical_or.reduce(inside)


def layer_of(survey: Spectra, grids: Mapping[str, Spectra]) -> str:
    """The layer that a survey sees: of those that are as sharp as it is, and reach as far, the coarsest.

    Args:
        survey: Its spectra.
        grids: Theory by the name of its layer, cut to what is used of it.

    Raises:
        DataError: If no layer is sharp enough where it has pixels of the survey, or none has any.
    """
    reach = {name: seen_pixels(survey, grid) for name, grid in grids.items()}
    sharp = {
        name: own for name, own in reach.items() if own.any() and _sharp_enough(survey, grids[name], own)
    }
    if not sharp:
        raise DataError(_refusal(survey, grids, reach), field="wavelength", remedy=_REMEDY)
    width = {name: float(np.median(_sigma(grid) / grid.wavelength)) for name, grid in grids.items()}
    return coarsest({name: int(own.sum()) for name, own in sharp.items()}, width)


_REMEDY = "give a grid of these wavelengths and of higher resolving power as another of data.layers"


def _refusal(survey: Spectra, grids: Mapping[str, Spectra], reach: Mapping[str, NDArray[np.bool_]]) -> str:
    ends = f"{np.min(survey.wavelength):.1f} to {np.max(survey.wavelength):.1f} Å"
    if not any(own.any() for own in reach.values()):
        return f"no grid has a pixel of the survey, which covers {ends}"
    blunt = ", ".join(name or "the first" for name, own in reach.items() if own.any())
    return f"the survey, {ends}, is sharper than the grid wherever there is one ({blunt})"


def _sharp_enough(survey: Spectra, grid: Spectra, pixels: NDArray[np.bool_]) -> bool:
    wavelength = np.atleast_2d(survey.wavelength)[:, pixels]
    own = np.interp(wavelength, grid.wavelength, _sigma(grid))
    sigma = survey.line_spread.sigma[:, pixels]
    return bool((sigma.min(0) >= (1.0 - SHARPER) * own.max(0)).all())


def _sigma(grid: Spectra) -> NDArray[np.float64]:
    return np.asarray(grid.line_spread.sigma[0], float)
