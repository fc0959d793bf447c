"""Lines of a grid and their elements, found from its gradient spectra."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import BALMER_REACH
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Gradients, Spectra
from synth2obs.core.wavelengths import from_balmer

Floats = NDArray[np.float64]

IRON = "fe_h"
NOT_ELEMENTS = ("alpha_fe",)

WIDEST = 4.0
"""FWHM of the grid beyond which a feature is a band or a wing, no line."""

PURE = 0.5
"""Least share of an element in the response of all at its line."""


@dataclass(frozen=True)
class Feature:
    """A line that answers to one element before all others.

    Args:
        element: Symbol.
        wavelength: Of its deepest cell, vacuum Å.
        start, stop: First and last wavelength of the cells at least half as deep, Å.
        response: Change of flux per dex there, at the reference star that shows it best; negative.
    """

    element: str
    wavelength: float
    start: float
    stop: float
    response: float


def responses(gradients: Gradients) -> dict[str, Floats]:
    """Change of flux per dex of each element at the reference stars, shape (M, P) each.

    [X/Fe] moves X alone. [Fe/H] moves all elements together, so that iron's own response is what the others leave.
    """
    others = {
        name.removesuffix("_fe").capitalize(): np.asarray(values, float)
        for name, values in gradients.values.items()
        if name.endswith("_fe") and name not in NOT_ELEMENTS
    }
    if IRON not in gradients.values:
        return others
    iron = np.asarray(gradients.values[IRON], float) - sum(others.values())
    return {**others, "Fe": iron}


def find_features(grid: Spectra, start: float, stop: float, least: float) -> list[Feature]:
    """Lines between two wavelengths that are one element's, in order of wavelength; no two overlap.

    An element's line is a local extreme of its deepest response among the reference stars, as long as the element has
    at least half of the response of all there. Balmer lines, bands and wide wings are left out.

    Args:
        grid: With gradient spectra.
        start, stop: Vacuum Å.
        least: Smallest response per dex, positive.

    Raises:
        DataError: If the grid has no gradient spectra of elements.
    """
    if grid.gradients is None or not (found := responses(grid.gradients)):
        raise DataError(
            f"{grid.domain} has no gradient spectra, so nobody knows which line is whose",
            field="gradients",
            remedy="add them with `synth2obs grid gradients`, or leave the scenario missing_lines out",
        )
    strength = {name: np.maximum(-rows.min(0), 0.0) for name, rows in found.items()}
    total = np.sum(list(strength.values()), axis=0)
    wavelength = np.asarray(grid.wavelength, float)
    open_ = (wavelength > start) & (wavelength < stop)
    open_ &= from_balmer(wavelength) > BALMER_REACH
    fwhm = 2.3548 * np.asarray(grid.line_spread.sigma[0], float)
    candidates: list[tuple[float, slice, Feature]] = []
    for name, rows in strength.items():
        for peak in _peaks(rows, least, open_ & (rows >= PURE * total)):
            cells = _down_to_half(rows, peak)
            inside = open_[cells].all() and wavelength[cells][-1] - wavelength[cells][0] < WIDEST * fwhm[peak]
            if inside:
                first, last = float(wavelength[cells][0]), float(wavelength[cells][-1])
                feature = Feature(name, float(wavelength[peak]), first, last, -float(rows[peak]))
                candidates.append((float(rows[peak]), cells, feature))
    return _apart(candidates, len(wavelength))


def _peaks(height: Floats, least: float, allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
    padded = np.concatenate([[-np.inf], height, [-np.inf]])
    peak = (height >= padded[:-2]) & (height > padded[2:]) & (height >= least) & allowed
    return np.nonzero(peak)[0]


def _down_to_half(height: Floats, peak: int) -> slice:
    """The cells around a peak that are at least half as high."""
    low = np.nonzero(height < 0.5 * height[peak])[0]
    place = int(np.searchsorted(low, peak))
    first = low[place - 1] + 1 if place > 0 else 0
    last = low[place] if place < len(low) else len(height)
    return slice(int(first), int(last))


def _apart(candidates: Sequence[tuple[float, slice, Feature]], cells: int) -> list[Feature]:
    """The strongest first, without those that overlap a stronger one or touch it."""
    free, kept = np.ones(cells + 2, bool), []
    for _, place, feature in sorted(candidates, key=lambda item: -item[0]):
        around = slice(place.start, place.stop + 2)
        if free[around].all():
            free[around] = False
            kept.append(feature)
    return sorted(kept, key=lambda feature: feature.wavelength)
