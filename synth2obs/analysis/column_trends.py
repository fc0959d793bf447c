"""How labels and fits of test stars change with whatever else is known of them: fibre, night, exposure, S/N.

Nothing of the sky should move a star's labels, so that a slope along such a column is an error of the instrument, its
pipeline or the bridge, which a single bias hides.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from synth2obs.analysis.baselines import MORPH
from synth2obs.analysis.recovery import fitted_labels
from synth2obs.analysis.trials import Tested
from synth2obs.core.labels import STELLAR
from synth2obs.core.robust import middle, scatter
from synth2obs.core.spectra import Spectra

Array = NDArray[np.float64]

CHI2 = "chi2_per_pixel"

FEWEST = 8
"""Stars that a slope takes."""

MOST = 200
"""Stars that it is taken from, at most: its cost grows with their square."""

DRAWS = 100
"""Of the bootstrap."""

GROUPS, MEMBERS = 12, 5
"""Most groups of a column of text, and fewest stars of a group."""

SNR = "snr"

FILES = ("file", "object", "sha256")
"""Columns that say where a spectrum comes from."""


def column_trends(tested: Tested, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Trends of the morph's test stars; nothing where there is too little to say.

    Args:
        tested: Every method on the test stars.
        seed: Of the bootstrap.

    Returns:
        ``numbers``: for every column of numbers ``column``, ``spread`` (its standard deviation, by the MAD) and, for
        Teff, log g and [Fe/H] (fitted minus literature) and χ² per pixel, ``slope`` over one such spread, its ``error``
        and ``n``. ``groups``: for every group of a column of text ``column``, ``group``, and ``median``, ``error``
        and ``n`` of the same.
    """
    values = quantities(tested)
    found = {
        "numbers": list(_slopes(columns_of_numbers(tested.spectra), values, seed)),
        "groups": list(_groups(columns_of_text(tested.spectra), values)),
    }
    return {kind: rows for kind, rows in found.items() if rows}


def quantities(tested: Tested) -> dict[str, Array]:
    """Fitted minus literature labels, NaN where these are unknown, and χ² per pixel, shape (N,) each."""
    free, known = tested.trials[MORPH].free, tested.known
    difference = np.where(known.usable[:, None], fitted_labels(tested.bridge, free) - known.table, np.nan)
    chi2 = free.chi2_per_pixel.double().numpy()
    return {**dict(zip(STELLAR, difference.T, strict=True)), CHI2: chi2}


def columns_of_numbers(spectra: Spectra) -> dict[str, Array]:
    """S/N and all numbers that a survey's stars carry, shape (N,) each."""
    carried = {
        (f"native {name}" if name == SNR else name): np.asarray(column, np.float64)
        for name, column in spectra.native.items()
        if column.dtype.kind != "U"
    }
    return {SNR: np.asarray(spectra.snr, np.float64), **carried}


def columns_of_text(spectra: Spectra) -> dict[str, NDArray[np.str_]]:
    """All texts that a survey's stars carry, shape (N,) each."""
    native = spectra.native.items()
    return {name: column for name, column in native if column.dtype.kind == "U" and name not in FILES}


def _slopes(columns: Mapping[str, Array], values: Mapping[str, Array], seed: int) -> Iterator[dict[str, Any]]:
    for name, column in columns.items():
        spread = _spread(column[np.isfinite(column)])
        if not spread > 0:
            continue
        pairs = {key: robust_slope(column / spread, value, seed) for key, value in values.items()}
        told = {key: found for key, found in pairs.items() if found}
        if told:
            yield {"column": name, "spread": spread, **told}


def _spread(known: Array) -> float:
    """Standard deviation by the MAD; the plain one of a column most of whose values are the same."""
    if len(known) < FEWEST:
        return 0.0
    return float(scatter(known)) or float(known.std())


def robust_slope(x: Array, y: Array, seed: int = 0) -> dict[str, float]:
    """Median slope through pairs of points (Theil 1950, Sen 1968), with its error by bootstrap.

    Args:
        x, y: Shape (N,); points with a value that is not finite are left out.
        seed: Of the bootstrap, and of the choice among more than `MOST` points.

    Returns:
        ``slope``, ``error`` and ``n``, the points that it is taken from; empty for fewer than `FEWEST` points, or if
        all have the same x.
    """
    (rows,) = np.nonzero(np.isfinite(x) & np.isfinite(y))
    if len(rows) < FEWEST or not np.ptp(x[rows]) > 0:
        return {}
    random = np.random.default_rng(seed)
    rows = random.permutation(rows)[:MOST]
    x, y = x[rows], y[rows]
    if not np.ptp(x) > 0:
        return {}
    draws = [random.integers(len(x), size=len(x)) for _ in range(DRAWS)]
    again = [_slope(x[draw], y[draw]) for draw in draws if np.ptp(x[draw]) > 0]
    return {"slope": _slope(x, y), "error": float(np.std(again)), "n": len(x)}


def _slope(x: Array, y: Array) -> float:
    return float(theilslopes(y, x).slope)


def _groups(columns: Mapping[str, NDArray[np.str_]], values: Mapping[str, Array]) -> Iterator[dict[str, Any]]:
    for name, column in columns.items():
        groups = np.unique(column[column != ""])
        if not 1 < len(groups) <= GROUPS:
            continue
        for group in groups:
            told = {key: _middle(value[column == group]) for key, value in values.items()}
            if any(told.values()):
                yield {
                    "column": name,
                    "group": str(group),
                    **{k: found for k, found in told.items() if found},
                }


def _middle(values: Array) -> dict[str, float]:
    known = values[np.isfinite(values)]
    if len(known) < MEMBERS:
        return {}
    median, error = middle(known[:, None])
    return {"median": float(median[0]), "error": float(error[0]), "n": len(known)}
