r"""APOGEE's own description of its line spread: Gauss–Hermite functions whose parameters are polynomials in pixels.

The coefficients of ``lsf_gh`` (Nidever et al. 2015, AJ 150, 173, section 6.3; described in the files' headers) are

.. math:: b,\; X_0,\; H,\; P_0 \ldots P_H,\; c_0 \ldots c_H,\; \text{type},\; W,\; Q_1 \ldots Q_W,\; w_1 \ldots w_W

with c_i the P_i + 1 coefficients of a polynomial in x + X_0. The first is σ in pixels, the others the amplitudes a_m of

.. math:: L(t) = φ(t) \left[1 - A + \sum_m \frac{a_m}{\sqrt{m!}}\, He_m(t)\right] + A\,\text{wing}(t),

integrated over a bin of b pixels. The wing's parameters are its area A and, for type 1, the σ of a Gaussian.
"""

from dataclasses import dataclass
from math import factorial, sqrt
from typing import Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.polynomial.hermite_e import hermeval
from numpy.typing import NDArray
from scipy.special import ndtr

from synth2obs.core.line_spread import LineSpread

Array = NDArray[np.floating[Any]]

GAUSSIAN_WING = 1
HIGHEST_ORDER = 10
KERNEL_STEP, KERNEL_REACH = 0.06, 4.02
"""Å: a third of the narrowest σ, and beyond 5 σ of the widest core."""

NOMINAL = {
    0: (1.63084, 1.46378e-6, -0.012359, -1.05331e-6, -0.187432, -2.71073e-6, 0.0461917, -3.10974e-6)
    + (0.184083, 1.96393e-6, -0.0395693),
    50: (1.59355, 5.33531e-6, 0.0099215, -3.41242e-6, -0.194514, 3.45165e-7, 0.0508912, -4.50094e-6)
    + (0.179554, 2.55075e-6, -0.0557218),
    145: (1.90103, -3.40831e-5, -0.00494553, 2.10966e-9, -0.247922, 1.77682e-5, 0.0524241, -2.82146e-6)
    + (0.322709, -1.6972e-5, -0.0619626),
    245: (1.85763, -2.04689e-5, 0.00424399, -9.44346e-7, -0.180051, 7.02565e-6, 0.0119716, -8.338e-8)
    + (0.261197, -1.05585e-5, -0.081171),
}
"""Polynomials by the first fibre of a group: means of 2, 7, 5 and 1 apStar files of DR13, whose widths differ by
0.4, 1, 3 and - % within a group, the wings (1 %, narrower than a pixel) left out."""

NOMINAL_HEAD = (1.0, 4287.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)

SAMPLED = 0.01
"""Pixels. A function that is sampled (b = 0) is taken as the mean over so little."""


@dataclass(frozen=True)
class Profile:
    """Coefficients of one detector or one combined spectrum, decoded.

    Args:
        bin: Width of the bin in pixels; 0 for a function that is sampled.
        start: X_0.
        core: Polynomials of σ and a_1 to a_H.
        wing: Polynomials of the wing's area and width; empty without a wing.
    """

    bin: float
    start: float
    core: tuple[Array, ...]
    wing: tuple[Array, ...]

    def at(self, pixels: Array) -> tuple[Array, Array, Array, Array]:
        """σ in pixels, Hermite amplitudes a_m / √m! of shape (P, H), area and width of the wing."""
        sigma, *amplitudes = (polynomial.polyval(pixels + self.start, c) for c in self.core)
        terms = [a / sqrt(factorial(m)) for m, a in enumerate(amplitudes, start=1)]
        hermite = np.stack(terms, axis=-1) if terms else np.zeros((len(pixels), 0))
        area, width = (
            (polynomial.polyval(pixels + self.start, c) for c in self.wing)
            if self.wing
            else (np.zeros_like(sigma), np.ones_like(sigma))
        )
        return sigma, hermite, area, width


