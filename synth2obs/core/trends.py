"""What labels stars have: how abundances run with [Fe/H], what giants change of them, microturbulence.

Approximate means of the solar neighbourhood and the halo, drawn from Bensby, Feltzing & Oey 2014 (A&A 562, A71),
Battistini & Bensby 2015 and 2016 (A&A 577, A9; 586, A49), Kobayashi, Karakas & Lugaro 2020 (ApJ 900, 179), and for
giants Gratton et al. 2000 (A&A 354, 169). They say where spectra are worth computing, and what is likely of a star
before its spectrum is seen.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

KNOTS = np.array([-2.5, -1.5, -0.8, -0.3, 0.0, 0.4])
"""[Fe/H] at which the trends are given, dex."""

ALPHA_RICH = np.array([0.35, 0.35, 0.33, 0.22, 0.10, 0.05])
ALPHA_POOR = np.array([0.25, 0.20, 0.15, 0.05, 0.00, 0.00])
"""[α/Fe] of the two sequences: thick disc and halo, thin disc and accreted stars."""

LOADINGS = {"o": 1.2, "mg": 1.0, "si": 0.8, "s": 0.8, "ca": 0.75, "ti": 0.75}
"""How far each α element follows them."""

TRENDS = {
    "c": (0.10, 0.10, 0.10, 0.05, 0.00, -0.05),
    "n": (0.10, 0.00, 0.00, 0.00, 0.05, 0.15),
    "na": (-0.20, -0.20, 0.05, 0.03, 0.00, 0.15),
    "al": (-0.50, -0.20, 0.15, 0.08, 0.03, 0.05),
    "k": (0.30, 0.30, 0.20, 0.10, 0.00, 0.00),
    "sc": (0.05, 0.05, 0.10, 0.05, 0.00, 0.00),
    "v": (0.00, 0.00, 0.10, 0.05, 0.00, 0.05),
    "cr": (-0.20, -0.10, -0.02, 0.00, 0.00, 0.00),
    "mn": (-0.40, -0.35, -0.25, -0.12, 0.00, 0.10),
    "co": (0.20, 0.05, 0.05, 0.03, 0.00, 0.10),
    "ni": (0.00, 0.00, 0.02, 0.00, 0.00, 0.04),
    "cu": (-0.70, -0.60, -0.20, -0.05, 0.00, 0.10),
    "zn": (0.20, 0.10, 0.12, 0.05, 0.00, 0.00),
    "sr": (0.00, 0.05, 0.00, 0.00, 0.00, 0.00),
    "y": (-0.15, -0.10, 0.00, 0.00, 0.00, 0.00),
    "zr": (0.15, 0.15, 0.10, 0.05, 0.00, -0.05),
    "ba": (-0.10, 0.05, 0.00, 0.05, 0.05, 0.00),
    "la": (0.05, 0.10, 0.05, 0.05, 0.02, 0.00),
    "ce": (0.00, 0.05, 0.00, 0.02, 0.02, -0.02),
    "nd": (0.10, 0.15, 0.10, 0.05, 0.02, -0.05),
    "eu": (0.35, 0.35, 0.30, 0.15, 0.00, -0.05),
}
"""[X/Fe] at `KNOTS`, dex, before any mixing."""

SCATTER = {
    "c": 0.12, "n": 0.20, "na": 0.15, "al": 0.15, "k": 0.15, "cr": 0.08, "ni": 0.08, "mn": 0.12, "co": 0.12,
    "v": 0.12, "cu": 0.15, "sr": 0.20, "y": 0.20, "zr": 0.20, "ba": 0.25, "la": 0.20, "ce": 0.20, "nd": 0.20,
    "eu": 0.20,
}  # fmt: skip
OTHER_SCATTER = 0.10
"""Standard deviation of [X/Fe] about the mean, dex; wider than in most samples."""

LEAST_VMIC = 0.5
"""Smallest microturbulence that the relation may give, km/s."""

S_PROCESS = {"sr": 0.8, "y": 1.0, "zr": 0.9, "ba": 1.2, "la": 1.1, "ce": 1.1, "nd": 0.8}
"""Elements that rise together in stars rich in s-process elements, relative to yttrium."""


def alpha_rich_share(fe_h: Array) -> Array:
    """Share of stars of [Fe/H] on the α-rich sequence, shape (N,): all below −1, none above 0."""
    return 1.0 - np.clip(fe_h + 1.0, 0.0, 1.0)


def mean_abundance(element: str, fe_h: Array, alpha_rich: NDArray[np.bool_]) -> Array:
    """Mean [X/Fe] of unmixed stars, shape (N,).

    Args:
        element: Symbol in lower case, as in ``mg_fe``.
        fe_h: dex, shape (N,).
        alpha_rich: Whether a star is on the α-rich sequence, shape (N,).
    """
    if element in LOADINGS:
        rich, poor = np.interp(fe_h, KNOTS, ALPHA_RICH), np.interp(fe_h, KNOTS, ALPHA_POOR)
        return LOADINGS[element] * np.where(alpha_rich, rich, poor)
    return np.interp(fe_h, KNOTS, TRENDS.get(element, (0.0,) * len(KNOTS)))


def mixing(element: str, logg: Array, fe_h: Array) -> Array:
    """Change of [C/Fe] and [N/Fe] in giants by the first dredge-up and by extra mixing beyond the bump, shape (N,)."""
    if element not in ("c", "n"):
        return np.zeros_like(logg)
    dredge = np.clip(3.4 - logg, 0.0, 1.0)
    extra = np.clip(2.2 - logg, 0.0, 1.0) * np.clip(-0.4 - fe_h, 0.0, 1.0)
    return -0.15 * dredge - 0.5 * extra if element == "c" else 0.3 * dredge + 0.5 * extra


def microturbulence(teff: Array, logg: Array, fe_h: Array) -> Array:
    """Mean microturbulence in km/s of FGK stars, shape (N,).

    Dwarfs and subgiants (log g >= 3.5): the relation of the Gaia-ESO survey's analyses, held at its value of 5000 K for
    cooler ones. Giants: that of APOGEE DR14 (Holtzman et al. 2018, AJ 156, 125).
    """
    t, g = np.maximum(teff, 5000.0) - 5500.0, logg - 4.0
    dwarf = 1.05 + 2.51e-4 * t + 1.5e-7 * t**2 - 0.14 * g - 0.005 * g**2 + 0.05 * fe_h + 0.01 * fe_h**2
    giant = 10.0 ** (0.226 - 0.0228 * logg + 0.0297 * logg**2 - 0.0113 * logg**3)
    return np.where(logg >= 3.5, dwarf, giant)


def usual(name: str, teff: Array, logg: Array, fe_h: Array) -> Array:
    """A label that nobody gave, at given Teff, log g and [Fe/H], shape (N,): the Sun's mixture for the Sun.

    Microturbulence follows `microturbulence`, α elements (and ``alpha_fe``) the mean trend with [Fe/H] of `expected`;
    all other abundances are solar, [X/Fe] = 0, without mixing.

    Args:
        name: As in `LabelSpace`, none of the three.
        teff, logg, fe_h: K, dex, dex, shape (N,).
    """
    if name == "vmic" or name.removesuffix("_fe") in LOADINGS:
        return expected(name, teff, logg, fe_h)
    return expected("mg_fe", teff, logg, fe_h) if name == "alpha_fe" else np.zeros_like(fe_h)


def expected(name: str, teff: Array, logg: Array, fe_h: Array) -> Array:
    """Mean of a label other than Teff, log g and [Fe/H] at given values of these, shape (N,).

    Args:
        name: As in `LabelSpace`: ``vmic`` or ``mg_fe``; labels that nothing is known of have a mean of 0.
        teff, logg, fe_h: K, dex, dex, shape (N,).
    """
    if name == "vmic":
        return np.maximum(microturbulence(teff, logg, fe_h), LEAST_VMIC)
    element = name.removesuffix("_fe")
    share = alpha_rich_share(fe_h)
    rich, poor = (mean_abundance(element, fe_h, np.full(fe_h.shape, which)) for which in (True, False))
    return share * rich + (1.0 - share) * poor + mixing(element, logg, fe_h)
