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
from synth2obs.analysis.line_overlay.listed import Strengths, Transition

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
        stars: What theory says of each, from the coolest to the hottest, on one grid and with one line spread.
    """
    if not transitions:
        return []
    strengths = Strengths.of(transitions)
    table = np.array([strengths.summed(star.teff) for star in stars])
    shapes = _Shapes.of(transitions, strengths, table, stars[len(stars) // 2])
    saturated = shapes.saturation(table[len(stars) // 2], stars[len(stars) // 2])
    gradient, weighted = np.zeros(len(shapes.cell)), np.zeros(len(shapes.cell))
    for star, own in zip(stars, table, strict=True):
        part, power = shapes.shared(own, saturated, star)
        gradient += part
        weighted += part * power
    power = np.divide(weighted, gradient, out=np.ones_like(gradient), where=gradient < 0)
    return [
        Response(cells=slice(*shapes.ends[number]), gradient=gradient[own] / len(stars), power=power[own])
        for number, own in enumerate(shapes.parts)
    ]


@dataclass(frozen=True, kw_only=True)
class _Shapes:
    """Profiles of T transitions at unit strength, one after another: n values.

    Args:
        ends: First cell of each, and the one behind its last.
        parts: Where each stands among the values.
        cell: Cell of each value, shape (n,).
        owner: Transition of each, shape (n,).
        flat: Place of each among the cells of all templates, one template after another, shape (n,).
        core, wings: Shape (n,).
    """

    ends: Sequence[tuple[int, int]]
    parts: Sequence[slice]
    cell: NDArray[np.intp]
    owner: NDArray[np.intp]
    flat: NDArray[np.intp]
    core: Floats
    wings: Floats

    @classmethod
    def of(
        cls, transitions: Sequence[Transition], strengths: Strengths, table: Floats, theory: Theory
    ) -> "_Shapes":
        grid, rows = theory.wavelength, {name: row for row, name in enumerate(theory.gradients)}
        reach = np.clip(np.sqrt(WINGS * table.max(0) / (FAINT * STRONG)), REACH, FARTHEST)
        width = np.interp([float(each.vacuum.mean()) for each in transitions], grid, theory.sigma)
        shares = np.split(strengths.at(theory.teff), np.flatnonzero(np.diff(strengths.owner)) + 1)
        ends, core, wings = [], [], []
        for each, far, own, share in zip(transitions, reach, width, shares, strict=True):
            limits = each.vacuum.min() - far * own, each.vacuum.max() + far * own
            first, last = map(int, np.searchsorted(grid, limits))
            away = ((grid[first:last][None] - each.vacuum[:, None]) / own) ** 2
            unit = share / max(float(share.sum()), 1e-300)
            ends.append((first, last))
            core.append(unit @ np.exp(-0.5 * away))
            wings.append(WINGS * unit @ (1.0 / (1.0 + away)))
        sizes = [last - first for first, last in ends]
        stops = np.cumsum(sizes)
        cell = np.concatenate([np.arange(first, last) for first, last in ends])
        template = np.array([rows[_template(each, theory)] for each in transitions])
        return cls(
            ends=ends,
            parts=[slice(int(stop - size), int(stop)) for stop, size in zip(stops, sizes, strict=True)],
            cell=cell,
            owner=np.repeat(np.arange(len(transitions)), sizes),
            flat=np.repeat(template, sizes) * len(grid) + cell,
            core=np.concatenate(core),
            wings=np.concatenate(wings),
        )

    def shared(self, strength: Floats, saturated: float, theory: Theory) -> tuple[Floats, Floats]:
        """Gradient and power of all transitions in a star of these strengths (T,), shape (n,) each."""
        core = strength / (1.0 + strength / saturated)
        piece = self.core * core[self.owner] + self.wings * strength[self.owner]
        whole = _gradients(theory)
        total = np.bincount(self.flat, weights=piece, minlength=whole.size) + FAINT * saturated
        depth = np.maximum(1.0 - theory.flux[self.cell], 1e-6)
        power = np.clip(-whole[self.flat] / (depth * LN10), LEAST_POWER, 1.0)
        return whole[self.flat] * piece / total[self.flat], power

    def saturation(self, strength: Floats, theory: Theory) -> float:
        """The s₁ with which strengths (T,) look most like gradients."""
        target, left = -_gradients(theory), []
        for trial in SATURATION:
            core = strength / (1.0 + strength / trial)
            model = np.bincount(self.flat, weights=self.core * core[self.owner], minlength=target.size)
            power = float(model @ model)
            left.append(-(float(model @ target) ** 2) / power if power > 0 else 0.0)
        return float(SATURATION[int(np.argmin(left))])


def _gradients(theory: Theory) -> Floats:
    """Of all templates one after another; more of an element never emits."""
    return np.minimum(np.concatenate(list(theory.gradients.values())), 0.0)


def _template(transition: Transition, theory: Theory) -> str:
    element = transition.species.element
    return element if element in theory.gradients else IRON
