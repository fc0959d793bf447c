"""Marginal alignment: one density carried onto another, whatever the labels."""

from __future__ import annotations

from torch import Tensor, nn

from synth2obs.models.alignment.density import Density


class MarginalAlignment(nn.Module):
    r"""The map that carries one density onto another, :math:`f_b^{-1} \circ f_a`, whatever the labels.

    It is what AlignFlow (Grover et al. 2020, arXiv:1905.12892) does with one base: exact for the marginals, and
    therefore biased by the difference of the two populations. A baseline, not a method.

    Args:
        source: Density of the grid's latents.
        target: Density of the survey's.
    """

    def __init__(self, source: Density, target: Density) -> None:
        super().__init__()
        self.source, self.target = source, target

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Grid to survey, shape (B, D), and ln|det|, shape (B,)."""
        noise, outward = self.source.flow._transform(u)
        mapped, back = self.target.flow._transform.inverse(noise)
        return mapped, outward + back
