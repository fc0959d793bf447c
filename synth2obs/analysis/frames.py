r"""What stars' residuals have at fixed observed wavelengths, and what they have at fixed rest wavelengths.

.. math:: r_n(\lambda) = O(\lambda) + R(\lambda / D_n) + \varepsilon_n ,
          \qquad D_n = \sqrt{(1 + \beta_n) / (1 - \beta_n)} .

O is the sky's or the Earth's atmosphere's, R the stars'. Both are linear between nodes in ln λ, with priors of heavy
tails (Student t of one degree of freedom, by EM), so that few nodes that need something are free; so is ε of each pixel
(four). R's prior is the wider one: what the two could share is the stars'.

Wavelengths of surveys are barycentric, and the Earth moves by up to 30 km/s about that frame in the course of a year:
what is fixed in the telescope is blurred in O by as much, unless all spectra are of one season.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import LabelFit
from synth2obs.physics.doppler import log_doppler

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

OBSERVED, REST = 2e-3, 6e-3
"""Widths of the priors of O and R in units of the continuum; their tails are heavy."""

WIDE = 0.05
"""Width of the normal priors with which it is asked whether the two can be told apart."""

UNTOLD = 0.25
"""Share of the wide prior's variance left in O above which it is not told from R: ½ is left if nothing is told."""

WINDOW, BESIDE = 150, 15
"""Nodes solved for together, and those beside them, beyond the largest shift, that are solved for but not kept."""

ROUNDS, TAILS, PIXEL_TAILS = 8, 1.0, 4.0
"""Steps of EM, and degrees of freedom of the functions and of a pixel's error."""


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The two parts. P nodes.

    Args:
        wavelength: Of the nodes in Å, shape (P,).
        observed: O in units of the continuum, 0 where the two cannot be told apart, shape (P,).
        observed_error: Its posterior σ, infinite there, shape (P,).
        rest: R, shape (P,).
        rest_error: Its posterior σ, shape (P,).
        moved: What O leaves at rest in the mean of the stars, shape (P,): a gap has it beside R.
        untold: Where velocities do not tell the two apart, or no star has a pixel, shape (P,).
        spread: Standard deviation of the stars' shifts, in nodes.
    """

    wavelength: Floats
    observed: Floats
    observed_error: Floats
    rest: Floats
    rest_error: Floats
    moved: Floats
    untold: Bools
    spread: float

    def foreign(self, wavelength: float, depth: float, share: float = 0.5) -> bool:
        """Whether a line of a gap, at rest in Å and with its depth (> 0: absorbs more), is for the most part O's."""
        there = -float(np.interp(wavelength, self.wavelength, self.moved))
        return there * np.sign(depth) > share * abs(depth)

    def fixed(self, sigmas: float = 5.0) -> Bools:
        """Nodes at which something stands still in the observed frame, shape (P,)."""
        return np.abs(self.observed) > sigmas * self.observed_error


def separate(
    residual: Floats, ivar: Floats, log_wave: Floats, shift: Floats, nodes: Floats, segment: NDArray[np.int64]
) -> Frames:
    """Tell what stands still in the observed frame from what moves with the stars.

    Args:
        residual: Observed minus predicted flux in units of the continuum, no gap in the prediction, shape (N, P).
        ivar: Of it, theory's error included, shape (N, P); 0 where masked.
        log_wave: ln λ in the observed frame, shape (P,) or (N, P).
        shift: ln of every star's Doppler factor, shape (N,).
        nodes: ln λ of the nodes, increasing in every detector, shape (P,).
        segment: Detector of each pixel and node, shape (P,).

    Raises:
        ValueError: If there is no star.
    """
    if not len(residual):
        raise ValueError("no star, got residuals of shape (0, P); give those of stars at several velocities")
    found = np.zeros((4, len(nodes)))
    untold = np.ones(len(nodes), bool)
    waves = np.broadcast_to(log_wave, residual.shape)
    steps = float(np.median(np.diff(nodes)))
    for here, kept in _windows(nodes, segment, float(np.abs(shift).max()) / steps):
        part = _window(residual[:, here], ivar[:, here], waves[:, here], shift, nodes[here])
        inner = np.isin(here, kept)
        found[:, kept], untold[kept] = part[:4, inner], part[4, inner] > 0
    found[0, untold], found[1, untold] = 0.0, np.inf
    moved = np.mean([np.interp(nodes + one, nodes, found[0]) for one in shift], axis=0)
    return Frames(
        wavelength=np.exp(nodes),
        observed=found[0],
        observed_error=found[1],
        rest=found[2],
        rest_error=found[3],
        moved=moved,
        untold=untold,
        spread=float(np.std(shift)) / steps,
    )


