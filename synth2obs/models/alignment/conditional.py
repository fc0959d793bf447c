"""Conditional alignment: the loss that teaches a morph, given labels, from encoded stars."""

from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.models.alignment.morph import Morph

FLOOR = 0.3
"""Error in latent units added to each star's own: theory's latents are not better known than that."""


class Alignment(NamedTuple):
    """Terms of the loss; scalars."""

    misfit: Tensor
    displacement: Tensor
    jacobian: Tensor

    def total(self, displacement: float, jacobian: float, dim: int) -> Tensor:
        """Weighted sum."""
        return self.misfit + (displacement * self.displacement + jacobian * self.jacobian) / dim


def alignment(morph: Morph, source: Tensor, u: Tensor, precision: Tensor, probes: Tensor) -> Alignment:
    r"""How far T(h(y)) is from encoded stars, and T from the identity.

    The misfit is :math:`\langle\ln(1 + |T(h(y_n)) - u_n|^2_{\Sigma_n} / D)\rangle`: a Student-like likelihood, so that
    a star with a wrong label or a companion does not pull.

    Args:
        morph: T.
        source: h(y) of the stars' labels, shape (N, D).
        u: Their encoded latents, shape (N, D).
        precision: Inverse covariance of these, shape (N, D, D).
        probes: Random directions for the Jacobian's norm, shape (K, N, D).
    """
    misfit = morph(source)[0] - u
    distance = torch.einsum("bi,bij,bj->b", misfit, precision, misfit) / u.shape[1]
    change = morph.minimal_change(source, probes)
    return Alignment(torch.log1p(distance).mean(), change["displacement"], change["jacobian"])


def precision_of(covariance: Tensor) -> Tensor:
    """Inverse of encoded covariances after adding `FLOOR`, shape (N, D, D)."""
    eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
    return torch.cholesky_inverse(torch.linalg.cholesky(covariance + FLOOR**2 * eye))
