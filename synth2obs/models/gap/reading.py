"""Labels read from latents, so that encodings, which know no labels, have a gap too."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from synth2obs.core.shapes import shaped

LABELS = ("5040 K / teff", "logg", "fe_h")
"""What is read, in units of the grid's standard deviations: the first scaled labels of every grid."""

RIDGE = 1e-2
"""Of the regression."""

BEND = 2.5
"""Labels level off at this many grid standard deviations: a gap never runs away."""


@shaped
class LabelReading(nn.Module):
    """Teff, log g and [Fe/H], linear in the latent and bent at ±`BEND`; zero until `learn` is called.

    Args:
        latent: Length D of the latent.
    """

    readout: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("readout", torch.zeros(len(LABELS), latent, dtype=torch.float64))

    @torch.no_grad()
    def learn(self, latents: Float64[Tensor, "stars latents"], x: Float64[Tensor, "stars labels"]) -> None:
        """Ridge regression of scaled labels (N, K) on theory's latents (N, D), both float64."""
        normal = latents.T @ latents + RIDGE * torch.eye(latents.shape[1], dtype=torch.float64)
        moment = latents.T @ x[:, : len(LABELS)]
        self.readout.copy_(torch.cholesky_solve(moment, torch.linalg.cholesky(normal)).T)

    def forward(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars read"]:
        """Labels, (B, D) → (B, 3)."""
        return BEND * torch.tanh(u @ self.readout.T / BEND)

    def jacobian(self, labels: Float[Tensor, "stars read"]) -> Float[Tensor, "stars read latents"]:
        """∂labels/∂u where they are these, shape (B, 3, D)."""
        return (1.0 - (labels / BEND).square())[..., None] * self.readout
