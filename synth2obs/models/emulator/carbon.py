r"""Carbon that is not bound in CO: what CH, CN and C₂ are made of.

CO is the tightest of the molecules that bind C and O, so a balance of these three tells how much of either is left
(Russell 1934, ApJ 79, 317). With :math:`\epsilon` numbers of nuclei per hydrogen, P a pressure and K the constant of
dissociation,

.. math::
    \epsilon_f\, (\epsilon_O - \epsilon_C + \epsilon_f) = k\, (\epsilon_C - \epsilon_f) ,\qquad k = K(\theta_f) / P .

In warm stars :math:`\epsilon_f = \epsilon_C`; in cool ones it falls steeply where O outnumbers C, and rises steeply
where C outnumbers O. So do the bands, and no label alone.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from synth2obs.core.labels import LabelSpace
from synth2obs.core.shapes import shaped
from synth2obs.models.emulator.scale import LabelScale

NAMES = ("teff", "logg", "fe_h", "c_fe", "o_fe")

SUN = (8.39 - 12.0, 8.66 - 12.0)
"""Logarithm of C and O per hydrogen in the Sun (Grevesse, Asplund & Sauval 2007, Space Sci. Rev. 130, 105)."""

DISSOCIATION = (13.57, -11.42)
"""Log K of CO in dyn cm⁻² is the first and the second times θ: statistical mechanics with D₀ = 11.09 eV, exact to 0.02
from 3000 to 5900 K."""

DEPTH = 0.85
"""Temperature of the layers where molecules absorb, relative to Teff."""

PRESSURE = (4.2, 0.6, -0.3)
"""Log P in dyn cm⁻² there at log g = 3 and [Fe/H] = 0, and its slopes with both."""

LN10 = math.log(10.0)


class _Balance(NamedTuple):
    """Numbers per hydrogen, shape (B,) each, and the root of the balance's discriminant."""

    carbon: Tensor
    oxygen: Tensor
    constant: Tensor
    free: Tensor
    root: Tensor


@shaped
class FreeCarbon(nn.Module):
    """Logarithm of free carbon over iron, relative to the Sun's C/Fe and standardised.

    Args:
        labels: Number of labels K.
    """

    places: Tensor
    centre: Tensor
    width: Tensor
    unit: Tensor

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.register_buffer("places", torch.full((len(NAMES),), -1))
        self.register_buffer("centre", torch.zeros(labels, dtype=torch.float64))
        self.register_buffer("width", torch.ones(labels, dtype=torch.float64))
        self.register_buffer("unit", torch.tensor([0.0, 1.0], dtype=torch.float64))

    @property
    def known(self) -> bool:
        """Whether it was told which labels it is made of."""
        return bool(self.places[0] >= 0)

    def attach(self, space: LabelSpace, scale: LabelScale) -> bool:
        """Be told the names and the scale of the labels; False, and nothing changes, if one of `NAMES` is missing."""
        if not set(NAMES) <= set(space.names):
            return False
        self.places.copy_(torch.tensor([space.index(name) for name in NAMES]))
        self.centre.copy_(scale.centre)
        self.width.copy_(scale.width)
        return True

    def learn(self, x: Float64[Tensor, "stars labels"]) -> None:
        """Take mean and standard deviation over a grid's scaled labels (N, K)."""
        value = self._value(x)
        self.unit.copy_(torch.stack([value.mean(), value.std().clamp(min=1e-3)]))

    def forward(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, " stars"]:
        """Of scaled labels (B, K), shape (B,)."""
        return (self._value(x) - self.unit[0]) / self.unit[1]

    def slope(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars labels"]:
        """Its derivative by scaled labels, shape (B, K)."""
        found = self._balance(x)
        more = (found.constant + found.free) * found.carbon / (found.free * found.root)
        less = -found.oxygen / found.root
        loose = (found.carbon - found.free) * found.constant / (found.free * found.root)
        by = [
            DISSOCIATION[1] / DEPTH * loose,
            -PRESSURE[1] * loose,
            more + less - PRESSURE[2] * loose - 1.0,
            more,
            less,
        ]
        slope = torch.zeros_like(x)
        slope[:, self.places] = torch.stack(by, dim=1)
        return slope * self.width / self.unit[1]

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """What was saved without free carbon knows none."""
        for name, own in self.named_buffers():
            state.setdefault(prefix + name, own)
        super()._load_from_state_dict(state, prefix, *rest)

    def _value(self, x: Tensor) -> Tensor:
        iron = self._labels(x)[2]
        return self._balance(x).free.log10() - SUN[0] - iron

    def _labels(self, x: Tensor) -> tuple[Tensor, ...]:
        """θ = 5040 K / Teff, log g, [Fe/H], [C/Fe], [O/Fe], shape (B,) each."""
        return ((x * self.width + self.centre)[:, self.places]).unbind(1)

    def _balance(self, x: Tensor) -> _Balance:
        theta, logg, iron, c_fe, o_fe = self._labels(x)
        pressure = PRESSURE[0] + PRESSURE[1] * (logg - 3.0) + PRESSURE[2] * iron
        constant = (LN10 * (DISSOCIATION[0] + DISSOCIATION[1] * theta / DEPTH - pressure)).exp()
        carbon = (LN10 * (SUN[0] + iron + c_fe)).exp()
        oxygen = (LN10 * (SUN[1] + iron + o_fe)).exp()
        excess = oxygen - carbon + constant
        root = (excess.square() + 4.0 * carbon * constant).sqrt()
        # Each form where the other would subtract two nearly equal numbers.
        positive = 2.0 * carbon * constant / (root + excess.clamp(min=0.0))
        free = torch.where(excess > 0, positive, 0.5 * (root - excess))
        return _Balance(carbon, oxygen, constant, free, root)
