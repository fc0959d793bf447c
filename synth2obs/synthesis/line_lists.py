"""Line lists: chosen, converted to the format of an engine, and known by their digest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader, TextIOWrapper
from pathlib import Path

import numpy as np

from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.unpacked import Limited
from synth2obs.synthesis.composition import SYMBOLS, solar_scale
from synth2obs.synthesis.settings import LineListConfig, Medium

MOLECULES = {
    101: "H2", 106: "CH", 107: "NH", 108: "OH", 109: "HF", 112: "MgH", 114: "SiH", 117: "HCl", 126: "FeH",
    606: "C2", 607: "CN", 608: "CO", 814: "SiO", 822: "TiO",
}  # fmt: skip
"""Codes of molecules: the atomic numbers of both atoms, the lighter first."""

UNSOLD = {"Na 1": 2.0, "Si 1": 1.3, "Ca 1": 1.8, "Fe 1": 1.4, "Ca 2": 1.4, "Sr 2": 1.8, "Ba 2": 3.0}
"""Factors on Unsöld's van der Waals damping by species, as is usual with MARCS spectra (Gustafsson et al. 2008)."""

OTHER_UNSOLD = 2.5
HYDROGEN, IRON = 1, 26
SOLAR = solar_scale("grevesse2007")
STRENGTH = 5040.0 / 4500.0
"""Excitation in eV to dex of strength at 4500 K."""

CROSS_SECTION = 20.0
"""Damping from which on it is a cross-section and an exponent."""

MATCH = 0.02
"""Å between a line and its entry in a table of damping."""


@dataclass(frozen=True)
class Line:
    """One transition.

    Args:
        wavelength: Å.
        excitation: Of the lower level, eV.
        loggf: log10 of weight times oscillator strength.
        damping: log10 of van der Waals damping per perturber at 10⁴ K if negative; a factor on Unsöld's below
            `CROSS_SECTION`; from there on cross-section in squared Bohr radii (whole) and velocity exponent
            (decimals) of Anstee, Barklem & O'Mara.
        radiation: Radiative damping, s⁻¹; 0 for the classical value.
    """

    wavelength: float
    excitation: float
    loggf: float
    damping: float
    radiation: float = 0.0


@dataclass(frozen=True)
class Species:
    """What a line belongs to.

    Args:
        code: Atomic number, or a key of `MOLECULES`.
        ion: 1 for a neutral atom or a molecule.
        isotopes: Mass numbers of its atoms; 0 stands for the solar mixture.
    """

    code: int
    ion: int
    isotopes: tuple[int, ...]

    @property
    def name(self) -> str:
        """``Fe 1`` or ``CN``; the code of a molecule that is not among `MOLECULES`."""
        if self.code <= len(SYMBOLS):
            return f"{SYMBOLS[self.code - 1]} {self.ion}"
        return MOLECULES.get(self.code, str(self.code))

    @property
    def element(self) -> str:
        """``Fe`` or ``CN``."""
        return self.name.split()[0]


Lines = dict[Species, list[Line]]


def strength(species: Species, line: Line) -> float:
    """Log gf − χ·5040/4500, for atoms with A(X) of the Sun relative to iron: how strong a line gets in cool stars."""
    atom = species.code <= len(SYMBOLS)
    abundance = SOLAR[species.code - 1] - SOLAR[IRON - 1] if atom else 0.0
    return line.loggf - STRENGTH * line.excitation + float(abundance)


def read_moog(path: Path, config: LineListConfig, damping: Path | None) -> Lines:
    """Lines of a list in MOOG's format (linemake's), possibly compressed.

    Raises:
        DataError: If a row is no line.
    """
    table = _damping_table(damping) if damping else {}
    lines: Lines = {}
    for number, row in enumerate(_rows(path), 1):
        words = row.split()
        try:
            wavelength, code, excitation, loggf = float(words[0]), words[1], float(words[2]), float(words[3])
        except (IndexError, ValueError):
            raise DataError(
                f"row {number} is no line of MOOG's format: {row.rstrip()!r}",
                path=path,
                remedy="check the format",
            ) from None
        if not config.range[0] <= wavelength <= config.range[1]:
            continue
        species = moog_species(code)
        line = Line(wavelength, excitation, loggf, *_damping(species, wavelength, table.get(code)))
        if wanted(config, species, line):
            lines.setdefault(species, []).append(line)
    return lines


def wanted(config: LineListConfig, species: Species, line: Line) -> bool:
    """Whether a recipe takes a line of a list."""
    faint = config.faintest is not None and strength(species, line) < config.faintest
    inside = config.range[0] <= line.wavelength <= config.range[1]
    named = not config.species or species.element in config.species
    return inside and named and not faint


def moog_species(code: str) -> Species:
    """The species of a code: ``26.1`` is Fe II, ``607.01214`` is ¹²C¹⁴N, ``56.1137`` is ¹³⁷Ba II.

    Raises:
        DataError: If it is unknown.
    """
    whole, _, decimals = code.partition(".")
    decimals = decimals or "0"
    number = int(whole)
    if number <= len(SYMBOLS):
        return Species(number, int(decimals[0]) + 1, (int(decimals[1:] or 0),))
    if number not in MOLECULES:
        raise DataError(f"unknown molecule {code!r}", remedy="name the species that are wanted in the recipe")
    masses = decimals[1:].rjust(4, "0")
    return Species(number, 1, (int(masses[:-2]), int(masses[-2:])))


def _damping(species: Species, wavelength: float, table: np.ndarray | None) -> tuple[float, float]:
    """Van der Waals and radiative damping of a line; molecules have neither."""
    if species.code in MOLECULES:
        return 0.0, 0.0
    if table is not None:
        nearest = table[np.argmin(np.abs(table[:, 0] - wavelength))]
        if abs(nearest[0] - wavelength) <= MATCH:
            return float(nearest[1]), float(nearest[2])
    return UNSOLD.get(species.name, OTHER_UNSOLD), 0.0


def _damping_table(path: Path) -> dict[str, np.ndarray]:
    """Wavelength, log van der Waals damping and radiative damping by species (Barklem et al. 2000 and 2005)."""
    rows: dict[str, list[list[float]]] = {}
    for row in _rows(path):
        words = row.split()
        values = [float(words[0]), float(words[2]), float(words[4]) if len(words) > 4 else 0.0]
        rows.setdefault(words[1], []).append(values)
    return {code: np.array(values) for code, values in rows.items()}


def _rows(path: Path) -> Iterator[str]:
    try:
        with TextIOWrapper(BufferedReader(Limited(path))) if path.suffix == ".gz" else path.open() as file:
            yield from (row for row in file if row.strip())
    except OSError as error:
        raise DataError(f"cannot be read ({error})", path=path, remedy="check the name") from error


def one_medium(configs: Iterable[LineListConfig], bands: Medium, needed: Medium) -> None:
    """Refuse lists and bands whose wavelengths are not in the medium that the engine computes in.

    Raises:
        ConfigError: If one is in another medium.
    """
    given = {"spectrum.bands": bands, **{f"line list {config.file}": config.medium for config in configs}}
    for name, medium in given.items():
        if medium != needed:
            raise ConfigError(
                f"{name}: medium is {medium}, and this engine computes in {needed} here; "
                "convert the wavelengths, or state their medium correctly"
            )
