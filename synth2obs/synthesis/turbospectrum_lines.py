"""Line lists in Turbospectrum's format: read, cut to what a recipe wants, written."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from synth2obs.core.errors import DataError
from synth2obs.synthesis.line_lists import HYDROGEN, Line, Lines, Species, wanted
from synth2obs.synthesis.overlay import DECIMALS, Key, changed
from synth2obs.synthesis.settings import LineListConfig

LOGGF = re.compile(r"^(\s*\S+\s+\S+\s+)(\S+)")
"""A row up to its third number, and that."""


def write_turbospectrum(lines: Lines, path: Path) -> None:
    """Write lines in Turbospectrum's format, without hydrogen's, of which it has its own."""
    with path.open("w", encoding="ascii") as file:
        for species in sorted(lines, key=lambda species: (species.code, species.ion, species.isotopes)):
            if species.code == HYDROGEN:
                continue
            rows = sorted(lines[species], key=lambda line: line.wavelength)
            masses = "".join(f"{mass:03d}" for mass in species.isotopes)
            file.write(
                f"'{species.code:4d}.{masses:12s}' {species.ion:4d} {len(rows):9d}\n'{species.name}'\n"
            )
            file.writelines(_turbospectrum_row(line) for line in rows)


def cut_turbospectrum(
    path: Path, target: Path, config: LineListConfig, changes: Mapping[Key, float] | None = None
) -> None:
    """Copy the lines that a recipe wants of a list in Turbospectrum's format, as they are but for changes of log gf.

    Raises:
        DataError: If the file is not in that format.
    """
    parts = [
        "\n".join([f"{head} {len(kept):9d}", name, *kept])
        for head, name, species, rows in _turbospectrum_blocks(path)
        if (
            kept := [
                _with_loggf(row, line, changed(species, line, changes or {}))
                for row, line in rows
                if wanted(config, species, line)
            ]
        )
    ]
    target.write_text("\n".join([*parts, ""]) if parts else "", encoding="latin-1")


def _with_loggf(row: str, line: Line, other: Line) -> str:
    """A row of a line that has the log gf of another; the row itself where that is the same."""
    if other is line:
        return row
    return LOGGF.sub(lambda found: f"{found[1]}{other.loggf:{len(found[2])}.{DECIMALS}f}", row)


def read_turbospectrum(path: Path, config: LineListConfig) -> Lines:
    """Lines of a list in Turbospectrum's format.

    Raises:
        DataError: If the file is not in that format.
    """
    lines: Lines = {}
    for _, _, species, rows in _turbospectrum_blocks(path):
        kept = [line for _, line in rows if wanted(config, species, line)]
        if kept and species.name.isdigit():
            raise DataError(
                f"molecule {species.code} is unknown to this engine",
                path=path,
                remedy="name others in species",
            )
        if kept:
            lines.setdefault(species, []).extend(kept)
    return lines


Block = tuple[str, str, Species, list[tuple[str, Line]]]


def _turbospectrum_blocks(path: Path) -> Iterator[Block]:
    """Of each species: its first row without the count, its second row, what it is, rows and what they say."""
    try:
        text = path.read_text(encoding="latin-1").split("\n")
    except OSError as error:
        raise DataError(f"cannot be read ({error})", path=path, remedy="check the name") from error
    position = 0
    while position < len(text) and text[position].strip():
        head, species, count = _header(path, text[position], position + 1)
        first = position + 2
        rows = [
            (row, _turbospectrum_line(path, row, number))
            for number, row in enumerate(text[first : first + count], first + 1)
        ]
        if len(rows) < count:
            raise DataError(f"ends before the {count} lines of {head}", path=path, remedy="get it again")
        yield head, text[position + 1], species, rows
        position = first + count


def _header(path: Path, row: str, number: int) -> tuple[str, Species, int]:
    try:
        code, rest = row.strip().removeprefix("'").split("'")
        ion, count = map(int, rest.split())
        whole, _, masses = code.strip().partition(".")
        isotopes = tuple(int(masses[i : i + 3]) for i in range(0, len(masses), 3))
        species = Species(int(whole), ion, isotopes)
    except ValueError:
        raise DataError(
            f"row {number} begins no species: {row!r}",
            path=path,
            remedy="give a list in Turbospectrum's format",
        ) from None
    return row.rstrip().rpartition(" ")[0].rstrip(), species, count


def _turbospectrum_line(path: Path, row: str, number: int) -> Line:
    words = row.split(None, 6)
    try:
        wavelength, excitation, loggf, damping, _, radiation = (float(word) for word in words[:6])
    except ValueError:
        raise DataError(
            f"row {number} is no line of Turbospectrum's format: {row.rstrip()!r}",
            path=path,
            remedy="check the format",
        ) from None
    return Line(wavelength, excitation, loggf, damping, radiation)


def _turbospectrum_row(line: Line) -> str:
    return (
        f"{line.wavelength:11.3f} {line.excitation:7.3f} {line.loggf:8.3f} {line.damping:8.3f} 1.0 "
        f"{line.radiation:.2E} 'x' 'x' 0.0 1.0\n"
    )
