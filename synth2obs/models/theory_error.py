"""How wrong theory's predictions may be: the emulator's covariance, and what the decoder leaves."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import Emulator, RestFrameDecoder

FLOOR = 1e-12
"""Variance of latents that keeps a covariance positive."""


@shaped
class TheoryError(nn.Module):
    r"""Error of labels → flux in the rest frame, calibrated on spectra that took no part.

    .. math:: \mathrm{var}\,S(\lambda) = f \left[ \textstyle\sum_r (B\, F_r)^2(\lambda) \right] + s^2(\lambda) ,\qquad
              F F^T = \tfrac{\partial g}{\partial u} C \left(\tfrac{\partial g}{\partial u}\right)^T

    with C the emulator's covariance of latents, f one number that makes it right for held-out spectra, and s² the mean
    square of what the decoder leaves of them.

    Args:
        cells: Length L of the rest grid.
    """

    inflation: Tensor
    remainder: Tensor

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.register_buffer("inflation", torch.ones((), dtype=torch.float64))
        self.register_buffer("remainder", torch.zeros(cells))

    def latent_factor(
        self, emulator: Emulator, x: Float64[Tensor, "stars labels"]
    ) -> Float64[Tensor, "stars latents latents2"]:
        """A root of the covariance of theory's latents at scaled labels, (B, K) → (B, D, D)."""
        covariance = self.inflation * emulator.covariance(x)
        floor = FLOOR * torch.eye(covariance.shape[1], dtype=covariance.dtype)
        return torch.linalg.cholesky(covariance + floor)

    def of_emulator(
        self, decoder: RestFrameDecoder, emulator: Emulator, x: Float64[Tensor, "stars labels"]
    ) -> Float[Tensor, "stars cells"]:
        """Variance of theory's flux in the rest frame that the emulator's error causes, (B, K) → (B, L)."""
        moved = decoder.weights_jacobian(emulator(x)) @ self.latent_factor(emulator, x)
        trunk = decoder.functions()[:, 1:]
        return torch.stack([(trunk @ own.float()).square().sum(1) for own in moved])

    def variance(
        self, decoder: RestFrameDecoder, emulator: Emulator, x: Float64[Tensor, "stars labels"]
    ) -> Float[Tensor, "stars cells"]:
        """The same, and what the decoder leaves, (B, K) → (B, L)."""
        return self.of_emulator(decoder, emulator, x) + self.remainder

    @torch.no_grad()
    def calibrate(
        self,
        decoder: RestFrameDecoder,
        emulator: Emulator,
        x: Float64[Tensor, "stars labels"],
        flux: Float[Tensor, "stars cells"],
        latent: Float[Tensor, "stars latents"],
    ) -> None:
        """Learn both from spectra that took no part.

        Args:
            decoder: Trained.
            emulator: Fitted.
            x: Scaled labels, shape (N, K).
            flux: Their spectra, shape (N, L).
            latent: Encoded from these, shape (N, D).
        """
        self.inflation.fill_(1.0)
        self.remainder.copy_((decoder(latent) - flux).square().mean(0))
        found = (decoder(emulator(x).float()) - decoder(latent)).square()
        expected = self.variance(decoder, emulator, x) - self.remainder
        self.inflation.copy_(found.double().mean() / expected.double().mean().clamp(min=FLOOR))
