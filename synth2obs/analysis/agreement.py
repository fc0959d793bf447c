r"""Whether two measurements of one star agree within their errors, where both know the same prior.

A measurement is the mean of a posterior: :math:`\hat\theta = m + C \Lambda (z - m)` with data :math:`z = \theta + n`,
:math:`\mathrm{cov}\,n = \Lambda^{-1}`, a prior of precision P about m, and :math:`C = (\Lambda + P)^{-1}`. The prior
draws both to the same m, so that their difference is *less* than the sum of their posteriors:

.. math:: \mathrm{cov}(\hat\theta_2 - \hat\theta_1) = q_1 (C_1 - C_1 P C_1) + q_2 (C_2 - C_2 P C_2)
          + (C_2 - C_1) P (C_2 - C_1) ,

with q the noise over what the fit believed. With q = 1 it is :math:`C_1 + C_2 - C_1 P C_2 - C_2 P C_1`: zero where
neither spectrum says anything, and the sum of posteriors only where the prior says nothing.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.bootstrap import DRAWS, Score, bootstrap
from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.models.fit.cholesky import positive

ROUNDING = 1e-9
"""Share of the largest eigenvalue below which a covariance holds nothing but rounding."""


def difference_covariance(
    first: Tensor, second: Tensor, prior: Tensor, noise: Tensor | None = None
) -> Tensor:
    """Covariance of the second measurement minus the first, as above.

    Args:
        first, second: Posterior covariances C₁ and C₂, shape (N, Q, Q).
        prior: Precision P, shape (Q, Q) or (N, Q, Q); 0 for what has no prior.
        noise: Variance of the noise over what the fits believed, q₁ and q₂, shape (2, N); 1 if left out.

    Returns:
        Shape (N, Q, Q).
    """
    scales = torch.ones(2, len(first), dtype=first.dtype) if noise is None else noise
    apart = second - first
    return sum(
        (
            scale[:, None, None] * sampling_covariance(own, prior)
            for scale, own in zip(scales, (first, second), strict=True)
        ),
        start=apart @ prior @ apart,
    )


def sampling_covariance(posterior: Tensor, prior: Tensor) -> Tensor:
    """C − C P C (N, Q, Q): how far a posterior's mean moves with the noise; what is held does not."""
    return positive(posterior - posterior @ prior @ posterior)


def whitened(difference: Tensor, covariance: Tensor) -> Tensor:
    """Differences (N, Q) along the axes of their covariance (N, Q, Q) in its σ; NaN where it has none.

    All are N(0, 1) if the covariance is right, however the elements are correlated.
    """
    values, vectors = torch.linalg.eigh(0.5 * (covariance + covariance.mT))
    along = (vectors.mT @ difference[..., None])[..., 0]
    known = values > ROUNDING * values[:, -1:]
    return along / values.where(known, torch.nan).sqrt()


def spread_over(pulls: NDArray[np.float64], groups: NDArray[Any]) -> Score:
    """`spread` of pulls (N,), and its error by drawing groups (N,), e.g. stars, anew."""
    return bootstrap(lambda rows: spread(pulls[rows]), groups, DRAWS)


def spread(pulls: NDArray[np.float64]) -> float:
    """Robust standard deviation of pulls about zero, without those that are NaN; NaN for none."""
    known = pulls[np.isfinite(pulls)]
    return float(MAD_TO_SIGMA * np.median(np.abs(known))) if known.size else float("nan")
