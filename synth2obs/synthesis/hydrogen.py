"""Lines of hydrogen, for engines that bring none."""

from dataclasses import dataclass
from fractions import Fraction
from math import comb, log10, pi, sqrt

RYDBERG = 109677.5834
"""Of hydrogen, cm⁻¹."""

FINE_STRUCTURE = 7.2973525693e-3
EV = 8065.54394
"""cm⁻¹ in an eV."""

LOWER = (2, 3, 4)
HIGHEST = 27
"""Upper level beyond which lines are dissolved."""


@dataclass(frozen=True)
class HydrogenLine:
    """A line between two shells.

    Args:
        lower, upper: Principal quantum numbers.
        wavelength: Å in vacuum, of the mean of both shells.
        excitation: Of the lower shell, eV.
        loggf: log10 of weight times oscillator strength.
    """

    lower: int
    upper: int
    wavelength: float
    excitation: float
    loggf: float


def hydrogen_lines() -> list[HydrogenLine]:
    """Balmer, Paschen and Brackett lines."""
    return [_line(lower, upper) for lower in LOWER for upper in range(lower + 1, HIGHEST + 1)]


def _line(lower: int, upper: int) -> HydrogenLine:
    wavelength = 1e8 / (_term(lower) - _term(upper))
    return HydrogenLine(
        lower, upper, wavelength, (_term(1) - _term(lower)) / EV, log10(weighted_strength(lower, upper))
    )


def _term(shell: int) -> float:
    """Binding energy of a shell in cm⁻¹, the mean over its fine structure (Dirac to second order)."""
    mean = (2 * shell - 1) / shell**2
    return RYDBERG / shell**2 * (1.0 + (FINE_STRUCTURE / shell) ** 2 * (shell * mean - 0.75))


def weighted_strength(lower: int, upper: int) -> float:
    """Weight of the lower shell times oscillator strength, exact (Menzel & Pekeris 1935, MNRAS 96, 77)."""
    n, m = lower, upper
    argument = Fraction(-4 * n * m, (n - m) ** 2)
    difference = _polynomial(n - 1, m, argument) ** 2 - _polynomial(m - 1, n, argument) ** 2
    ratio = Fraction(m - n, n + m) ** (2 * n + 2 * m)
    gaunt = pi * sqrt(3.0) * n * m * abs(float(ratio * difference / (m - n)))
    return 64.0 / (3.0 * sqrt(3.0) * pi) * (n**-2 - m**-2) ** -3 / (n * m) ** 3 * gaunt


def _polynomial(a: int, b: int, x: Fraction) -> Fraction:
    """The hypergeometric function of −a, −b; 1; x."""
    return sum((comb(a, k) * comb(b, k) * x**k for k in range(a + 1)), Fraction(0))
