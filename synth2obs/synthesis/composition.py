"""Chemical composition: from labels to the number of atoms of each element."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import ConfigError

Array = NDArray[np.float64]

SYMBOLS = tuple(
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr "
    "Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W "
    "Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U".split()
)
"""Elements by atomic number, hydrogen first."""

ABSENT = -99.0
"""A(X) of an element without stable isotopes."""

_GREVESSE2007 = (
    "12.00 10.93 1.05 1.38 2.70 8.39 7.78 8.66 4.56 7.84 6.17 7.53 6.37 7.51 5.36 7.14 5.50 6.18 5.08 6.31 3.17 "
    "4.90 4.00 5.64 5.39 7.45 4.92 6.23 4.21 4.60 2.88 3.58 2.29 3.33 2.56 3.25 2.60 2.92 2.21 2.58 1.42 1.92 x "
    "1.84 1.12 1.66 0.94 1.77 1.60 2.00 1.00 2.19 1.51 2.24 1.07 2.17 1.13 1.70 0.58 1.45 x 1.00 0.52 1.11 0.28 "
    "1.14 0.51 0.93 0.00 1.08 0.06 0.88 -0.17 1.11 0.23 1.25 1.38 1.64 1.01 1.13 0.90 2.00 0.65 x x x x x x "
    "0.06 x -0.52"
)
_ASPLUND2009 = (
    "12.00 10.93 1.05 1.38 2.70 8.43 7.83 8.69 4.56 7.93 6.24 7.60 6.45 7.51 5.41 7.12 5.50 6.40 5.03 6.34 3.15 "
    "4.95 3.93 5.64 5.43 7.50 4.99 6.22 4.19 4.56 3.04 3.65 2.30 3.34 2.54 3.25 2.52 2.87 2.21 2.58 1.46 1.88 x "
    "1.75 0.91 1.57 0.94 1.71 0.80 2.04 1.01 2.18 1.55 2.24 1.08 2.18 1.10 1.58 0.72 1.42 x 0.96 0.52 1.07 0.30 "
    "1.10 0.48 0.92 0.10 0.84 0.10 0.85 -0.12 0.85 0.26 1.40 1.38 1.62 0.92 1.17 0.90 1.75 0.65 x x x x x x "
    "0.02 x -0.54"
)


def _scale(text: str) -> Array:
    return np.array([ABSENT if word == "x" else float(word) for word in text.split()])


SOLAR_SCALES: Mapping[str, Array] = {
    "grevesse2007": _scale(_GREVESSE2007),
    "asplund2009": _scale(_ASPLUND2009),
}
"""A(X) = log10(N_X / N_H) + 12 of the Sun: Grevesse, Asplund & Sauval 2007, SSRv 130, 105 (the scale of MARCS
models); Asplund et al. 2009, ARA&A 47, 481."""


def atomic_number(symbol: str) -> int:
    """Atomic number of an element.

    Raises:
        ConfigError: If there is no such element.
    """
    if symbol not in SYMBOLS:
        raise ConfigError(f"unknown element {symbol!r}; write it as in the periodic table, e.g. 'Mg'")
    return SYMBOLS.index(symbol) + 1


def solar_scale(name: str) -> Array:
    """A(X) of the Sun by atomic number, shape (92,).

    Raises:
        ConfigError: If the scale is unknown.
    """
    if name not in SOLAR_SCALES:
        raise ConfigError(f"unknown solar scale {name!r}; there are {', '.join(SOLAR_SCALES)}")
    return SOLAR_SCALES[name]


def abundances(labels: Mapping[str, float], scale: str) -> Array:
    """A(X) of a star by atomic number, shape (92,).

    Every element from lithium on follows ``fe_h``; helium stays solar; ``alpha_fe`` moves O, Ne, Mg, Si, S, Ar,
    Ca and Ti; a label ``<x>_fe`` moves its element.

    Args:
        labels: ``fe_h``, optionally ``alpha_fe`` and ``<x>_fe``, in dex.
        scale: Name of the solar scale.

    Raises:
        ConfigError: If the scale or an element is unknown.
    """
    solar = solar_scale(scale)
    result = solar.copy()
    result[2:] += labels.get("fe_h", 0.0)
    for name, value in labels.items():
        if name == "fe_h" or not name.endswith("_fe"):
            continue
        for symbol in _members(name.removesuffix("_fe")):
            result[atomic_number(symbol) - 1] += value
    result[solar == ABSENT] = ABSENT
    return result


def _members(name: str) -> tuple[str, ...]:
    if name == "alpha":
        return ("O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Ti")
    return (name.capitalize(),)