def decode(coefficients: Array) -> Profile:
    """Decode a row of coefficients, as apStar (HDU 8) and apVisit (HDU 10) have them.

    Raises:
        ValueError: If their number does not fit the orders that they state, or the wing is of an unknown type.
    """
    values = np.asarray(coefficients, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("line-spread coefficients are not all finite")
    order = _count(values[2], HIGHEST_ORDER)
    degrees = [_count(value, HIGHEST_ORDER) for value in values[3 : 4 + order]]
    core, rest = _polynomials(values[4 + order :], degrees)
    kind, wings = (int(rest[0]), _count(rest[1], 2)) if len(rest) else (GAUSSIAN_WING, 0)
    wing, left = _polynomials(rest[2 + wings :], [_count(v, HIGHEST_ORDER) for v in rest[2 : 2 + wings]])
    if len(left) or wings == 1 or wings and kind != GAUSSIAN_WING:
        raise ValueError(f"{len(values)} line-spread coefficients do not fit the orders that they state")
    return Profile(float(values[0]), float(values[1]), tuple(core), tuple(wing))


def _count(value: float, most: int) -> int:
    if not (value == int(value) and 0 <= value <= most):
        raise ValueError(f"a line-spread order is {value}, not a whole number up to {most}")
    return int(value)


def _polynomials(values: Array, degrees: list[int]) -> tuple[list[Array], Array]:
    """The first coefficients as polynomials of the given degrees, and what is left."""
    ends = np.cumsum([0, *(degree + 1 for degree in degrees)])
    if ends[-1] > len(values):
        raise ValueError("line-spread coefficients end before their polynomials do")
    return [values[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)], values[ends[-1] :]


def group_of(fibre: float) -> int:
    """First fibre of the group that a fibre (1 to 300, or the mean of several) belongs to."""
    return max(start for start in NOMINAL if start <= fibre)


def nominal(fibre: float) -> Profile:
    """What an apStar spectrum taken through a fibre (0 to 300) had on average in DR13."""
    return decode(np.array(NOMINAL_HEAD + NOMINAL[group_of(fibre)]))


def gauss_hermite(profile: Profile, pixels: Array, dispersion: Array) -> tuple[LineSpread, float]:
    r"""The Gauss–Hermite part as a shard holds it: before integration over pixels of width 1.

    The wing is left out and the rest normalised. A bin of b pixels is narrower or wider than the pixel over which
    the model integrates; the difference has variance v = (b² - 1)/12 and fourth cumulant -(b⁴ - 1)/120, so that
    σ'² = σ² + v and h'_m = h_m (σ/σ')^m, with the cumulant added to h'_4 (exact to fourth order in 1/σ).

    Args:
        profile: Decoded coefficients.
        pixels: Pixel numbers as the coefficients count them, shape (P,).
        dispersion: dλ/dx in Å per pixel, negative where wavelengths fall, shape (P,).

    Returns:
        The line spread, and the mean area of the wing that was left out.
    """
    sigma, hermite, area, _ = profile.at(pixels)
    wide = np.sqrt(np.maximum(sigma**2 + (profile.bin**2 - 1.0) / 12.0, 1e-4))
    orders = np.arange(1, hermite.shape[1] + 1)
    scaled = hermite * (sigma / wide)[:, None] ** orders / (1.0 - area)[:, None]
    if len(orders) >= 4:
        scaled[:, 3] -= (profile.bin**4 - 1.0) / 120.0 / (factorial(4) * wide**4)
    scaled = scaled * np.sign(dispersion)[:, None] ** orders
    return LineSpread.single(wide * np.abs(dispersion), hermite=scaled), float(area.mean())


def tabulated(profile: Profile, pixels: Array, dispersion: Array) -> LineSpread:
    """The whole description, wing and bin included, as a table of responses.

    Args:
        profile, pixels, dispersion: As for `gauss_hermite`.
    """
    core, _ = gauss_hermite(profile, pixels, dispersion)
    count = int(round(KERNEL_REACH / KERNEL_STEP))
    offset = KERNEL_STEP * np.arange(-count, count + 1)
    kernel = response(profile, pixels, dispersion, offset)
    return LineSpread.single(core.sigma[0], kernel=kernel, offset=offset)


def response(profile: Profile, pixels: Array, dispersion: Array, offset: Array) -> Array:
    """Response of pixels to monochromatic light, shape (P, T).

    Args:
        profile, pixels, dispersion: As for `gauss_hermite`.
        offset: Wavelength of the light minus that of the pixel in Å, shape (T,).
    """
    sigma, hermite, area, width = profile.at(pixels)
    sigma, area, width = sigma[:, None], area[:, None], width[:, None]
    place, half = -offset / dispersion[:, None], 0.5 * max(profile.bin, SAMPLED)

    def to(edge: Array) -> Array:
        return _core(edge / sigma, hermite, area) + area * ndtr(edge / width)

    return np.asarray(to(place + half) - to(place - half))


def _core(t: Array, hermite: Array, area: Array) -> Array:
    """Integral of the core from -∞ to t, shape (P, T): He_m φ is the derivative of -He_{m-1} φ."""
    series = hermeval(t, hermite.T[:, :, None], tensor=False) if hermite.shape[1] else 0.0
    return np.asarray((1.0 - area) * ndtr(t) - np.exp(-0.5 * t**2) / sqrt(2.0 * np.pi) * series)
