r"""Line spread of HERMES: :math:`\exp(-\ln 2\,|2x/\mathrm{FWHM}|^B)`, as the headers of reduction 6.0 state it."""

from functools import cache
from math import log, pi, sqrt
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermeval
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from synth2obs.core.line_spread import LineSpread

Array = NDArray[np.floating[Any]]

NOMINAL_FWHM = (
    (0.2084, -0.0123, 0.0075),
    (0.2573, 0.0064, 0.0312),
    (0.3058, -0.0213, 0.0216),
    (0.3621, 0.0011, -0.0026),
)
"""FWHM in Å of CCD 1 to 4, polynomials in x from -1 to 1 along the CCD: means of six fibres of reduction 6.0, which
scatter by 3, 4, 5 and 6 %; the polynomial meets a fibre to 0.1, 3, 1 and 0.1 %."""

NOMINAL_BOXINESS = (2.80, 2.19, 2.18, 2.14)
"""B of CCD 1 to 4, means of the same fibres."""

BOXINESS, RATIO = (1.5, 4.0), (0.05, 0.6)
"""Ranges of B and of pixel / FWHM that make sense."""

BOXINESS_STEP, RATIO_STEP = 0.1, 0.025
ORDERS = 6
ODD_EVEN = (4, 6)
"""Hermite terms that are fitted: the function is symmetric, and σ does the work of the second."""

PLACE = np.linspace(-1.5, 1.5, 301)
"""Offsets in FWHM at which the fit is made."""


def line_spread(fwhm: Array, boxiness: float, pixel: float) -> LineSpread:
    r"""Gauss–Hermite form that, integrated over pixels, is the published function.

    The function describes arc lines as they fall on pixels. σ, h_4 and h_6 are those with which
    :math:`\frac1p \int φ(t) [1 + h_4 He_4(t) + h_6 He_6(t)]\,dx` over a pixel p meets it best; the two differ by at
    most 0.8 % of the peak for B from 2 to 3.

    Args:
        fwhm: In Å, shape (P,).
        boxiness: B; 2 is a Gaussian.
        pixel: Width p of a pixel in Å.

    Raises:
        ValueError: If B or p / FWHM is out of range.
    """
    ratio = pixel / fwhm
    for name, low, high, (least, most) in (
        ("boxiness", boxiness, boxiness, BOXINESS),
        ("pixel / FWHM", ratio.min(), ratio.max(), RATIO),
    ):
        if not least <= low <= high <= most:
            raise ValueError(f"{name} is {low:.3g} to {high:.3g}, not within {least} to {most}")
    width, *terms = _interpolated(boxiness, ratio)
    hermite = np.zeros((len(fwhm), ORDERS))
    for order, term in zip(ODD_EVEN, terms, strict=True):
        hermite[:, order - 1] = term
    return LineSpread.single(width * fwhm, hermite=hermite)


def nominal(ccd: int, pixels: int, pixel: float) -> LineSpread:
    """What the fibres of reduction 6.0 have on average on a CCD (1 to 4)."""
    fwhm = np.polynomial.polynomial.polyval(np.linspace(-1, 1, pixels), NOMINAL_FWHM[ccd - 1])
    return line_spread(fwhm, NOMINAL_BOXINESS[ccd - 1], pixel)


def _interpolated(boxiness: float, ratio: Array) -> Array:
    """σ / FWHM, h_4 and h_6 between the nodes of a grid in B and pixel / FWHM, shape (3, P)."""
    first, last = int(ratio.min() / RATIO_STEP), int(ratio.max() / RATIO_STEP) + 1
    below = int(boxiness / BOXINESS_STEP)
    share = boxiness / BOXINESS_STEP - below
    nodes = np.arange(first, last + 1)
    table = np.array([[_fit(below + k, int(n)) for n in nodes] for k in (0, 1)])
    curve = (1.0 - share) * table[0] + share * table[1]
    return np.stack([np.interp(ratio, nodes * RATIO_STEP, column) for column in curve.T])


@cache
def _fit(boxiness: int, ratio: int) -> tuple[float, float, float]:
    """σ / FWHM, h_4 and h_6 at a node of the grid."""
    target = np.exp(-log(2.0) * np.abs(2.0 * PLACE) ** (boxiness * BOXINESS_STEP))
    target /= target.sum()
    pixel = max(ratio, 1) * RATIO_STEP

    def solve(sigma: float) -> tuple[float, Array]:
        base, *terms = (_binned(sigma, pixel, order) for order in (0, *ODD_EVEN))
        matrix = np.stack(terms, axis=1) / base.sum()
        left = target - base / base.sum()
        amplitudes = np.linalg.lstsq(matrix, left, rcond=None)[0]
        return float(((left - matrix @ amplitudes) ** 2).sum()), amplitudes

    best = minimize_scalar(lambda sigma: solve(sigma)[0], bounds=(0.25, 0.6), method="bounded")
    fourth, sixth = solve(best.x)[1]
    return float(best.x), float(fourth), float(sixth)


def _binned(sigma: float, pixel: float, order: int) -> Array:
    """Integral of φ He_n over a pixel, at all places: He_n φ is the derivative of -He_{n-1} φ."""
    upper, lower = ((PLACE + half) / sigma for half in (0.5 * pixel, -0.5 * pixel))
    if order == 0:
        return np.asarray(ndtr(upper) - ndtr(lower))
    series = np.eye(order)[order - 1]
    values = [np.exp(-0.5 * t**2) / sqrt(2.0 * pi) * hermeval(t, series) for t in (lower, upper)]
    return np.asarray(values[0] - values[1])
