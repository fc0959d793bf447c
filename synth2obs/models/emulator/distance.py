"""How far labels lie from a grid's own, by the density of its spectra rather than by their range."""

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import Emulator

NEIGHBOURS = 4
"""Nearest spectra whose mean distance counts: one alone would let a single odd spectrum speak for a region."""

SHARE = 0.99
"""Of the grid's own spectra that lie nearer than 1."""


@shaped
class GridDistance(nn.Module):
    """Mean distance to the nearest spectra of the grid, where a unit of each label is what it does to flux.

    One is where 99 % of the grid's spectra lie nearer to their own neighbours. So a star with labels that are each
    within the grid, but together like no spectrum of it, is beyond one.

    Args:
        labels: Number of labels K.
    """

    relevance: Tensor
    unit: Tensor

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.register_buffer("relevance", torch.ones(labels, dtype=torch.float64))
        self.register_buffer("unit", torch.full((), torch.inf, dtype=torch.float64))

    def forward(
        self, x: Float64[Tensor, "stars labels"], known: Float64[Tensor, "units labels"]
    ) -> Float64[Tensor, " stars"]:
        """Distance of scaled labels (B, K) from those of the grid's spectra (N, K), (B,); 0 until it is learned."""
        return self._to_nearest(x, known, 0) / self.unit

    @torch.no_grad()
    def learn(self, emulator: Emulator, weight: Float64[Tensor, " latents"]) -> None:
        """Take relevances and the unit from a fitted emulator and the spectra that it knows.

        Args:
            emulator: Fitted.
            weight: Flux that one unit of each latent moves, shape (D,).
        """
        known = emulator.known
        moved = sum(
            (emulator.jacobian(part) * weight[:, None]).square().sum((0, 1)) for part in known.split(64)
        )
        assert isinstance(moved, Tensor)
        self.relevance.copy_((moved / moved.max()).sqrt())
        self.unit.copy_(torch.quantile(self._to_nearest(known, known, 1), SHARE))

    def _to_nearest(self, x: Tensor, known: Tensor, skipped: int) -> Tensor:
        """Mean distance to the nearest but the first ``skipped``, which is a spectrum itself."""
        apart = torch.cdist(x * self.relevance, known * self.relevance)
        count = min(NEIGHBOURS + skipped, len(known))
        return apart.topk(count, dim=1, largest=False, sorted=True).values[:, skipped:].mean(1)
