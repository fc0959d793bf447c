"""Lines that a list has, as transitions: components of isotopes and hyperfine structure together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.io.air import air_to_vacuum, vacuum_to_air
from synth2obs.synthesis.composition import SYMBOLS
from synth2obs.synthesis.installed import locate, read_lines
from synth2obs.synthesis.ionisation import ionised
from synth2obs.synthesis.isotopes import TERRESTRIAL
from synth2obs.synthesis.line_lists import HYDROGEN, IRON, SOLAR, Line, Species
from synth2obs.synthesis.overlay import ListedFile
from synth2obs.synthesis.settings import LineListConfig

Floats = NDArray[np.float64]

SAME_LEVEL = 0.003
"""eV within which lower levels count as one."""

NEAR = 0.15
"""Å between neighbouring components of a transition."""

LINE_TEMPERATURE = 0.9
"""Of the effective temperature: where weak lines are made."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Lines of one element and ion from one level, that lie together: one log gf is wrong, or none.

    Args:
        list: Number of its line list.
        members: Species and line of every component, by wavelength in the list's medium.
        vacuum, air: Wavelengths of the components in Å, shape (C,).
    """

    list: int
    members: tuple[tuple[Species, Line], ...]
    vacuum: Floats
    air: Floats

    @property
    def species(self) -> Species:
        """Of its first component."""
        return self.members[0][0]

    def strengths(self, teff: float) -> Floats:
        r"""Strength of the components in a star, shape (C,): :math:`\epsilon_X\, s\, f_\mathrm{ion}\, gf\, 10^{-\theta\chi}`.

        :math:`\theta = 5040\,\mathrm{K}/T` at `LINE_TEMPERATURE` times Teff, :math:`\epsilon_X` the Sun's abundance
        relative to iron, s the share of the isotope and f that of the ion; up to the partition function.
        """
        temperature = LINE_TEMPERATURE * teff
        return np.array([_strength(species, line, temperature) for species, line in self.members])


@dataclass(frozen=True)
class Listed:
    """Transitions of line lists.

    Args:
        transitions: By wavelength.
        molecules: Wavelengths in vacuum Å of the lines of molecules, increasing; these are no candidates.
        files: The lists.
    """

    transitions: tuple[Transition, ...]
    molecules: Floats
    files: tuple[ListedFile, ...]


def read_listed(configs: Sequence[LineListConfig]) -> Listed:
    """Transitions of line lists, as a recipe names them.

    Raises:
        DataError: If a list cannot be read, or already has an overlay.
        EngineMissingError: If one belongs to something that is not installed.
    """
    files, found, molecules = [], [], [np.zeros(0)]
    for number, config in enumerate(configs):
        if config.overlay is not None:
            raise DataError(
                "has an overlay already", path=config.file, remedy="give the list itself: overlays do not add"
            )
        files.append(
            ListedFile(
                file=config.file,
                sha256=file_sha256(locate(config.file)),
                medium=config.medium,
                format=config.format,
            )
        )
        lines = read_lines(config)
        atoms = {species: rows for species, rows in lines.items() if species.code <= len(SYMBOLS)}
        others = [line for species, rows in lines.items() if species not in atoms for line in rows]
        molecules.append(_media(others, config.medium)[0])
        members = [(species, line) for species, rows in atoms.items() for line in rows]
        found += [_transition(number, group, config.medium) for group in _grouped(members)]
    found.sort(key=lambda each: float(each.vacuum.mean()))
    return Listed(tuple(found), np.sort(np.concatenate(molecules)), tuple(files))


def _grouped(members: Iterable[tuple[Species, Line]]) -> Iterator[list[tuple[Species, Line]]]:
    """Components of one transition together; hydrogen's lines are no candidates."""
    by_level: dict[tuple[int, int, int], list[tuple[Species, Line]]] = {}
    for species, line in members:
        if species.code != HYDROGEN:
            level = round(line.excitation / SAME_LEVEL)
            by_level.setdefault((species.code, species.ion, level), []).append((species, line))
    for level in by_level.values():
        level.sort(key=lambda member: member[1].wavelength)
        group = [level[0]]
        for (_, before), member in pairwise([level[0], *level[1:]]):
            if member[1].wavelength - before.wavelength > NEAR:
                yield group
                group = []
            group.append(member)
        yield group


def _transition(number: int, members: Sequence[tuple[Species, Line]], medium: str) -> Transition:
    vacuum, air = _media([line for _, line in members], medium)
    return Transition(list=number, members=tuple(members), vacuum=vacuum, air=air)


def _media(lines: Sequence[Line], medium: str) -> tuple[Floats, Floats]:
    """Wavelengths in vacuum and in air, the list's own untouched."""
    own = np.array([line.wavelength for line in lines])
    return (own, vacuum_to_air(own)) if medium == "vacuum" else (air_to_vacuum(own), own)


def _strength(species: Species, line: Line, temperature: float) -> float:
    abundance = float(SOLAR[species.code - 1] - SOLAR[IRON - 1])
    share = ionised(species.code, temperature)
    stage = {1: 1.0 - share, 2: share}.get(species.ion, 0.0)
    isotope = TERRESTRIAL.get(SYMBOLS[species.code - 1], {}).get(species.isotopes[0], 1.0)
    exponent = line.loggf - 5040.0 / temperature * line.excitation + abundance
    return float(stage * isotope * 10.0**exponent)
