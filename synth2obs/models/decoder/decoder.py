"""The rest-frame decoder: latent → spectrum, linear in flux so that it commutes with the instrument."""

import math

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from synth2obs.core.config import Section
from synth2obs.core.shapes import shaped
from synth2obs.core.wavelengths import band_positions, bands
from synth2obs.models.decoder.branch import Branch
from synth2obs.models.decoder.trunk import Trunk


class DecoderConfig(Section):
    """Sizes of a decoder."""

    latent: int = Field(
        default=32, ge=4, le=128, description="length of the latent; less for a small grid, unless it is set"
    )
    rank: int = Field(
        default=128,
        ge=4,
        le=512,
        description="functions of the trunk; at least latent; less for a small grid, unless it is set",
    )
    hidden: int = Field(default=512, ge=4, description="radial units of the branch")


@shaped
class Decoder(nn.Module):
    r"""Rest-frame flux :math:`S(\lambda; u) = \bar S(\lambda) + \sum_k B_k(\lambda)\, g_k(u)`.

    The latent is whitened: the grid is near N(0, I), and u = 0 is near the mean spectrum.

    Args:
        rest_wavelength: Vacuum Å, shape (L,): one or several bands, uniform in ln λ with one common step.
        rest_sigma: Gaussian σ of the grid's own resolution in Å, shape (L,).
        latent: Length D of the latent.
        rank: Number of trunk functions K ≥ D.
        hidden: Radial units of the branch.

    Raises:
        ValueError: If the rank is below the latent's length, or a band is too short to be interpolated.
        DataError: If the wavelengths do not increase.
    """

    rest_wavelength: Tensor
    rest_sigma: Tensor
    mean: Tensor

    def __init__(
        self,
        rest_wavelength: Float[Tensor, " cells"],
        rest_sigma: Float[Tensor, " cells"],
        *,
        latent: int,
        rank: int,
        hidden: int,
    ) -> None:
        super().__init__()
        if rank < latent:
            raise ValueError(
                f"rank must be at least the latent's length {latent}, got {rank}; raise decoder.rank"
            )
        self.register_buffer("rest_wavelength", rest_wavelength.double())
        self.register_buffer("rest_sigma", rest_sigma.double())
        self.register_buffer("mean", torch.ones(len(rest_wavelength)))
        starts = [band.start for band in bands(rest_wavelength.double().cpu().numpy())]
        self.trunk = Trunk(len(rest_wavelength), rank, starts=starts)
        self.branch = Branch(latent, rank, hidden)
        self.latent, self.rank = latent, rank

    def forward(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars cells"]:
        """Normalised rest-frame flux on the rest grid, shape (B, L)."""
        return self.mean + self.branch(u) @ self.trunk.table().T

    def functions(self) -> Float[Tensor, "cells columns"]:
        """Mean and trunk on the rest grid, shape (L, 1 + K)."""
        return torch.cat([self.mean[:, None], self.trunk.table()], dim=1)

    @property
    def sizes(self) -> dict[str, int]:
        """What the constructor was told, by name."""
        return {"latent": self.latent, "rank": self.rank, "hidden": self.branch.inner.out_features}

    def weights(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars functions"]:
        """Coefficients of the trunk, (B, D) → (B, K), in the precision of u."""
        return self.branch(u)

    def weights_jacobian(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars functions latents"]:
        """∂weights/∂u, shape (B, K, D)."""
        return self.branch.jacobian(u)

    def at(
        self, u: Float[Tensor, "stars latents"], wavelength: Float[Tensor, " places"]
    ) -> Float[Tensor, "stars places"]:
        """Flux at any rest wavelengths in vacuum Å, shape (N,) → (B, N).

        Raises:
            DataError: If a wavelength lies outside the rest grid or in a hole between its bands.
        """
        grid = self.rest_wavelength.cpu().numpy()
        found = band_positions(wavelength.detach().double().cpu().numpy(), grid)
        position = torch.from_numpy(found).to(self.mean.device)
        mean = self.trunk.between(self.mean[:, None], position)[:, 0]
        return mean + self.branch(u) @ self.trunk(position).T

    @torch.no_grad()
    def start_from(
        self,
        flux: Float[Tensor, "stars cells"],
        *,
        also: Float[Tensor, "rows cells"] | None = None,
        whiten: bool = True,
    ) -> None:
        """Take mean, trunk and skip from the singular value decomposition of a grid, shape (N, L).

        Rows ``also``, shape (R, L), are changes of flux that the trunk shall span beside the spectra's own.

        One Gauss–Newton step from the origin is then the projection on the first D components; so is the
        published gradient step, if the trunk is left orthonormal (``whiten=False``).
        """
        self.mean.copy_(flux.mean(0))
        offset = flux - self.mean if also is None else torch.cat([flux - self.mean, also])
        _, singular, vectors = torch.linalg.svd(offset.double(), full_matrices=False)
        rank = min(self.rank, len(singular))
        scale = singular[:rank] / math.sqrt(len(flux)) if whiten else torch.ones(rank, dtype=torch.float64)
        self.trunk.fine[:, :rank] = (vectors[:rank].T * scale).float()
        self.branch.skip.copy_(torch.eye(self.rank, self.latent))
