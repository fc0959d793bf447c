"""Radial velocity as a shift in ln λ."""

import torch
from jaxtyping import Float
from torch import Tensor

from synth2obs.core.constants import C_KMS
from synth2obs.core.shapes import shaped


@shaped
def log_doppler(rv: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Shift ln λ_observed − ln λ_rest of a purely radial velocity.

    The relativistic factor sqrt((1 + β) / (1 − β)) is exp(atanh β), with β = rv / c
    (Rybicki & Lightman 1979, eq. 4.11 for motion along the line of sight).

    Args:
        rv: km/s, positive when receding, any shape.

    Returns:
        Shift in ln λ, same shape; not finite where abs(rv) ≥ c.
    """
    return torch.atanh(rv / C_KMS)


@shaped
def velocity_of_shift(shift: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Radial velocity in km/s of a shift in ln λ: the inverse of `log_doppler`."""
    return C_KMS * torch.tanh(shift)


@shaped
def doppler_shift(
    log_wave: Float[Tensor, "... cells"], rv: Float[Tensor, " stars"]
) -> Float[Tensor, "stars cells"]:
    """Observed ln λ of rest-frame ln λ.

    Args:
        log_wave: ln(λ/Å) in the star's rest frame, shape (L,) or (B, L).
        rv: km/s, positive when receding, shape (B,).

    Returns:
        Shape (B, L). Use float64: float32 resolves ln λ only to about 150 km/s × 1e-3.
    """
    return log_wave + log_doppler(rv)[:, None]
