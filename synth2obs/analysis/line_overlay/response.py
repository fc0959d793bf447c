r"""What a change of log gf does to theory's flux, where no engine is asked.

A cell's response to an element's abundance, :math:`G_X = \partial S/\partial[X/\mathrm{Fe}]`, is that to the log gf of
all its lines together. It is shared among them by their strengths s, which saturate at :math:`s_1`, and the profile of
a line p,

.. math:: G_i(\lambda) = G_X(\lambda)\, \frac{\sigma_i\, p(\lambda - \lambda_i)}
          {\sum_j \sigma_j\, p(\lambda - \lambda_j) + \sigma_0} ,\qquad \sigma_i = \frac{s_i}{1 + s_i/s_1} ,

with wings :math:`w s_i/(1 + x^2)` that do not saturate, at x widths from its centre, so that the responses of all lines
of an element add up to its own. :math:`s_1` is the one with which :math:`\sum_j \sigma_j\, p` is most like
:math:`-G_X`, of all elements at one scale. A change that is not small follows the local curve of growth, on which depth
grows as the strength to the power κ:

.. math:: R_i(\delta) = G_i\, \frac{10^{\kappa\delta} - 1}{\kappa \ln 10} ,\qquad
          \kappa = \frac{-G_X}{(1 - S) \ln 10} \in [\kappa_0, 1] .

A gap is the mean over stars, and so is a response.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.elements import IRON
from synth2obs.analysis.line_overlay.listed import Transition

Floats = NDArray[np.float64]
LN10 = float(np.log(10.0))

REACH, FARTHEST = 4.0, 40.0
"""σ of a line's profile at which it ends, and at which the wings of the strongest do."""

WINGS = 0.03
"""w: damping, coarsely."""

FAINT = 3e-4
"""σ₀ in units of s₁: lines that are much fainter move no flux that could be seen."""

SATURATION = 10.0 ** np.arange(-8.0, -3.9, 0.25)
"""Strengths s₁ that are tried."""

STRONG = 10.0**-7.5
"""A strength at which lines of FGK stars begin to saturate; it only says how far wings are followed."""

LEAST_POWER = 0.1
"""κ₀: of saturated lines."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """A transition's response in the cells that it reaches.

    Args:
        cells: Of the rest grid.
        gradient: ∂flux/∂log gf per dex there, at most 0.
        power: κ there.
    """

    cells: slice
    gradient: Floats
    power: Floats

    def of(self, delta: float) -> Floats:
        """Change of flux if log gf changes by some dex."""
        growth = self.power * LN10 * delta
        return np.asarray(self.gradient * np.expm1(growth) / (self.power * LN10))

    def secant(self, delta: float) -> Floats:
        """The same per dex; the gradient itself for a change of nothing."""
        return self.of(delta) / delta if abs(delta) > 1e-6 else self.gradient


@dataclass(frozen=True, kw_only=True)
class Theory:
    """What theory says of one star through a survey's instrument, on the rest grid. L cells.

    Args:
        wavelength: Vacuum Å, shape (L,).
        flux: Normalised, shape (L,).
        gradients: ∂flux/∂[X/Fe] by element, iron's at given [X/H], shape (L,) each; as `survey_gap.element_gradients`.
        sigma: Of a line's profile in Å, shape (L,).
        teff: K.
    """

    wavelength: Floats
    flux: Floats
    gradients: Mapping[str, Floats]
    sigma: Floats
    teff: float


def responses(transitions: Sequence[Transition], stars: Sequence[Theory]) -> list[Response]:
    """Responses of transitions, each with all others of its element beside it, as the mean over stars.

    Args:
        transitions: All that the list has near the cells, so that each gets no more than its share. An element without
            a gradient of its own shares iron's.
        stars: What theory says of each, from the coolest to the hottest.
    """
    reach = [_reach(each, stars) for each in transitions]
    each = [_of_star(transitions, reach, star) for star in stars]
    return [_mean(own) for own in zip(*each, strict=True)]


def _mean(own: Sequence[Response]) -> Response:
    """The mean response of a transition, with the power that it has where it is strongest."""
    gradients = np.array([each.gradient for each in own])
    total = gradients.sum(0)
    weighted = (gradients * np.array([each.power for each in own])).sum(0)
    power = np.divide(weighted, total, out=np.ones_like(total), where=total < 0)
    return Response(cells=own[0].cells, gradient=total / len(own), power=power)


def _reach(transition: Transition, stars: Sequence[Theory]) -> float:
    """Widths at which a line ends: where its wings are as faint as σ₀ in the star in which it is strongest."""
    strength = max(float(transition.strengths(star.teff).sum()) for star in (stars[0], stars[-1]))
    return float(np.clip(np.sqrt(WINGS * strength / (FAINT * STRONG)), REACH, FARTHEST))


def _of_star(transitions: Sequence[Transition], reach: Sequence[float], theory: Theory) -> list[Response]:
    lines = [_Profile.of(each, far, theory) for each, far in zip(transitions, reach, strict=True)]
    saturated = _saturation(lines, theory)
    total = {name: np.full(len(theory.wavelength), FAINT * saturated) for name in theory.gradients}
    pieces = [line.piece(saturated) for line in lines]
    for line, piece in zip(lines, pieces, strict=True):
        total[line.template][line.cells] += piece
    found = []
    for line, piece in zip(lines, pieces, strict=True):
        cells = line.cells
        whole = np.minimum(theory.gradients[line.template][cells], 0.0)
        depth = np.maximum(1.0 - theory.flux[cells], 1e-6)
        power = np.clip(-whole / (depth * LN10), LEAST_POWER, 1.0)
        gradient = whole * piece / total[line.template][cells]
        found.append(Response(cells=cells, gradient=gradient, power=power))
    return found


@dataclass(frozen=True, kw_only=True)
class _Profile:
    """A transition in a star: where it reaches, and its strength there."""

    template: str
    cells: slice
    core: Floats
    wings: Floats
    strength: float

    @classmethod
    def of(cls, transition: Transition, reach: float, theory: Theory) -> "_Profile":
        grid, centre, strengths = theory.wavelength, transition.vacuum, transition.strengths(theory.teff)
        width = float(np.interp(centre.mean(), grid, theory.sigma))
        ends = centre.min() - reach * width, centre.max() + reach * width
        first, last = np.searchsorted(grid, ends)
        cells = slice(int(first), int(last))
        away = ((grid[cells][None] - centre[:, None]) / width) ** 2
        element = transition.species.element
        return cls(
            template=element if element in theory.gradients else IRON,
            cells=cells,
            core=strengths @ np.exp(-0.5 * away),
            wings=WINGS * strengths @ (1.0 / (1.0 + away)),
            strength=float(strengths.sum()),
        )

    def piece(self, saturated: float) -> Floats:
        """σ p, with wings; components saturate together."""
        return np.asarray(self.core / (1.0 + self.strength / saturated) + self.wings)


def _saturation(lines: Sequence[_Profile], theory: Theory) -> float:
    """The s₁ with which strengths look most like gradients."""
    target = -np.array([np.minimum(each, 0.0) for each in theory.gradients.values()])
    rows = {name: row for row, name in enumerate(theory.gradients)}
    left = []
    for trial in SATURATION:
        model = np.zeros_like(target)
        for line in lines:
            model[rows[line.template], line.cells] += line.core / (1.0 + line.strength / trial)
        power = float((model**2).sum())
        left.append(-(float((model * target).sum()) ** 2) / power if power > 0 else 0.0)
    return float(SATURATION[int(np.argmin(left))])
