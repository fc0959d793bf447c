"""A line list of a few lines in weak-line theory, where every response is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from synth2obs.analysis.attribution import attribute_lines
from synth2obs.analysis.line_overlay.listed import Listed, Strengths, read_listed
from synth2obs.analysis.line_overlay.overlay import GapSpectrum
from synth2obs.analysis.line_overlay.response import Theory
from synth2obs.analysis.lines import strongest_lines
from synth2obs.synthesis.settings import LineListConfig

LINES = """'  22.000            '    1         3
'Ti I    LTE'
  5005.000  1.000  0.300    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Ti I a b'
  5020.300  1.500  0.600    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Ti I a b'
  5042.000  1.000  0.100    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Ti I a b'
'  26.000            '    1         7
'Fe I    LTE'
  5003.000  3.000 -1.000    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
  5011.000  2.500 -1.600    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
  5020.000  4.000 -0.300    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
  5030.000  3.500 -0.700    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
  5030.020  2.000 -2.400    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
  5036.000  3.000 -1.200    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
  5036.080  3.000 -1.400    0.000    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
' 607.012014         '    1         1
'CN'
  5015.000  0.500 -2.500    0.000    5.0  0.00E+00 'x' 'x'   0.0    1.0
"""
WAVELENGTH = np.arange(5000.0, 5050.0, 0.06)
TEFF, SIGMA, NOISE = 5500.0, 0.12, 5e-4
DEPTH = 2e4
"""Depth per strength: lines of a few per cent."""


@dataclass(frozen=True)
class World:
    """A list, theory of it, and gaps of known changes."""

    config: LineListConfig
    listed: Listed
    theory: Theory

    def number(self, air: float) -> int:
        """The transition whose first component is there."""
        return next(n for n, each in enumerate(self.listed.transitions) if abs(each.air[0] - air) < 1e-6)

    def depth(self, number: int) -> np.ndarray:
        """Of a transition, in every cell."""
        each = self.listed.transitions[number]
        away = (WAVELENGTH - each.vacuum[:, None]) / SIGMA
        return DEPTH * Strengths.of([each]).at(TEFF) @ np.exp(-0.5 * away**2)

    def gap(self, changes: dict[float, float], extra: np.ndarray | float = 0.0, seed: int = 0) -> GapSpectrum:
        """The gap if the lines at some wavelengths in air have other log gf."""
        mean = np.random.default_rng(seed).normal(0.0, NOISE, len(WAVELENGTH)) - extra
        for air, delta in changes.items():
            mean -= self.depth(self.number(air)) * (10.0**delta - 1.0)
        error = np.full(len(WAVELENGTH), NOISE)
        lines = strongest_lines(mean, error, WAVELENGTH, count=100, min_separation=2.35 * SIGMA)
        named = attribute_lines(lines, mean, error, WAVELENGTH, self.theory.gradients, window=2.35 * SIGMA)
        return GapSpectrum(mean=mean, error=error, lines=named, pixel=1.0)


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    """See `World`."""
    path = tmp_path_factory.mktemp("lines") / "toy.lines"
    path.write_text(LINES)
    config = LineListConfig(file=str(path), medium="air", range=(5000.0, 5050.0))
    listed = read_listed([config])
    first = World(config, listed, None)
    flux, gradients = np.ones(len(WAVELENGTH)), {"Fe": 0.0, "Ti": 0.0}
    for number, each in enumerate(listed.transitions):
        flux = flux - first.depth(number)
        gradients[each.species.element] = gradients[each.species.element] - np.log(10.0) * first.depth(number)
    theory = Theory(
        wavelength=WAVELENGTH,
        flux=flux,
        gradients=gradients,
        sigma=np.full(len(WAVELENGTH), SIGMA),
        teff=TEFF,
    )
    return World(config, listed, theory)
