"""Labels in the coordinates that spectra respond to."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from synth2obs.core.labels import LabelSpace
from synth2obs.core.shapes import shaped


@shaped
class LabelScale(nn.Module):
    """Labels in the coordinates that spectra respond to: 5040 K / Teff for Teff, all standardised.

    Args:
        space: The grid's labels.
        values: Labels of the grid's spectra, shape (N, K).
    """

    centre: Tensor
    width: Tensor

    def __init__(self, space: LabelSpace, values: np.ndarray | None = None) -> None:
        super().__init__()
        self.teff = space.index("teff")
        self.register_buffer("centre", torch.zeros(len(space), dtype=torch.float64))
        self.register_buffer("width", torch.ones(len(space), dtype=torch.float64))
        if values is not None:
            inverse = self._inverse_teff(torch.as_tensor(values, dtype=torch.float64))
            self.centre.copy_(inverse.mean(0))
            spread = inverse.std(0)
            self.width.copy_(spread.where(spread > 0, 1.0))

    def _inverse_teff(self, labels: Tensor) -> Tensor:
        inverse = labels.clone()
        inverse[..., self.teff] = 5040.0 / labels[..., self.teff]
        return inverse

    def forward(self, labels: Float[Tensor, "*any labels"]) -> Float[Tensor, "*any labels"]:
        """Labels in their units → scaled, same shape (..., K)."""
        return (self._inverse_teff(labels) - self.centre) / self.width

    def inverse(self, scaled: Float[Tensor, "*any labels"]) -> Float[Tensor, "*any labels"]:
        """Scaled → labels in their units."""
        return self._inverse_teff(scaled * self.width + self.centre)

    def slope(self, scaled: Float[Tensor, "*any labels"]) -> Float[Tensor, "*any labels"]:
        """∂label/∂scaled of each label, shape (..., K)."""
        slope = self.width.expand_as(scaled).clone()
        inverse = scaled[..., self.teff] * self.width[self.teff] + self.centre[self.teff]
        slope[..., self.teff] = -5040.0 / inverse.square() * self.width[self.teff]
        return slope
