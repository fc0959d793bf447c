"""Overlays of line lists: log gf of single lines, corrected, in a file that knows which list it belongs to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.io.tables import as_table, read_table, write_table
from synth2obs.synthesis.line_lists import Line, Lines, Species
from synth2obs.synthesis.settings import OverlayConfig

FORMAT = "synth2obs-line-overlay/1"

Kind = Literal["line", "missing"]
LINE: Kind = "line"
"""Of a row: a line of the list."""

MISSING: Kind = "missing"
"""Of a row: a line that the list lacks."""

DECIMALS = 4
"""To which a line's numbers are compared: lists give three."""

UNITS = {
    "wavelength_air": "Angstrom",
    "wavelength_vacuum": "Angstrom",
    "excitation": "eV",
    "delta_log_gf": "dex",
    "delta_log_gf_error": "dex",
}

Key = tuple[int, int, tuple[int, ...], float, float, float]


@dataclass(frozen=True, kw_only=True)
class Correction:
    """One row of an overlay.

    Args:
        kind: `LINE`, or `MISSING` for a line that the list lacks: then log gf, its change and excitation are NaN.
        list_number: Number of its line list among those of the overlay.
        species: Name, e.g. ``Fe 1``; of a missing line its element.
        code, ion, isotopes: Of `line_lists.Species`, isotopes as ``12-14``; 0, 0 and nothing for a missing line.
        wavelength_air, wavelength_vacuum: Å; that in the list's medium is the list's own number.
        excitation: Of the lower level, eV.
        log_gf: As the list has it.
        delta_log_gf, delta_log_gf_error: To be added to it, and its posterior σ, dex.
        probability: That this line is wrong; of a missing line, that it is the element's.
        none: Probability that the gap here is no listed line's.
        transition: Number shared by the components (isotopes, hyperfine structure) of one transition: one change.
        group: Number shared by transitions that the spectra cannot tell apart: their changes belong together.
    """

    kind: Kind
    list_number: int
    species: str
    code: int
    ion: int
    isotopes: str
    wavelength_air: float
    wavelength_vacuum: float
    excitation: float
    log_gf: float
    delta_log_gf: float
    delta_log_gf_error: float
    probability: float
    none: float
    transition: int
    group: int

    def key(self, medium: str) -> Key:
        """What it shares with the line of its list."""
        isotopes = tuple(int(mass) for mass in self.isotopes.split("-") if mass)
        species = Species(self.code, self.ion, isotopes)
        wavelength = self.wavelength_air if medium == "air" else self.wavelength_vacuum
        return _key(species, wavelength, self.excitation, self.log_gf)


COLUMNS = {column.name: column.type for column in fields(Correction)}


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """A line list that an overlay belongs to.

    Args:
        file: As a recipe names it.
        sha256: Of the file's content.
        medium: Of its wavelengths.
        format: Of the file.
    """

    file: str
    sha256: str
    medium: str
    format: str


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """Corrections of line lists.

    Args:
        rows: Corrections.
        lists: Line lists that they belong to.
        meta: Where they come from: grid, survey and what else is to be kept.
    """

    rows: Sequence[Correction]
    lists: Sequence[ListedFile]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def changes(self, sha256: str) -> dict[Key, float]:
        """Changes of log gf of the lines of one list; a missing line changes nothing."""
        mine = {number: each.medium for number, each in enumerate(self.lists) if each.sha256 == sha256}
        return {
            row.key(mine[row.list_number]): row.delta_log_gf
            for row in self.rows
            if row.kind == LINE and row.list_number in mine and np.isfinite(row.delta_log_gf)
        }