def _windows(
    nodes: Floats, segment: NDArray[np.int64], reach: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Nodes of every window with those beside it, and those that are kept."""
    beside = math.ceil(reach) + BESIDE
    for number in np.unique(segment):
        own = np.nonzero(segment == number)[0]
        for start in range(0, len(own), WINDOW):
            yield (
                own[max(start - beside, 0) : start + WINDOW + beside],
                own[start : start + WINDOW],
            )


def _window(residual: Floats, ivar: Floats, waves: Floats, shift: Floats, nodes: Floats) -> Floats:
    """O, its σ, R, its σ, and whether they are untold, shape (5, K)."""
    count = len(nodes)
    still, still_inside = _hats(waves, nodes)
    moving, moving_inside = _hats(waves - shift[:, None], nodes)
    design = sparse.hstack([still, moving]).tocsr()
    weight = np.where(still_inside & moving_inside, ivar, 0.0).ravel()
    value = residual.ravel()
    width = np.repeat([OBSERVED, REST], count)
    tail, pixel = np.ones(2 * count), np.ones(len(value))
    for _ in range(ROUNDS):
        mean, covariance = _posterior(design, weight * pixel, value, width**-2.0 * tail)
        power = mean**2 + covariance.diagonal()
        tail = (TAILS + 1.0) / (TAILS + power / width**2)
        left = value - design @ mean
        pixel = (PIXEL_TAILS + 1.0) / (PIXEL_TAILS + left**2 * weight)
    sigma = np.sqrt(covariance.diagonal())
    _, wide = _posterior(design, weight, value, np.full(2 * count, WIDE**-2.0))
    untold = wide.diagonal()[:count] > UNTOLD * WIDE**2
    return np.stack([mean[:count], sigma[:count], mean[count:], sigma[count:], untold])


def _hats(waves: Floats, nodes: Floats) -> tuple[sparse.csr_matrix, Bools]:
    """Linear interpolation between nodes, shape (N P, K), and where pixels lie among them, shape (N, P)."""
    at = np.interp(waves.ravel(), nodes, np.arange(len(nodes)))
    left = np.clip(at.astype(np.intp), 0, len(nodes) - 2)
    share, rows = at - left, np.arange(len(at))
    values = np.concatenate([1.0 - share, share])
    where = np.concatenate([rows, rows]), np.concatenate([left, left + 1])
    inside = (waves >= nodes[0] - 1e-9) & (waves <= nodes[-1] + 1e-9)
    return sparse.csr_matrix((values, where), shape=(len(at), len(nodes))), inside


def _posterior(
    design: sparse.csr_matrix, weight: Floats, value: Floats, precision: Floats
) -> tuple[Floats, Floats]:
    """Mean (2 K,) and covariance (2 K, 2 K)."""
    weighted = design.multiply(weight[:, None]).tocsr()
    covariance = np.linalg.inv((weighted.T @ design).toarray() + np.diag(precision))
    return np.asarray(covariance @ (weighted.T @ value)), np.asarray(covariance)


@torch.no_grad()
def survey_frames(bridge: Bridge, seen: Observation, fit: LabelFit) -> Frames:
    """`separate` for the stars of a survey, to whose residuals the typical star's gap is given back before.

    Args:
        bridge: By which the labels were fitted.
        seen: The stars; those that theory does not explain, or outside the grid, are better left out (`teachers`).
        fit: Their labels.
    """
    model = bridge.survey(seen.survey)
    typical = bridge.gap_features(seen.survey, fit.x).median(0, keepdim=True).values
    gap = model.gap(typical.float()).expand(len(seen), -1)
    rows = seen.instrument_rows(torch.arange(len(seen)))
    residual = fit.residual + seen.instrument(gap, fit.rv, 0.0, rows)
    _, left = model.spreads(seen.instrument, fit.rv, rows)
    good = (fit.ivar > 0) & (fit.continuum.abs() > 1e-3)
    noise = model.noise.variance(seen.ivar * fit.continuum.square(), seen.log_wave)
    ivar = torch.where(good, 1.0 / (noise + left.square()), 0.0)
    return separate(
        torch.where(good, residual, 0.0).double().numpy(),
        ivar.double().numpy(),
        seen.log_wave.double().numpy(),
        log_doppler(fit.rv).numpy(),
        model.true_wavelength.log().numpy(),
        model.segment.numpy(),
    )
