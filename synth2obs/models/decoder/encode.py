"""Latents of complete spectra on the rest grid: of the grid itself, and of batches in the training of the decoder.

A solver of its own beside `models.fit.solver`, because it is differentiable in branch and trunk (training goes through
it) and knows neither instrument, velocity nor continuum: all that it needs of the pixels are two small arrays a star.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.decoder.branch import Branch
from synth2obs.models.decoder.decoder import Decoder

QUIET = 1e-3
"""Noise in normalised flux with which the grid itself is encoded: about that of its own arithmetic."""


STEPS = 8
"""Gauss–Newton steps from the origin: after four most spectra change no more, after eight all."""


LARGEST = 2.0
"""Largest change of a latent in one step."""


DAMPING = 1e-3
"""Of the first step, relative to the diagonal."""


@shaped
def encode_linear(
    branch: Branch,
    basis: Float[Tensor, "pixels functions"],
    residual: Float[Tensor, "stars pixels"],
    ivar: Float[Tensor, "stars pixels"],
    gradient: str,
    steps: int = STEPS,
) -> Float[Tensor, "stars latents"]:
    """Latents of residuals about the mean spectrum from the origin, differentiable in branch and basis.

    Args:
        branch: `models.decoder.branch.Branch`, or anything with its ``skip``, value and Jacobian.
        basis: Trunk at the chosen pixels, shape (P, K).
        residual, ivar: Shape (B, P).
        gradient: ``gauss-newton``: damped steps with (JᵀWJ + I)⁻¹JᵀWr. ``published``: one, z = −∇L of half the
            summed squared error without errors, as in Gradient Origin Networks (Bond-Taylor & Willcocks 2021).
        steps: Gauss–Newton steps.
    """
    if gradient == "published":
        at_origin = branch.jacobian(residual.new_zeros(1, branch.skip.shape[1]))[0]
        return ((residual * (ivar > 0)) @ basis) @ at_origin
    normal = torch.einsum("pk,bp,pl->bkl", basis, ivar, basis)
    return encode_reduced(branch, normal, (residual * ivar) @ basis, steps)


@shaped
def encode_reduced(
    branch: Branch,
    normal: Float[Tensor, "stars functions functions"],
    moment: Float[Tensor, "stars functions"],
    steps: int = STEPS,
) -> Float[Tensor, "stars latents"]:
    """Damped Gauss–Newton encoding from BᵀWB (B, K, K) and BᵀWr (B, K); shape (B, D).

    A step that raises −ln p of a spectrum is undone and damped for that spectrum alone, as in `models.fit.solver`.
    """
    u = normal.new_zeros(len(moment), branch.skip.shape[1])
    damping = normal.new_full((len(moment), 1), DAMPING)
    energy = _energy(branch, normal, moment, u)
    for _ in range(steps):
        jacobian = branch.jacobian(u)
        misfit = moment - torch.einsum("bkl,bl->bk", normal, branch(u))
        right = torch.einsum("bkd,bk->bd", jacobian, misfit) - u
        left = jacobian.mT @ normal @ jacobian
        left = left + torch.diag_embed(1.0 + damping * (1.0 + left.detach().diagonal(dim1=1, dim2=2)))
        step = torch.cholesky_solve(right[..., None], torch.linalg.cholesky(left))[..., 0]
        trial = u + step.clamp(-LARGEST, LARGEST)
        found = _energy(branch, normal, moment, trial)
        better = (found <= energy)[:, None]
        u, energy = torch.where(better, trial, u), torch.minimum(found, energy)
        damping = torch.where(better, damping * 0.2, damping * 8.0)
    return u


@torch.no_grad()
def _energy(branch: Branch, normal: Tensor, moment: Tensor, u: Tensor) -> Tensor:
    g = branch(u)
    return (torch.einsum("bkl,bl->bk", normal, g) * g - 2.0 * moment * g).sum(1) + u.square().sum(1)


@shaped
@torch.no_grad()
def encode_flux(decoder: Decoder, flux: Float[Tensor, "stars cells"]) -> Float[Tensor, "stars latents"]:
    """Latents of complete spectra on the rest grid with errors of `QUIET`, shape (N, L) → (N, D)."""
    basis = decoder.trunk.table().double() / QUIET
    normal = basis.T @ basis
    parts = [
        encode_reduced(decoder.branch, normal.expand(len(part), -1, -1), part.double() @ basis / QUIET)
        for part in (flux - decoder.mean).split(64)
    ]
    return torch.cat(parts).float()
