"""How much of an element is neutral, for lines of atoms and ions to be compared."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIRST = np.array(
    "13.60 24.59 5.39 9.32 8.30 11.26 14.53 13.62 17.42 21.56 5.14 7.65 5.99 8.15 10.49 10.36 12.97 15.76 4.34 6.11 "
    "6.56 6.83 6.75 6.77 7.43 7.90 7.88 7.64 7.73 9.39 6.00 7.90 9.79 9.75 11.81 14.00 4.18 5.69 6.22 6.63 6.76 7.09 "
    "7.12 7.36 7.46 8.34 7.58 8.99 5.79 7.34 8.61 9.01 10.45 12.13 3.89 5.21 5.58 5.54 5.47 5.53 5.58 5.64 5.67 6.15 "
    "5.86 5.94 6.02 6.11 6.18 6.25 5.43 6.83 7.55 7.86 7.83 8.44 8.97 8.96 9.23 10.44 6.11 7.42 7.29 8.41 9.32 10.75 "
    "4.07 5.28 5.38 6.31 5.89 6.19".split(),
    dtype=float,
)
"""First ionisation energies in eV by atomic number (NIST Atomic Spectra Database, version 5)."""

ELECTRON_PRESSURE = 0.5
"""log10 of the electron pressure (dyn cm⁻²) where weak lines of FGK stars are made."""


def ionised(code: NDArray[np.intp], temperature: float) -> Array:
    """Share of elements that is ionised once, by Saha's equation with equal partition functions.

    Args:
        code: Atomic numbers, any shape.
        temperature: K.
    """
    excess = 2.5 * np.log10(temperature) - 5040.0 / temperature * FIRST[code - 1] - ELECTRON_PRESSURE - 0.1761
    return np.asarray(1.0 / (1.0 + 10.0 ** (-excess)))
