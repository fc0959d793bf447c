r"""Labels of rotating stars: the ladder of vsini.

Rotation adds about :math:`0.225\, v^2` to the variance of a line (limb darkening 0.6), so that a survey's lines have
the width :math:`W^2 = \sigma^2 + 0.225\, v^2`. A ladder of vsini whose rungs are equally far apart in ln W has 0 as its
first rung, is linear in v² near 0 and geometric far above the survey's σ.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synth2obs.core.constants import C_KMS
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.ladder import Ladder
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options

SHARE = 0.225
"""Variance of Gray's rotation profile in units of vsini², for the limb darkening of `rotation.LIMB_DARKENING`."""

FASTEST = 400.0
"""Largest vsini in km/s that is looked for."""

RESOLVED = 4.0
"""Rise of χ² from its minimum to vsini = 0 below which a star may as well not rotate: two standard deviations."""


@dataclass(frozen=True)
class Rotation(Ladder):
    """Values of vsini in km/s that a survey can tell apart; at the nearest rung widths are right to half a percent.

    Args:
        width: σ of the survey's lines in km/s.
    """

    width: float
    rung = 0.01
    first = 0
    stride = 10

    @classmethod
    def of(cls, bridge: Bridge, seen: Observation, options: Options) -> "Rotation":
        """That of a survey's line spread, as a fit holds it."""
        return cls(C_KMS * seen.width * float(bridge.survey(seen.survey).width_scale) * options.width)

    def value(self, place: Tensor) -> Tensor:
        """km/s at places."""
        return self.width * torch.expm1(2.0 * self.rung * place.double()).div(SHARE).sqrt()

    def place(self, value: Tensor) -> Tensor:
        """Where on the ladder a vsini in km/s lies."""
        return torch.log1p(SHARE * (value / self.width).square()) / (2.0 * self.rung)

    @property
    def last(self) -> int:
        """The rung of the fastest rotation that is looked for."""
        return math.ceil(float(self.place(torch.tensor(FASTEST, dtype=torch.float64))))

    def held(self, options: Options, value: float) -> Options:
        """See `Ladder`."""
        return replace(options, vsini=value)

    def limit(self, vertex: Tensor, sigma: Tensor) -> Tensor:
        """A vsini that may as well be 0, or lies at the end of what is looked for."""
        return (vertex / sigma < RESOLVED**0.5) | (vertex >= self.last)
