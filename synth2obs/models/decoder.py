"""The rest-frame decoder: latent → spectrum, linear in flux so that it commutes with the instrument."""

import math

import torch
from torch import Tensor, nn

from synth2obs.models.trunk import Trunk


class Branch(nn.Module):
    r"""Coefficients of the trunk: :math:`g(u) = W u + V \tanh(A u + b)`, with V = 0 at the start.

    Args:
        latent: Length D of the latent.
        rank: Number of trunk functions K.
        hidden: Units of the nonlinear part.
    """

    def __init__(self, latent: int, rank: int, hidden: int) -> None:
        super().__init__()
        self.skip = nn.Parameter(torch.zeros(rank, latent))
        self.inner = nn.Linear(latent, hidden)
        self.outer = nn.Linear(hidden, rank, bias=False)
        nn.init.zeros_(self.outer.weight)

    def forward(self, u: Tensor) -> Tensor:
        """Coefficients, shape (B, K), of latents of shape (B, D)."""
        return u @ self.skip.T + self.outer(torch.tanh(self.inner(u)))

    def jacobian(self, u: Tensor) -> Tensor:
        """∂g/∂u, shape (B, K, D)."""
        slope = 1.0 - torch.tanh(self.inner(u)).square()
        return self.skip + torch.einsum("kh,bh,hd->bkd", self.outer.weight, slope, self.inner.weight)


class Decoder(nn.Module):
    r"""Rest-frame flux :math:`S(\lambda; u) = \bar S(\lambda) + \sum_k B_k(\lambda)\, g_k(u)`.

    The latent is whitened: the grid is near N(0, I), and u = 0 is the mean spectrum.

    Args:
        rest_wavelength: Vacuum Å, uniform in ln λ, shape (L,).
        rest_sigma: Gaussian σ of the grid's own resolution in Å, shape (L,).
        latent: Length D of the latent.
        rank: Number of trunk functions K ≥ D.
        hidden: Units of the branch's nonlinear part.
    """

    rest_wavelength: Tensor
    rest_sigma: Tensor
    mean: Tensor

    def __init__(
        self, rest_wavelength: Tensor, rest_sigma: Tensor, *, latent: int, rank: int, hidden: int
    ) -> None:
        super().__init__()
        if rank < latent:
            raise ValueError(
                f"rank must be at least the latent's length {latent}, got {rank}; raise decoder.rank"
            )
        self.register_buffer("rest_wavelength", rest_wavelength.double())
        self.register_buffer("rest_sigma", rest_sigma.double())
        self.register_buffer("mean", torch.ones(len(rest_wavelength)))
        self.trunk = Trunk(len(rest_wavelength), rank)
        self.branch = Branch(latent, rank, hidden)
        self.latent, self.rank = latent, rank

    def forward(self, u: Tensor) -> Tensor:
        """Normalised rest-frame flux on the rest grid, shape (B, L)."""
        return self.mean + self.branch(u) @ self.trunk.table().T

    def at(self, u: Tensor, wavelength: Tensor) -> Tensor:
        """Flux at any rest wavelengths in vacuum Å, shape (N,) → (B, N).

        Raises:
            ValueError: If a wavelength lies outside the rest grid.
        """
        position = self._position(wavelength)
        mean = torch.lerp(
            self.mean[position.floor().long()], self.mean[position.ceil().long()], (position % 1).float()
        )
        return mean + self.branch(u) @ self.trunk(position).T

    def _position(self, wavelength: Tensor) -> Tensor:
        grid = self.rest_wavelength
        step = math.log(float(grid[-1] / grid[0])) / (len(grid) - 1)
        position = torch.log(wavelength.double() / grid[0]) / step
        if not bool(((position > -1e-6) & (position < len(grid) - 1 + 1e-6)).all()):
            raise ValueError(
                f"wavelengths must lie in {float(grid[0]):.1f}–{float(grid[-1]):.1f} Å (vacuum, rest frame), "
                f"got {float(wavelength.min()):.1f}–{float(wavelength.max()):.1f} Å; cut them to that range"
            )
        return position.clamp(0, len(grid) - 1)

    @torch.no_grad()
    def start_from(self, flux: Tensor, *, whiten: bool = True) -> None:
        """Take mean, trunk and skip from the singular value decomposition of a grid, shape (N, L).

        One Gauss–Newton step from the origin is then the projection on the first D components; so is the
        published gradient step, if the trunk is left orthonormal (``whiten=False``).
        """
        self.mean.copy_(flux.mean(0))
        _, singular, vectors = torch.linalg.svd((flux - self.mean).double(), full_matrices=False)
        rank = min(self.rank, len(singular))
        scale = singular[:rank] / math.sqrt(len(flux)) if whiten else torch.ones(rank, dtype=torch.float64)
        self.trunk.fine[:, :rank] = (vectors[:rank].T * scale).float()
        self.branch.skip.copy_(torch.eye(self.rank, self.latent))
