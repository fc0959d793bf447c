r"""What a change of log gf does to theory's flux, where no engine is asked.

A cell's response to an element's abundance, :math:`G_X = \partial S/\partial[X/\mathrm{Fe}]`, is that to the log gf of
all its lines together. It is shared among them by their strengths s and the profile of a line p,

.. math:: G_i(\lambda) = G_X(\lambda)\, \frac{s_i\, p(\lambda - \lambda_i)}{\sum_j s_j\, p(\lambda - \lambda_j) + s_0} ,

so that the responses of all lines of an element add up to its own. A change that is not small follows the local
curve of growth, on which depth grows as the strength to the power κ:

.. math:: R_i(\delta) = G_i\, \frac{10^{\kappa\delta} - 1}{\kappa \ln 10} ,\qquad
          \kappa = \frac{-G_X}{(1 - S) \ln 10} \in [\kappa_0, 1] .
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.elements import IRON
from synth2obs.analysis.line_overlay.listed import Transition

Floats = NDArray[np.float64]
LN10 = float(np.log(10.0))

REACH = 4.0
"""σ of a line's profile at which it ends."""

FAINT = 1e-9
"""Strength s₀ (of `Transition.strengths`) below which lines move no flux that could be seen: some 0.2 mÅ in the Sun."""

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


def responses(transitions: Sequence[Transition], theory: Theory) -> list[Response]:
    """Responses of transitions, each with all others of its element beside it.

    Args:
        transitions: All that the list has near the cells, so that each gets no more than its share. An element without
            a gradient of its own shares iron's.
        theory: Of the star.
    """
    pieces = [_piece(each, theory) for each in transitions]
    total = {name: np.full(len(theory.wavelength), FAINT) for name in theory.gradients}
    for each, (cells, profile) in zip(transitions, pieces, strict=True):
        total[_template(each, theory)][cells] += profile
    found = []
    for each, (cells, profile) in zip(transitions, pieces, strict=True):
        name = _template(each, theory)
        whole = np.minimum(theory.gradients[name][cells], 0.0)
        depth = np.maximum(1.0 - theory.flux[cells], 1e-6)
        power = np.clip(-whole / (depth * LN10), LEAST_POWER, 1.0)
        found.append(Response(cells=cells, gradient=whole * profile / total[name][cells], power=power))
    return found


def _template(transition: Transition, theory: Theory) -> str:
    element = transition.species.element
    return element if element in theory.gradients else IRON


def _piece(transition: Transition, theory: Theory) -> tuple[slice, Floats]:
    """Cells that a transition reaches, and its strength times profile there."""
    grid, centre = theory.wavelength, transition.vacuum
    width = float(np.interp(centre.mean(), grid, theory.sigma))
    first, last = np.searchsorted(grid, [centre.min() - REACH * width, centre.max() + REACH * width])
    cells = slice(int(first), int(last))
    away = (grid[cells][None] - centre[:, None]) / width
    return cells, transition.strengths(theory.teff) @ np.exp(-0.5 * away**2)
