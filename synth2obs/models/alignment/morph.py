"""Invertible map of the latent space that carries the grid to a survey."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synth2obs.models.alignment.flow import FlowConfig, coupling_chain


class Morph(nn.Module):
    r"""A survey's morph :math:`T_d: R^D \to R^D`, which carries the grid's latents to the survey's.

    It starts at the identity: exactly for affine and additive couplings, to rounding for splines.
    Couplings: Dinh et al. 2015 (arXiv:1410.8516), 2017 (arXiv:1605.08803); splines: Durkan et al. 2019
    (arXiv:1906.04032).

    Args:
        dim: Latent dimensions D, at least 2.
        config: Size of the flow.
    """

    def __init__(self, dim: int, config: FlowConfig | None = None) -> None:
        super().__init__()
        self.dim = dim
        self.config = config or FlowConfig()
        self.chain = coupling_chain(dim, self.config)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Grid to survey: ``T(u)``, shape (B, D), and ``ln|det ∂T/∂u|``, shape (B,)."""
        v, logabsdet = self.chain(u)
        return v, logabsdet

    def inverse(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Survey to grid: ``T⁻¹(v)``, shape (B, D), and ``ln|det ∂T⁻¹/∂v|``, shape (B,)."""
        u, logabsdet = self.chain.inverse(v)
        return u, logabsdet

    def set_affine(self, matrix: Tensor, shift: Tensor) -> None:
        """Make the affine part ``v = matrix·u + shift``; the couplings stay as they are.

        Args:
            matrix: Shape (D, D), with positive leading minors.
            shift: Shape (D,).

        Raises:
            ValueError: If the flow has no affine part, or a leading minor is not positive.
        """
        if not self.config.linear:
            raise ValueError("this morph has no affine part; build it with FlowConfig(linear=True)")
        self.chain._transforms[0].set(matrix, shift)

    def minimal_change(self, u: Tensor, probes: Tensor | None = None) -> dict[str, Tensor]:
        r"""How far the morph is from doing nothing; both terms are differentiable.

        :math:`E|T(u)-u|^2` and :math:`E\|\partial T/\partial u - I\|_F^2`, the latter by Hutchinson's
        estimate :math:`E_p|p^T(\partial T - I)|^2` for probes with identity covariance.

        Args:
            u: Latents, shape (B, D).
            probes: Rademacher or normal draws, shape (K, B, D); None sums over all D axes, which is exact.

        Returns:
            ``displacement`` and ``jacobian``, scalars: means over the batch.
        """
        with torch.enable_grad():
            point = u if u.requires_grad else u.detach().requires_grad_()
            change = self(point)[0] - point
            rows = _axes(u) if probes is None else probes
            slopes = [torch.autograd.grad(change, point, row, create_graph=True)[0] for row in rows]
        squares = torch.stack([slope.square().sum(-1).mean() for slope in slopes])
        jacobian = squares.sum() if probes is None else squares.mean()
        return {"displacement": change.square().sum(-1).mean(), "jacobian": jacobian}


def _axes(u: Tensor) -> Tensor:
    """The D unit vectors for every star, shape (D, B, D)."""
    one = torch.eye(u.shape[-1], dtype=u.dtype, device=u.device)
    return one[:, None, :].expand(-1, len(u), -1)
