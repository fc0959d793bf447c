r"""How far a regression can be trusted: what its kernel leaves open, in the unit of what left-out spectra show.

For any regression with a kernel matrix K, noise included, the error of spectrum n predicted from all others and its
expected variance are known in closed form (Rasmussen & Williams 2006, eq. 5.12):

.. math:: r_n = (K^{-1} u)_n / (K^{-1})_{nn} ,\qquad v_n = 1 / (K^{-1})_{nn} .

So the covariance of latents at x is v(x) S with S the mean of :math:`r_n r_n^T / v_n`.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from synth2obs.core.shapes import shaped


@shaped
def left_out_spread(
    factor: Float64[Tensor, "rows rows"], targets: Float64[Tensor, "rows latents"], spectra: int
) -> Float64[Tensor, "latents latents"]:
    """Mean of r rᵀ / v over left-out spectra, shape (D, D).

    Args:
        factor: Lower Cholesky factor of K.
        targets: What K was solved for, without the mean, shape (N, D).
        spectra: The first so many rows are spectra; others, differences, are not left out.
    """
    inverse = torch.cholesky_inverse(factor)
    scaled = (inverse @ targets)[:spectra] / inverse.diagonal()[:spectra, None].sqrt()
    return scaled.T @ scaled / spectra


@shaped
def open_variance(
    factor: Float64[Tensor, "rows rows"],
    cross: Float64[Tensor, "stars rows"],
    own: Float64[Tensor, " stars"],
) -> Float64[Tensor, " stars"]:
    """v(x) = k(x, x) − k(x)ᵀ K⁻¹ k(x), shape (B,), never negative.

    Args:
        factor: Lower Cholesky factor of K.
        cross: Kernel between stars and rows.
        own: k(x, x), the noise of a single spectrum included.
    """
    return (own - _known(factor, cross).square().sum(0)).clamp(min=0.0)


@shaped
def open_covariance(
    factor: Float64[Tensor, "rows rows"],
    cross: Float64[Tensor, "stars rows"],
    own: Float64[Tensor, "stars stars"],
) -> Float64[Tensor, "stars stars"]:
    """The same between stars, without the noise, shape (B, B); ``own`` is k(x, x')."""
    known = _known(factor, cross)
    return own - known.T @ known


def _known(factor: Tensor, cross: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(factor, cross.T, upper=False)
