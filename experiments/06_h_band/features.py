"""Where theory and a giant disagree, line by line, and which lines of the list lie there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from giants import Giant
from numpy.typing import NDArray
from scipy.signal import find_peaks

from synth2obs.core.constants import C_KMS
from synth2obs.io.air import air_to_vacuum
from synth2obs.synthesis.composition import SYMBOLS
from synth2obs.synthesis.line_lists import Line, Species, strength

Array = NDArray[np.float64]
WIDEST = 1.0
"""Å on each side of the deepest pixel that belong to a feature at most."""

SURE = 5.0
"""Errors that a feature's depth has to exceed."""

SAME = 0.35
"""Å, half a resolution element: within it features of two stars, and lines of the list, are the same."""


FAINT = 0.02
"""Of the continuum: what theory has less of does not make a feature its own."""

MOVED = 2.5
"""Å within which a line may be misplaced."""


@dataclass(frozen=True)
class Feature:
    """Vacuum Å at rest, its depth and equivalent width in mÅ; positive where theory absorbs too little."""

    wavelength: float
    depth: float
    width: float


@dataclass(frozen=True)
class Shared:
    """Features of several giants at one wavelength; depths by name."""

    wavelength: float
    depths: dict[str, float]
    widths: dict[str, float]

    @property
    def depth(self) -> float:
        """Median over giants."""
        return float(np.median(list(self.depths.values())))

    @property
    def width(self) -> float:
        """Median over giants, mÅ."""
        return float(np.median(list(self.widths.values())))


def features(giant: Giant, residual: Array, rv: float, deepest: float) -> list[Feature]:
    """Dips and bumps of observed − theory (P,) that exceed ``deepest`` and the noise."""
    good = giant.ivar > 0
    rest = giant.wavelength / (1.0 + rv / C_KMS)
    noise = np.full(len(rest), np.inf)
    noise[good] = 1.0 / np.sqrt(giant.ivar[good]) / np.median(giant.flux[good])
    apart, found = np.where(good, residual, 0.0), []
    for sign in (1.0, -1.0):
        peaks, _ = find_peaks(-sign * apart, height=deepest)
        for peak in peaks[-sign * apart[peaks] > SURE * noise[peaks]]:
            inside = _around(rest, -sign * apart, int(peak)) & good
            width = float(np.trapezoid(-apart[inside], rest[inside])) * 1e3
            found.append(Feature(float(rest[peak]), float(-apart[peak]), width))
    return found


def _around(rest: Array, dip: Array, peak: int) -> NDArray[np.bool_]:
    """The stretch about a peak where the residual keeps its sign, no wider than `WIDEST`."""
    inside = np.zeros(len(rest), bool)
    for step in (-1, 1):
        pixel = peak
        while 0 <= pixel < len(rest) and dip[pixel] > 0 and abs(rest[pixel] - rest[peak]) <= WIDEST:
            inside[pixel] = True
            pixel += step
    return inside


def together(found: dict[str, Sequence[Feature]]) -> list[Shared]:
    """Features of one sign that two giants or more have at the same wavelength, the deepest first."""
    rows = sorted(((f.wavelength, f, name) for name, each in found.items() for f in each), key=lambda r: r[0])
    shared: list[Shared] = []
    while rows:
        middle = max(rows, key=lambda row: abs(row[1].depth))
        near = [r for r in rows if abs(r[0] - middle[0]) <= SAME and r[1].depth * middle[1].depth > 0]
        best = {name: f for _, f, name in sorted(near, key=lambda row: abs(row[1].depth))}
        if len(best) > 1:
            place = float(np.mean([f.wavelength for f in best.values()]))
            depths = {name: f.depth for name, f in best.items()}
            shared.append(Shared(place, depths, {name: f.width for name, f in best.items()}))
        rows = [row for row in rows if row not in near]
    return sorted(shared, key=lambda one: -abs(one.depth))


def partner(one: Shared, shared: Sequence[Shared]) -> Shared | None:
    """The feature of the other sign, near and about as strong: a line of the list at a wrong wavelength shows so."""
    near = [
        other
        for other in shared
        if other.depth * one.depth < 0
        and abs(other.wavelength - one.wavelength) < MOVED
        and 0.5 < abs(other.width / one.width) < 2.0
    ]
    return min(near, key=lambda other: abs(other.wavelength - one.wavelength), default=None)


class Neighbours:
    """What the line list has near a wavelength.

    Args:
        lines: All of its lines; air.
        wavelength: Vacuum Å of the grid, (L,).
        alone: Flux with one part of the list alone, (L,), by its name.
    """

    def __init__(
        self, lines: Sequence[tuple[Species, Line]], wavelength: Array, alone: Mapping[str, Array]
    ) -> None:
        self.atoms = [one for one in lines if one[0].code <= len(SYMBOLS)]
        self.place = air_to_vacuum(np.array([line.wavelength for _, line in self.atoms]))
        self.wavelength, self.alone = wavelength, alone

    def strongest(self, wavelength: float, count: int = 2) -> str:
        """The strongest atomic lines within `SAME`, as in ``Fe 1 15669.47 (6.25 eV, -0.40)``."""
        near = np.nonzero(np.abs(self.place - wavelength) < SAME)[0]
        order = sorted(near, key=lambda i: -strength(*self.atoms[i]))[:count]
        return "; ".join(self._name(i) for i in order) or "none"

    def depths(self, wavelength: float) -> str:
        """Depth in % of what theory has there, by part of the list, from 1 % on."""
        pixel = int(np.argmin(np.abs(self.wavelength - wavelength)))
        found = {name: 100.0 * (1.0 - flux[pixel]) for name, flux in self.alone.items()}
        return ", ".join(f"{name} {depth:.0f}" for name, depth in found.items() if depth >= 1.0) or "nothing"

    def kind(self, wavelength: float) -> str:
        """The part of the list that has most there; ``nothing`` below `FAINT`."""
        pixel = int(np.argmin(np.abs(self.wavelength - wavelength)))
        name = min(self.alone, key=lambda name: float(self.alone[name][pixel]))
        return name if self.alone[name][pixel] < 1.0 - FAINT else "nothing"

    def _name(self, i: int) -> str:
        species, line = self.atoms[i]
        return f"{species.name} {self.place[i]:.2f} ({line.excitation:.2f} eV, {line.loggf:.2f})"
