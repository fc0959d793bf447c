"""Densities of latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synth2obs.models.alignment.flow import FlowConfig, density_flow


class Density(nn.Module):
    r"""A density of latents, p(u) or p(u|context); N(0, I) at the start.

    :math:`\ln p(u|c) = \ln N(f(u;c);\, m(c), \sigma^2(c)) + \ln|\det \partial f/\partial u|`.

    Args:
        dim: Latent dimensions D, at least 2.
        context: Columns C of the context, 0 for none.
        config: Size of the flow.
    """

    def __init__(self, dim: int, context: int = 0, config: FlowConfig | None = None) -> None:
        super().__init__()
        self.dim, self.context = dim, context
        self.config = config or FlowConfig()
        self.flow = density_flow(dim, context, self.config)

    def set_affine(self, matrix: Tensor, shift: Tensor) -> None:
        """Make the part of u → noise that is affine ``matrix·u + shift``; see :meth:`Morph.set_affine`."""
        if not self.config.linear:
            raise ValueError("this density has no affine part; build it with FlowConfig(linear=True)")
        self.flow._transform._transforms[0].set(matrix, shift)

    def log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """``ln p(u|context)``, shape (B,), for latents of shape (B, D) and contexts of shape (B, C)."""
        self._check(context)
        log_prob: Tensor = self.flow.log_prob(u, context)
        return log_prob

    def sample(
        self, count: int, *, generator: torch.Generator | None = None, context: Tensor | None = None
    ) -> Tensor:
        """Draws, reproducible for a given generator; differentiable in the parameters and the context.

        Args:
            count: Draws, for each context if there are any.
            generator: Source of the noise; torch's global one if None.
            context: Shape (B, C), or None.

        Returns:
            Shape (count, D), or (B, count, D) with a context.
        """
        self._check(context)
        mean, log_sigma = self._base(context)
        noise = torch.randn(
            len(mean), count, self.dim, generator=generator, dtype=mean.dtype, device=mean.device
        )
        start = (mean[:, None] + log_sigma[:, None].exp() * noise).flatten(0, 1)
        repeated = None if context is None else context.repeat_interleave(count, dim=0)
        draws: Tensor = self.flow._transform.inverse(start, repeated)[0].view(-1, count, self.dim)
        return draws[0] if context is None else draws

    def _base(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        base = self.flow._distribution
        return (base.mean_, base.log_std_) if context is None else base._compute_params(context)

    def _check(self, context: Tensor | None) -> None:
        columns = 0 if context is None else context.shape[-1]
        if columns != self.context:
            raise ValueError(f"context must have {self.context} columns, got {columns}")
