"""What a gap may be wrong by beside its posterior: the emulator's error and the continuum's, which stars share."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from synth2obs.analysis.lines import Line
from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.models.bridge import Bridge

Floats = NDArray[np.float64]
AnyLine = TypeVar("AnyLine", bound=Line)

SMOOTH = 20.0
"""Widths of the line spread over which a gap's median is its level, not a line."""


def emulator_floor(bridge: Bridge, survey: str, labels: NDArray[np.float64]) -> Floats:
    """σ of the emulator's error at labels (1, K), as if all stars shared it: units of the continuum, shape (L,)."""
    x = bridge.scale(torch.as_tensor(labels))
    return np.asarray(bridge.theory_variance(survey, x)[0].clamp(min=0).sqrt().double().numpy(), float)


def continuum_floor(gap: Floats, wavelength: Floats, fwhm: float) -> float:
    """By how much the level between a gap's lines wanders: robust σ of its running median.

    A level that is not 0 is a continuum that theory or the survey's pipeline draws otherwise, and every line's depth is
    measured from it.

    Args:
        gap: Shape (L,), NaN beyond the survey.
        wavelength: Å, shape (L,).
        fwhm: Of the line spread in Å.
    """
    known = np.isfinite(gap)
    step = float(np.median(np.diff(wavelength)))
    level = median_filter(gap[known], size=max(3, round(SMOOTH * fwhm / step)), mode="nearest")
    return float(MAD_TO_SIGMA * np.median(np.abs(level)))


def believable(
    lines: Sequence[AnyLine], floor: Floats, wavelength: Floats, threshold: float
) -> list[AnyLine]:
    """Lines with the floor in their errors, deepest first, without those whose depth is then below the threshold.

    Args:
        lines: Found by their posterior's errors.
        floor: Systematic σ in normalised flux, shape (L,), common to the cells of a line.
        wavelength: Å, shape (L,).
        threshold: Least depth over its error.
    """
    found = [_with_floor(line, float(np.interp(line.wavelength, wavelength, floor))) for line in lines]
    kept = [line for line in found if line.significance >= threshold]
    return sorted(kept, key=lambda line: (-abs(line.depth), -abs(line.equivalent_width)))


def _with_floor(line: AnyLine, floor: float) -> AnyLine:
    depth = float(np.hypot(line.depth_error, floor))
    width = 1e3 * (line.stop - line.start) * floor
    return replace(
        line,
        depth_error=depth,
        equivalent_width_error=float(np.hypot(line.equivalent_width_error, width)),
        significance=abs(line.depth) / depth,
    )
