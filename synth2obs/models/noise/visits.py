r"""Differences between spectra of one star: what errors really are, whatever theory says of the star.

With f, σ² two visits' fluxes and quoted variances, c(λ) a polynomial per detector and δ a velocity,

.. math:: d = f_1 - c\, f_2(\lambda e^{-\delta}) , \qquad \mathrm{var}\, d = \sigma_1^2 + c^2 \sigma_2^2 .
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.core.constants import C_KMS, MAD_TO_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.physics.continuum import chebyshev_basis

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TIME = "mjd"
"""Column of ``native`` by which visits are put in order."""

ROUNDS = 4
"""Fits of ratio and velocity, each of which leaves out what was strange in the one before."""

STRANGE = 5.0
"""Differences beyond so many widths take no part in a ratio."""

KNOWN = 5.0
"""Errors by which published velocities have to differ to be where the search begins."""


class Difference(NamedTuple):
    """Two visits of one star, in the pixels of the first. P pixels.

    Args:
        value: d, shape (P,), 0 where masked.
        quoted: Its variance by quoted errors, shape (P,).
        light: f₁² + c² f₂², shape (P,): what an error that is a fraction of the flux goes with.
        log_wave: ln λ, shape (P,).
        good: Where both are good, shape (P,).
        velocity: Of the second minus that of the first in km/s.
    """

    value: Floats
    quoted: Floats
    light: Floats
    log_wave: Floats
    good: Bools
    velocity: float


class _Visit(NamedTuple):
    """Flux, variance and whether it is good, shape (P,) each."""

    flux: Floats
    variance: Floats
    good: Bools


def neighbours(spectra: Spectra, star: NDArray[np.str_] | None = None) -> Iterator[tuple[str, int, int]]:
    """Star and rows of every two visits that follow each other.

    Args:
        spectra: Of one survey. In the order of ``native["mjd"]`` where it has that, else in their own.
        star: Name of every spectrum's star, shape (N,); by default what the survey calls it.
    """
    names = spectra.star if star is None else star
    time = np.asarray(spectra.native.get(TIME, np.arange(len(spectra))), float)
    for name in np.unique(names):
        rows = np.nonzero(names == name)[0]
        rows = rows[np.argsort(time[rows], kind="stable")]
        for first, second in zip(rows[:-1], rows[1:], strict=True):
            yield str(name), int(first), int(second)


def difference(spectra: Spectra, first: int, second: int, order: int) -> Difference | None:
    """What is left of one visit when the other, at its velocity and with its continuum, is taken from it.

    Args:
        spectra: Of one survey.
        first, second: Rows of the same star.
        order: Degree of the ratio's polynomial on every detector.

    Returns:
        None if the two are one observation twice, or share too few pixels for the ratio.

    Raises:
        DataError: If the spectra have no ivar.
    """
    if spectra.ivar is None:
        raise DataError("ivar is needed to compare visits; a grid has none", field="ivar")
    wave = _wavelength(spectra, first)
    basis = chebyshev_basis(torch.as_tensor(wave), torch.as_tensor(spectra.segment.astype(int)), order)
    one, velocity = _visit(spectra, first), _start(spectra, first, second)
    if _same(one, _visit(spectra, second)):
        return None
    found, strange = None, np.zeros(len(wave), bool)
    for _ in range(ROUNDS):
        two = _moved(spectra, second, wave, velocity)
        if (one.good & two.good).sum() < 4 * basis.shape[1]:
            return None
        found, step = _fitted(one, two, wave, basis.numpy(), strange)
        velocity += step
        pull = np.abs(found.value) / np.sqrt(np.maximum(found.quoted, 1e-300))
        strange = pull > STRANGE * max(1.0, MAD_TO_SIGMA * float(np.median(pull[found.good])))
    assert found is not None
    return found._replace(velocity=velocity)


def _wavelength(spectra: Spectra, row: int) -> Floats:
    return np.asarray(spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[row], float)


def _visit(spectra: Spectra, row: int) -> _Visit:
    assert spectra.ivar is not None
    ivar = np.asarray(spectra.ivar[row], float)
    good = ivar > 0
    return _Visit(
        np.where(good, np.asarray(spectra.flux[row], float), 0.0),
        np.where(good, 1.0 / np.where(good, ivar, 1.0), 0.0),
        good,
    )


def _same(one: _Visit, two: _Visit) -> bool:
    both = one.good & two.good
    return (
        bool(both.any())
        and float(np.isclose(one.flux[both], two.flux[both], rtol=1e-5, atol=0.0).mean()) > 0.5
    )


def _start(spectra: Spectra, first: int, second: int) -> float:
    """Difference of published velocities where there certainly is one: of one star it is 0 unless it moves."""
    change = float(spectra.rv[second] - spectra.rv[first])
    error = float(np.hypot(spectra.rv_error[second], spectra.rv_error[first]))
    certain = spectra.frame != "rest" and np.isfinite(change + error) and abs(change) > KNOWN * error
    return change if certain else 0.0


def _moved(spectra: Spectra, row: int, wave: Floats, velocity: float) -> _Visit:
    """A visit in pixels of another, at a velocity less by ``velocity``: cubic in flux, its variance that of the sum."""
    own, source = _visit(spectra, row), _wavelength(spectra, row)
    parts = [np.zeros(len(wave)), np.zeros(len(wave)), np.zeros(len(wave), bool)]
    for number in np.unique(spectra.segment):
        here = np.nonzero(spectra.segment == number)[0]
        at = np.interp(
            wave[here] * np.exp(velocity / C_KMS), source[here], np.arange(len(here)), -9.0, np.inf
        )
        left = np.clip(np.floor(np.where(np.isfinite(at), at, -9.0)), 1, max(len(here) - 3, 1)).astype(int)
        share = np.where(np.isfinite(at), at, -9.0) - left
        weight = _cubic(share)
        used = here[np.clip(left[:, None] + np.arange(-1, 3), 0, len(here) - 1)]
        parts[0][here] = (weight * own.flux[used]).sum(1)
        parts[1][here] = (weight**2 * own.variance[used]).sum(1)
        parts[2][here] = (own.good[used] | (np.abs(weight) < 1e-6)).all(1) & (share >= 0) & (share <= 1)
    return _Visit(*parts)


def _cubic(share: Floats) -> Floats:
    """Weights of four samples at −1, 0, 1, 2 for a value at ``share`` between 0 and 1 (Lagrange): (P,) → (P, 4)."""
    s = share
    return np.stack(
        [
            -s * (s - 1) * (s - 2) / 6,
            (s + 1) * (s - 1) * (s - 2) / 2,
            -(s + 1) * s * (s - 2) / 2,
            (s + 1) * s * (s - 1) / 6,
        ],
        axis=1,
    )


def _fitted(
    one: _Visit, two: _Visit, wave: Floats, basis: Floats, strange: Bools
) -> tuple[Difference, float]:
    """Ratio by weighted least squares, and how much faster the second star goes than was assumed, in km/s."""
    good = one.good & two.good
    use = good & ~strange
    ratio = np.full(len(wave), np.median(one.flux[use]) / np.median(two.flux[use]))
    log_wave = np.log(wave)
    step = 0.0
    for _ in range(2):
        quoted = one.variance + ratio**2 * two.variance
        weight = np.where(use, 1.0 / np.sqrt(np.where(use, quoted, 1.0)), 0.0)
        slope = np.where(good, np.gradient(ratio * two.flux, log_wave), 0.0)
        columns = np.column_stack([basis * two.flux[:, None], slope / C_KMS])
        found = np.linalg.lstsq(columns * weight[:, None], one.flux * weight, rcond=None)[0]
        ratio, step = basis @ found[:-1], float(found[-1])
    value = np.where(good, one.flux - columns @ found, 0.0)
    light = one.flux**2 + (ratio * two.flux) ** 2
    return Difference(value, one.variance + ratio**2 * two.variance, light, log_wave, good, 0.0), step
