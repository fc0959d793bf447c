"""Lines that a list has, as transitions: components of isotopes and hyperfine structure together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

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
from synth2obs.synthesis.recipe import read_recipe
from synth2obs.synthesis.settings import LineListConfig

Floats = NDArray[np.float64]

SAME_LEVEL = 0.003
"""eV within which lower levels count as one."""

NEAR = 0.15
"""Å between neighbouring components of a transition."""

EXCITATION = 0.9
"""Of the effective temperature: that of the levels where weak lines are made; ions are made deeper, at Teff."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Lines of one element and ion from one level, that lie together: one log gf is wrong, or none.

    Args:
        list_number: Number of its line list.
        members: Species and line of every component, by wavelength in the list's medium.
        vacuum, air: Wavelengths of the components in Å, shape (C,).
    """

    list_number: int
    members: tuple[tuple[Species, Line], ...]
    vacuum: Floats
    air: Floats

    @property
    def species(self) -> Species:
        """Of its first component."""
        return self.members[0][0]


@dataclass(frozen=True)
class Strengths:
    r"""Strengths of the components of transitions, up to the partition function.

    .. math:: s = \epsilon_X\, \iota\, f\, gf\, 10^{-\theta\chi}

    with :math:`\theta = 5040\,\mathrm{K}/T` at `EXCITATION` times Teff, :math:`\epsilon_X` the Sun's abundance relative
    to iron, ι the share of the isotope and f that of the ion.

    Args:
        owner: Number of each component's transition, shape (C,).
        code, ion: Of the components, shape (C,).
        excitation: eV, shape (C,).
        fixed: log10 of all that does not change from star to star, shape (C,).
    """

    owner: NDArray[np.intp]
    code: NDArray[np.intp]
    ion: NDArray[np.intp]
    excitation: Floats
    fixed: Floats

    @classmethod
    def of(cls, transitions: Sequence[Transition]) -> "Strengths":
        """Of some transitions."""
        members = [(number, *each) for number, own in enumerate(transitions) for each in own.members]
        return cls(
            owner=np.array([number for number, *_ in members], dtype=np.intp),
            code=np.array([species.code for _, species, _ in members], dtype=np.intp),
            ion=np.array([species.ion for _, species, _ in members], dtype=np.intp),
            excitation=np.array([line.excitation for *_, line in members], dtype=float),
            fixed=np.array([_fixed(species, line) for _, species, line in members], dtype=float),
        )

    def at(self, teff: float) -> Floats:
        """In a star, shape (C,)."""
        share = ionised(self.code, teff)
        stage = np.select([self.ion == 1, self.ion == 2], [1.0 - share, share], 0.0)
        return np.asarray(stage * 10.0 ** (self.fixed - 5040.0 / (EXCITATION * teff) * self.excitation))

    def summed(self, teff: float) -> Floats:
        """Of the transitions in a star, shape (T,)."""
        count = int(self.owner.max(initial=-1)) + 1
        return np.asarray(np.bincount(self.owner, weights=self.at(teff), minlength=count), dtype=float)


@dataclass(frozen=True)
class Listed:
    """Transitions of line lists.

    Args:
        transitions: By wavelength.
        molecules: Wavelengths in vacuum Å of the lines of molecules by their elements, increasing; these are no
            candidates.
        files: The lists.
    """

    transitions: tuple[Transition, ...]
    molecules: Mapping[str, Floats]
    files: tuple[ListedFile, ...]


def listed_of(lines: str | Path | Sequence[LineListConfig]) -> Listed:
    """Transitions of the line lists of a recipe, or of line lists.

    Raises:
        ConfigError: If the recipe cannot be read.
        DataError: As `read_listed`.
        EngineMissingError: As `read_listed`.
    """
    if isinstance(lines, str | Path):
        return read_listed(read_recipe(lines).line_list)
    if not isinstance(lines, list | tuple) or not all(isinstance(one, LineListConfig) for one in lines):
        raise DataError(
            f"is a {type(lines).__name__}",
            field="lines",
            remedy="give the path of a grid's recipe, or a list of LineListConfig",
        )
    return read_listed(lines)


def read_listed(configs: Sequence[LineListConfig]) -> Listed:
    """Transitions of line lists, as a recipe names them.

    Raises:
        DataError: If a list cannot be read, or already has an overlay.
        EngineMissingError: If one belongs to something that is not installed.
    """
    files: list[ListedFile] = []
    found: list[Transition] = []
    molecules: dict[str, list[float]] = {}
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
        atoms, others = _members(config)
        for element, wavelengths in others.items():
            molecules.setdefault(element, []).extend(wavelengths)
        found += [_transition(number, group) for group in _grouped(atoms)]
    found.sort(key=lambda each: float(each.vacuum.mean()))
    sorted_molecules = {name: np.sort(wavelengths) for name, wavelengths in molecules.items()}
    return Listed(tuple(found), sorted_molecules, tuple(files))


@dataclass(frozen=True)
class _Member:
    """A line with its wavelengths in both media."""

    species: Species
    line: Line
    vacuum: float
    air: float


def _members(config: LineListConfig) -> tuple[list[_Member], dict[str, list[float]]]:
    """Atomic lines of a list, and vacuum wavelengths of molecular lines by element; hydrogen's are in neither."""
    pairs = [(species, line) for species, rows in read_lines(config).items() for line in rows]
    own = np.array([line.wavelength for _, line in pairs])
    vacuum, air = (own, vacuum_to_air(own)) if config.medium == "vacuum" else (air_to_vacuum(own), own)
    atoms: list[_Member] = []
    molecules: dict[str, list[float]] = {}
    for (species, line), one, other in zip(pairs, vacuum.tolist(), air.tolist(), strict=True):
        if species.code <= len(SYMBOLS):
            atoms += [_Member(species, line, one, other)] * (species.code != HYDROGEN)
        else:
            for code in set(divmod(species.code, 100)) - {HYDROGEN}:
                molecules.setdefault(SYMBOLS[code - 1], []).append(one)
    return atoms, molecules


def _grouped(members: Iterable[_Member]) -> Iterator[list[_Member]]:
    """Components of one transition together."""
    levels: dict[tuple[int, int, int], list[_Member]] = {}
    for each in members:
        level = round(each.line.excitation / SAME_LEVEL)
        levels.setdefault((each.species.code, each.species.ion, level), []).append(each)
    for rows in levels.values():
        rows.sort(key=lambda each: each.vacuum)
        group = rows[:1]
        for before, each in pairwise(rows):
            if each.vacuum - before.vacuum > NEAR:
                yield group
                group = []
            group.append(each)
        yield group


def _transition(number: int, members: Sequence[_Member]) -> Transition:
    return Transition(
        list_number=number,
        members=tuple((each.species, each.line) for each in members),
        vacuum=np.array([each.vacuum for each in members]),
        air=np.array([each.air for each in members]),
    )


def _fixed(species: Species, line: Line) -> float:
    abundance = float(SOLAR[species.code - 1] - SOLAR[IRON - 1])
    isotope = TERRESTRIAL.get(SYMBOLS[species.code - 1], {}).get(species.isotopes[0], 1.0)
    return line.loggf + abundance + float(np.log10(isotope))
