r"""Which element's abundance a line follows from star to star.

The depth of a line in star n is

.. math:: \ln d_n = \theta^T F(t_n) + \sum_X b_X [X/\mathrm{Fe}]_n ,

with F polynomials of the star's Teff, log g, [Fe/H] and microturbulence. A line of element X has
:math:`b_X = s \ln 10`, with s between 0.2 for a saturated line and 1 for a weak one; a line of iron has no b.
All else that theory says of lines is how they change with t: that is the prior of θ.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.analysis.attribution import NONE
from synth2obs.analysis.depth_fit import fit_depths

Floats = NDArray[np.float64]

IRON = "Fe"

OWN, OWN_SPREAD = 0.7, 0.25
"""Change of ln depth per dex of a line's own element, and its width: s ln 10 for s from a tenth to a half."""

OTHERS = 0.08
"""Width of the same for all other elements: lines blended with it, and electrons that they give."""

LEVEL = 2.0
"""Prior width of the typical ln depth."""

UNLIKE = 2.0
"""A line of no element changes with labels by this multiple of what theory's lines do, in either direction."""

FEWEST = 12
"""Stars below which nothing is said."""


@dataclass(frozen=True, kw_only=True)
class StarAbundances:
    """What is known of the stars in which lines are compared. N stars, T tracers, Q polynomials, E elements.

    Args:
        elements: Symbols, iron not among them.
        terms: F, shape (N, Q); the first is 1.
        slopes: Their change with the tracers, shape (N, Q, T).
        abundances: [X/Fe] in dex, shape (N, E).
        covariance: Of tracers and abundances in this order, shape (N, T + E, T + E).
        usual, spread: Mean and covariance of θ of theory's lines, shapes (Q,) and (Q, Q).
    """

    elements: tuple[str, ...]
    terms: Floats
    slopes: Floats
    abundances: Floats
    covariance: Floats
    usual: Floats
    spread: Floats

    def __post_init__(self) -> None:
        stars, terms = self.terms.shape
        tracers, elements = self.slopes.shape[2], len(self.elements)
        wanted = {
            "slopes": (stars, terms, tracers),
            "abundances": (stars, elements),
            "covariance": (stars, tracers + elements, tracers + elements),
            "usual": (terms,),
            "spread": (terms, terms),
        }
        for name, shape in wanted.items():
            values = getattr(self, name)
            if values.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"{name} must be finite; leave out stars whose labels are unknown")

    def __len__(self) -> int:
        return len(self.terms)

    @property
    def design(self) -> Floats:
        """F and [X/Fe] less its median, shape (N, Q + E)."""
        middle = np.median(self.abundances, axis=0) if len(self) else 0.0
        return np.concatenate([self.terms, self.abundances - middle], axis=1)

    def variance(self, theta: Floats) -> Floats:
        """Of ln d from the labels' errors, at coefficients (Q + E,), shape (N,).

        Fitted labels are posterior means, so that what is left of the true ones is noise beside them and does not
        pull coefficients towards zero (Berkson 1950, J. Am. Stat. Assoc. 45, 164).
        """
        terms = self.terms.shape[1]
        tracers = np.einsum("nqt,q->nt", self.slopes, theta[:terms])
        own = np.broadcast_to(theta[terms:], self.abundances.shape)
        slope = np.concatenate([tracers, own], axis=1)
        return np.asarray(np.einsum("nk,nkl,nl->n", slope, self.covariance, slope))


def element_evidence(stars: StarAbundances, depth: ArrayLike, variance: ArrayLike) -> dict[str, float]:
    """Ln p(depths) for a line of each element, of iron and of none, up to a constant.

    All are compared at the noise and about the solution of a fit in which every element may take part, in which the
    model is linear; then they differ by their priors alone.

    Args:
        stars: In which the line was measured.
        depth: In normalised flux, positive where it is deeper, shape (N,).
        variance: Of its noise, shape (N,); a star without a finite, positive one is left out.

    Returns:
        By element, iron and `NONE` included; all zero if fewer than 12 stars have the line.

    Raises:
        ValueError: For another number of stars.
    """
    depth, variance = np.asarray(depth, float), np.asarray(variance, float)
    if not depth.shape == variance.shape == (len(stars),):
        raise ValueError(
            f"depth and variance must have shape ({len(stars)},), got {depth.shape}, {variance.shape}"
        )
    names = (*stars.elements, IRON, NONE)
    good = np.isfinite(depth) & np.isfinite(variance) & (variance > 0)
    if good.sum() < FEWEST:
        return dict.fromkeys(names, 0.0)
    level = np.log(max(float(np.median(depth[good])), 0.3 * float(depth[good].std()), 1e-5))
    priors = _priors(stars, level)
    fit = fit_depths(stars.design, stars.variance, depth, variance, good, *_open(stars, *priors[IRON]))
    return {name: fit.log_evidence(*priors[name]) for name in names}


def _priors(stars: StarAbundances, level: float) -> dict[str, tuple[Floats, Floats]]:
    """Mean and covariance of all coefficients by template."""
    terms, size = len(stars.usual), len(stars.usual) + len(stars.elements)
    mean, covariance = np.zeros(size), np.zeros((size, size))
    mean[:terms], covariance[:terms, :terms] = stars.usual, stars.spread
    _set_level(mean, covariance, level)
    others = np.arange(terms, size)
    covariance[others, others] = OTHERS**2
    found = {IRON: (mean, covariance), NONE: _unlike(stars, level, covariance)}
    for place, name in zip(others, stars.elements, strict=True):
        own_mean, own = mean.copy(), covariance.copy()
        own_mean[place], own[place, place] = OWN, OWN_SPREAD**2
        found[name] = own_mean, own
    return found


def _set_level(mean: Floats, covariance: Floats, level: float) -> None:
    """How deep a line is says nothing of whose it is."""
    covariance[0], covariance[:, 0] = 0.0, 0.0
    mean[0], covariance[0, 0] = level, LEVEL**2


def _unlike(stars: StarAbundances, level: float, like: Floats) -> tuple[Floats, Floats]:
    """Of a line that changes with labels in any way."""
    width = UNLIKE * np.sqrt(stars.usual**2 + np.diag(stars.spread))
    diagonal = np.diag(like).copy()
    diagonal[: len(width)] = width**2
    mean, covariance = np.zeros(len(diagonal)), np.diag(diagonal)
    _set_level(mean, covariance, level)
    return mean, covariance


def _open(stars: StarAbundances, mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Of the fit in which every element may take part, from that of a line of iron."""
    terms, wide = len(stars.usual), covariance.copy()
    wide[np.arange(1, terms), np.arange(1, terms)] += 1.0
    others = np.arange(terms, len(mean))
    wide[others, others] = 0.3**2
    return mean, wide


def shares(gradients: Mapping[str, ArrayLike]) -> dict[str, float]:
    """Prior probability that a line is an element's: the root of the flux that the element moves, summed to 1.

    The more lines theory has of an element, the more of them it may lack; the root, because it lacks lines of the
    elements with few of them, too.

    Args:
        gradients: ∂flux/∂[X/Fe] by element, shape (L,) each.
    """
    moved = {name: float(np.sqrt(np.nansum(np.abs(np.asarray(g, float))))) for name, g in gradients.items()}
    total = sum(moved.values())
    if total <= 0:
        return {name: 1.0 / len(moved) for name in moved}
    return {name: size / total for name, size in moved.items()}
