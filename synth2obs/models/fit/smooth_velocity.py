r"""A smooth function through the velocities of windows, and whether there is any: Bayesian evidence.

Windows' velocities v have the information M about a common unknown constant, and are

.. math:: v = B w + \epsilon , \qquad w_k \sim N(0, (\alpha / \max(k, 1))^2) , \qquad \epsilon \sim N(0, \tau^2) ,

with Chebyshev polynomials B on each detector and τ a scatter of the windows: lines that theory has in a wrong place
are no noise of the stars. Both scales are averaged over, each degree has its evidence, and none of them applies unless
it is far more probable than no distortion at all.
"""

from typing import NamedTuple

import torch
from torch import Tensor

ODDS = 3.0
"""Least ln odds of a distortion against none: one in twenty."""

SCALES = torch.logspace(-1.0, 2.0, 13, dtype=torch.float64)
"""α in km/s."""

SCATTERS = torch.cat([torch.zeros(1), torch.logspace(-1.5, 1.5, 13)]).double()
"""τ in km/s."""

KNOWN = 1e-7
"""Share of the largest information below which nothing is known of a combination of windows."""


class Smooth(NamedTuple):
    """The most probable degree.

    Args:
        degree: -1 where no degree is probable enough.
        log_odds: ln evidence of the best degree against no distortion.
        weight: Shape (K,); that of the best degree, or 0 if it is not probable enough.
        covariance: Of the weight, (K, K); about zero if the weight is zero.
        scatter: τ in km/s.
    """

    degree: int
    log_odds: float
    weight: Tensor
    covariance: Tensor
    scatter: float


class _Tried(NamedTuple):
    """One degree; all grids over α and τ."""

    evidence: float  # ln, averaged
    weight: Tensor
    covariance: Tensor
    scatter: float


def smooth(velocity: Tensor, information: Tensor, basis: Tensor, order: Tensor, most: int) -> Smooth:
    """The polynomials that windows speak for.

    Args:
        velocity: v in km/s, shape (W,); a common constant means nothing.
        information: M, inverse of its covariance without the scatter, shape (W, W).
        basis: B, shape (W, K).
        order: Degree of each of its columns, shape (K,).
        most: Highest degree that is tried.
    """
    spread, rotation = torch.linalg.eigh(information)
    sure = spread > KNOWN * spread[-1]
    turned, noise = rotation[:, sure].T, 1.0 / spread[sure]
    seen, design = turned @ velocity, turned @ basis
    none = _tried(seen, noise, design[:, :0], order[:0], basis.shape[1], torch.ones(0, dtype=torch.bool))
    detectors = int((order == 0).sum())
    degrees = range(0 if detectors > 1 else 1, most + 1)
    tried = {
        degree: _tried(seen, noise, design, order, basis.shape[1], order <= degree) for degree in degrees
    }
    if not tried:
        return Smooth(-1, 0.0, none.weight, none.covariance, none.scatter)
    degree = max(tried, key=lambda one: tried[one].evidence)
    best = tried[degree]
    odds = best.evidence - none.evidence
    if odds > ODDS:
        return Smooth(degree, odds, best.weight, best.covariance, best.scatter)
    about_zero = best.covariance + torch.outer(best.weight, best.weight)
    return Smooth(-1, odds, torch.zeros_like(best.weight), about_zero, none.scatter)


def _tried(seen: Tensor, noise: Tensor, design: Tensor, order: Tensor, size: int, used: Tensor) -> _Tried:
    """Evidence and posterior of some columns, averaged over both scales."""
    own, prior = design[:, used], order[used].clamp(min=1).double().reciprocal().square()
    scales = SCALES if own.shape[1] else SCALES[:1]
    logs, weights, covariances = [], [], []
    for scale in scales.tolist():
        for scatter in SCATTERS.tolist():
            evidence, weight, covariance = _posterior(seen, noise + scatter**2, own, scale**2 * prior)
            logs.append(evidence)
            weights.append(weight)
            covariances.append(covariance)
    log = torch.stack(logs)
    share = log.softmax(0)
    each = torch.stack(weights)
    mean = share @ each
    off = each - mean
    spread = torch.einsum("s,sij->ij", share, torch.stack(covariances))
    spread = spread + torch.einsum("s,si,sj->ij", share, off, off)
    weight, covariance = torch.zeros(size).double(), torch.zeros(size, size).double()
    weight[: len(used)][used] = mean
    place = used.nonzero()[:, 0]
    covariance[place[:, None], place] = spread
    scatters = SCATTERS.repeat(len(scales))
    found = float((share * scatters).sum())
    return _Tried(float(log.logsumexp(0)) - float(torch.tensor(len(log)).log()), weight, covariance, found)


def _posterior(seen: Tensor, noise: Tensor, design: Tensor, prior: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Ln evidence, mean and covariance of the weights for independent noise (variance) and prior (variance)."""
    root = prior.sqrt()
    scaled = design * root
    weighted = scaled / noise[:, None]
    inner = torch.eye(len(prior), dtype=torch.float64) + scaled.T @ weighted
    factor = torch.linalg.cholesky(inner)
    pulled = weighted.T @ seen
    mean = torch.cholesky_solve(pulled[:, None], factor)[:, 0]
    misfit = (seen.square() / noise).sum() - pulled @ mean
    determinant = noise.log().sum() + 2.0 * factor.diagonal().log().sum()
    covariance = root[:, None] * torch.cholesky_inverse(factor) * root if len(prior) else inner
    return -0.5 * (misfit + determinant), root * mean, covariance
