"""Stars whose lines are narrower or wider than a survey's usual ones: the ladder of the line spread's scale.

The scale is a factor on the survey's σ, beside the factor that the survey itself learned. It acts on theory. The gap's
functions, and the scatter, were measured in the survey's own spectra: they are at its usual resolution and stay so.
Where a scale would make a survey sharper than the grid, theory stays as it is, and χ² no longer changes.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synth2obs.models.fit.ladder import Ladder
from synth2obs.models.fit.options import Options


@dataclass(frozen=True)
class LineSpreadScale(Ladder):
    """Scales from 0.74 to 1.35, half a percent apart; at the nearest rung they are right to a quarter of a percent."""

    rung = 0.005
    first = -60
    last = 60
    stride = 20

    def value(self, place: Tensor) -> Tensor:
        """Scales at places."""
        return torch.exp(self.rung * place.double())

    def place(self, value: Tensor) -> Tensor:
        """Where on the ladder a scale lies."""
        return value.log() / self.rung

    def held(self, options: Options, value: float) -> Options:
        """See `Ladder`."""
        return replace(options, width=value)

    def limit(self, vertex: Tensor, sigma: Tensor) -> Tensor:
        """A scale at an end of what is looked for, or one that may lie anywhere in there."""
        at_an_end = (vertex <= self.first) | (vertex >= self.last)
        return at_an_end | (2.0 * sigma > self.last - self.first)