def write_overlay(overlay: Overlay, path: Path) -> Path:
    """Write an overlay as ECSV.

    Raises:
        OutputError: If it cannot be written.
    """
    kinds: dict[Any, type] = {int: int, float: float}
    columns: dict[str, Any] = {
        name: np.array([getattr(row, name) for row in overlay.rows], dtype=kinds.get(kind, str))
        for name, kind in COLUMNS.items()
    }
    lists = [{name: getattr(each, name) for name in ListedFile.__annotations__} for each in overlay.lists]
    return write_table(as_table(columns, UNITS, format=FORMAT, line_lists=lists, **overlay.meta), path)


def read_overlay(path: str | Path) -> Overlay:
    """Read an overlay.

    Raises:
        DataError: If it is none, or of another format.
    """
    path = Path(path)
    table = read_table(path)
    meta = dict(table.meta)
    if meta.pop("format", None) != FORMAT or set(COLUMNS) - set(table.colnames):
        raise DataError(
            f"is no overlay of the format {FORMAT}",
            path=path,
            remedy="give a file that `synth2obs gap --overlay` wrote, as .ecsv",
        )
    lists = tuple(ListedFile(**each) for each in meta.pop("line_lists"))
    rows = tuple(Correction(**{name: _plain(row[name]) for name in COLUMNS}) for row in table)
    return Overlay(rows=rows, lists=lists, meta=meta)


def _plain(value: Any) -> Any:
    """A value without numpy's type; an empty text comes masked."""
    if np.ma.is_masked(value):
        return ""
    return value.item() if isinstance(value, np.generic) else value


def changes_for(config: OverlayConfig | None, source: Path) -> dict[Key, float]:
    """Changes of log gf that a recipe wants of the lines of a list; none without an overlay.

    Args:
        config: Of the line list.
        source: The list's file.

    Raises:
        DataError: If the overlay is not the one that the recipe names, or belongs to another list.
    """
    if config is None:
        return {}
    return dict(_changes(config, str(source), source.stat().st_mtime_ns))


@lru_cache(maxsize=16)
def _changes(config: OverlayConfig, source: str, modified: int) -> Mapping[Key, float]:
    found = file_sha256(config.file)
    if found != config.sha256:
        raise DataError(
            f"its sha256 is {found}, the recipe wants {config.sha256}",
            path=config.file,
            remedy="give the overlay that the recipe names, or start with --overlay anew",
        )
    overlay, digest = read_overlay(config.file), file_sha256(source)
    if digest not in {each.sha256 for each in overlay.lists}:
        raise other_lists(config.file, overlay, {source: digest})
    return overlay.changes(digest)


def other_lists(path: str | Path, overlay: Overlay, found: Mapping[str, str]) -> DataError:
    """What to say of an overlay whose list is not among those that were found, sha256 by file."""
    wanted = ", ".join(f"{each.file} ({each.sha256})" for each in overlay.lists)
    there = ", ".join(f"{file} ({sha256})" for file, sha256 in found.items())
    return DataError(
        f"belongs to the line list {wanted} by its sha256, but the recipe has {there}",
        path=path,
        remedy="give the line list that the overlay was made for, or make an overlay for this one",
    )


def corrected(lines: Lines, changes: Mapping[Key, float]) -> Lines:
    """Lines with their log gf changed; those of which nothing is said stay what they are."""
    if not changes:
        return lines
    return {species: [changed(species, line, changes) for line in rows] for species, rows in lines.items()}


def changed(species: Species, line: Line, changes: Mapping[Key, float]) -> Line:
    """One line with its log gf changed, if something is said of it."""
    delta = changes.get(_key(species, line.wavelength, line.excitation, line.loggf), 0.0)
    return replace(line, loggf=line.loggf + delta) if delta else line


def _key(species: Species, wavelength: float, excitation: float, loggf: float) -> Key:
    place, energy, strength = (round(float(value), DECIMALS) for value in (wavelength, excitation, loggf))
    return species.code, species.ion, species.isotopes, place, energy, strength


def isotopes_text(masses: Iterable[int]) -> str:
    """Mass numbers as an overlay has them: ``12-14``."""
    return "-".join(map(str, masses))
