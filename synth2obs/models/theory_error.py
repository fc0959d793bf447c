"""How wrong theory's predictions may be: the emulator's covariance, and what the decoder leaves."""

from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import Emulator, RestFrameDecoder

FLOOR = 1e-12
"""Variance of latents that keeps a covariance positive, and of flux that keeps a ratio finite."""

BATCH = 16
"""Stars at once: each is as many spectra as it has latents."""


@shaped
class TheoryError(nn.Module):
    r"""Error of labels → flux in the rest frame, calibrated on spectra that took no part.

    .. math:: \mathrm{var}\,S(\lambda) = V(\lambda) + \bar V s(\lambda) ,\qquad
              V = f \textstyle\sum_r (B\, F_r)^2 ,\qquad
              F F^T = \tfrac{\partial g}{\partial u} C \left(\tfrac{\partial g}{\partial u}\right)^T

    with C the emulator's covariance of latents, f one number that makes it right for held-out spectra on average over
    stars, :math:`\bar V` the mean of V over wavelength, and s how large the square of what the decoder leaves is beside
    it. Both parts follow the star: one that is emulated badly is decoded badly too.

    Args:
        cells: Length L of the rest grid.
    """

    inflation: Tensor
    remainder: Tensor
    share: Tensor

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.register_buffer("inflation", torch.ones((), dtype=torch.float64))
        self.register_buffer("remainder", torch.zeros(cells))  # mean square of what the decoder leaves
        self.register_buffer("share", torch.zeros(cells))  # s

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
        """The part V of `variance` that the emulator causes, (B, K) → (B, L)."""
        trunk = decoder.functions()[:, 1:]
        moved = self._moved(decoder, emulator, x)
        return torch.stack([(trunk @ own.float()).square().sum(1) for own in moved])

    def variance(
        self, decoder: RestFrameDecoder, emulator: Emulator, x: Float64[Tensor, "stars labels"]
    ) -> Float[Tensor, "stars cells"]:
        """Variance of theory's flux in the rest frame, (B, K) → (B, L)."""
        emulated = self.of_emulator(decoder, emulator, x)
        return emulated + self._left(emulated.mean(1))

    def left(
        self, decoder: RestFrameDecoder, emulator: Emulator, x: Float64[Tensor, "stars labels"]
    ) -> Float[Tensor, "stars cells"]:
        """The part of `variance` that the decoder leaves, (B, K) → (B, L)."""
        trunk = decoder.functions()[:, 1:]
        gram = (trunk.T @ trunk / len(trunk)).double()
        moved = self._moved(decoder, emulator, x)
        return self._left((moved * (gram @ moved)).sum((1, 2)).float())

    @torch.no_grad()
    def calibrate(
        self,
        decoder: RestFrameDecoder,
        emulator: Emulator,
        x: Float64[Tensor, "stars labels"],
        flux: Float[Tensor, "stars cells"],
        latent: Float[Tensor, "stars latents"],
    ) -> None:
        """Learn all three from spectra that took no part.

        Args:
            decoder: Trained.
            emulator: Fitted.
            x: Scaled labels, shape (N, K).
            flux: Their spectra, shape (N, L).
            latent: Encoded from these, shape (N, D).
        """
        self.inflation.fill_(1.0)
        left = (decoder(latent) - flux).square()
        found = (decoder(emulator(x).float()) - decoder(latent)).square().mean(1).double()
        parts = [self.of_emulator(decoder, emulator, part).mean(1) for part in x.split(BATCH)]
        expected = torch.cat(parts).double().clamp(min=FLOOR)
        self.inflation.copy_((found / expected).mean())
        self.remainder.copy_(left.mean(0))
        self.share.copy_((left / (self.inflation * expected).clamp(min=FLOOR)[:, None]).mean(0))

    def _moved(self, decoder: RestFrameDecoder, emulator: Emulator, x: Tensor) -> Tensor:
        """F, shape (B, K, D)."""
        return decoder.weights_jacobian(emulator(x)) @ self.latent_factor(emulator, x)

    def _left(self, mean: Tensor) -> Tensor:
        """What the decoder leaves of stars with a mean of V, (B,) → (B, L); of all stars alike until s is learned."""
        if not bool(self.share.any()):
            return self.remainder.expand(len(mean), -1)
        return mean[:, None] * self.share

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """What was saved without s has none."""
        state.setdefault(prefix + "share", torch.zeros_like(self.share))
        super()._load_from_state_dict(state, prefix, *rest)
