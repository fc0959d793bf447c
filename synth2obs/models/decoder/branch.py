"""The branch of the decoder: coefficients of the trunk as a function of the latent."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from synth2obs.core.shapes import shaped


# Not shaped, nor is `radial`: `Branch` checks the same latents, and fits ask it very often.
class Radial(nn.Module):
    r"""Units around centres c_m, in coordinates v that are an affine map of the latent.

    .. math:: \phi_m(u) = \frac{1 + \tau\, v^T c_m}{1 + |v - c_m|^2 / 2\ell^2} ,\qquad v = M u + v_0 .

    A rational quadratic kernel (Rasmussen & Williams 2006, eq. 4.19, α = 1) times one plus a linear kernel: what
    far latents do changes slowly with near ones, as the lines of an element do with temperature.

    Args:
        latent: Length D of the latent.
        units: Number of centres H.
    """

    weight: Tensor
    bias: Tensor
    centres: Tensor
    length: Tensor
    tilt: Tensor

    def __init__(self, latent: int, units: int) -> None:
        super().__init__()
        self.in_features, self.out_features = latent, units
        self.register_buffer("weight", torch.eye(latent, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(latent, dtype=torch.float64))
        self.register_buffer("centres", torch.randn(units, latent, dtype=torch.float64))
        self.register_buffer("length", torch.tensor(math.sqrt(latent), dtype=torch.float64))
        self.register_buffer("tilt", torch.zeros((), dtype=torch.float64))

    def place(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars latents"]:
        """V of latents u, shape (B, D)."""
        return u @ self.weight.T + self.bias

    def forward(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars units"]:
        """φ, shape (B, H), of latents of shape (B, D)."""
        return radial(self.place(u), self.centres, self.length, self.tilt)

    def pulled_back(
        self, u: Float[Tensor, "stars latents"], outer: Float[Tensor, "functions units"]
    ) -> Float[Tensor, "stars functions latents"]:
        """Jacobian of ``outer`` φ(u), shape (B, K, D), for a matrix of shape (K, H)."""
        v = self.place(u)
        near = 1.0 / (1.0 + _squared(v, self.centres) / (2.0 * self.length.square()))
        inward = (1.0 + self.tilt * v @ self.centres.T) * near.square() / self.length.square()
        moved = (self.tilt * near + inward).T[:, :, None] * (self.centres @ self.weight)[:, None, :]
        first = (outer @ moved.flatten(1)).unflatten(1, u.shape).transpose(0, 1)
        return first - (inward @ outer.T)[:, :, None] * (v @ self.weight)[:, None, :]


def radial(
    v: Float[Tensor, "stars latents"],
    centres: Float[Tensor, "units latents"],
    length: Float[Tensor, ""],
    tilt: Float[Tensor, ""],
) -> Float[Tensor, "stars units"]:
    """φ of `Radial` between points, shapes (B, D) and (H, D) → (B, H)."""
    return (1.0 + tilt * v @ centres.T) / (1.0 + _squared(v, centres) / (2.0 * length.square()))


def _squared(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances; the explicit form has a gradient where two points coincide."""
    return (a.square().sum(-1, keepdim=True) + b.square().sum(-1) - 2.0 * a @ b.T).clamp(min=0.0)


@shaped
class Branch(nn.Module):
    r"""Coefficients of the trunk: :math:`g(u) = W u + w_0 + V \phi(u)`, with w₀ = V = 0 at the start.

    Held in double precision, because a V that interpolates a grid cancels to one part in a thousand; values come in
    the precision of the latents.

    Args:
        latent: Length D of the latent.
        rank: Number of trunk functions K.
        hidden: Number of radial units H.
    """

    def __init__(self, latent: int, rank: int, hidden: int) -> None:
        super().__init__()
        self.skip = nn.Parameter(torch.zeros(rank, latent, dtype=torch.float64))
        self.offset = nn.Parameter(torch.zeros(rank, dtype=torch.float64))
        self.inner = Radial(latent, hidden)
        self.outer = nn.Linear(hidden, rank, bias=False, dtype=torch.float64)
        nn.init.zeros_(self.outer.weight)

    def forward(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars functions"]:
        """Coefficients, shape (B, K), of latents of shape (B, D)."""
        wide = u.to(self.skip.dtype)
        return (wide @ self.skip.T + self.offset + self.outer(self.inner(wide))).to(u.dtype)

    def jacobian(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars functions latents"]:
        """∂g/∂u, shape (B, K, D)."""
        wide = u.to(self.skip.dtype)
        return (self.skip + self.inner.pulled_back(wide, self.outer.weight)).to(u.dtype)
