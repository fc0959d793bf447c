"""Grids that have a file for every spectrum: what text, FITS, PHOENIX, Turbospectrum and Korg have in common."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import bare_name
from synth2obs.io.own_grids.contract import ForeignGrid, block_rows
from synth2obs.io.own_grids.description import Description
from synth2obs.io.own_grids.label_table import labels_by_file, labels_by_name

Array = NDArray[np.float64]

Read = Callable[[Path], tuple[Array, Array]]
"""Wavelength and flux of a file, in the owner's units."""

SAME = 1e-9
"""Relative difference of wavelengths that are the same."""


def read_each(
    one: Description, files: tuple[Path, ...], read: Read, cards: Callable[[Path], dict[str, float]]
) -> ForeignGrid:
    """A grid with a file for every spectrum.

    Args:
        one: Its description.
        files: The spectra.
        read: Reads one.
        cards: Labels that stand in a file itself, by the owner's names; asked if the description names neither a
            table nor a pattern.

    Raises:
        DataError: If a file cannot be read, has other wavelengths than the first, or has no labels.
    """
    table = files[0].parent / one.label_table
    spectra = tuple(file for file in files if not one.label_table or file.resolve() != table.resolve())
    if not spectra:
        raise DataError("holds no spectrum", path=files[0].parent, field="files", remedy="check the pattern")
    wavelength, _ = _read(read, spectra[0])
    return ForeignGrid(
        path=spectra[0].parent,
        wavelength=wavelength,
        columns=_labels(one, table, spectra, cards),
        names=_names(spectra),
        files=(*spectra, *_beside(one, spectra[0])),
        own_files=spectra,
        flux=lambda samples: _flux(spectra, wavelength, read, samples),
    )


def no_cards(path: Path) -> dict[str, float]:
    """Of a file that cannot hold labels.

    Raises:
        DataError: Always.
    """
    raise DataError(
        "holds no labels",
        path=path,
        field="labels",
        remedy="name a label_table with a row a file, or a pattern of the files' names",
    )


def _labels(
    one: Description, table: Path, files: tuple[Path, ...], cards: Callable[[Path], dict[str, float]]
) -> dict[str, Array]:
    if one.label_table:
        return labels_by_file(one, table, files)
    if one.pattern:
        return labels_by_name(one, files)
    rows = [cards(file) for file in files]
    return {name: np.array([row[name] for row in rows]) for name in one.columns}


def _beside(one: Description, first: Path) -> tuple[Path, ...]:
    """What else was read."""
    return tuple(first.parent / name for name in (one.wavelength_file, one.label_table) if name)


def _names(files: tuple[Path, ...]) -> tuple[str, ...]:
    """The files' names without ending, or with it where two would be alike.

    Raises:
        DataError: If two files of different folders have the same name.
    """
    stems = tuple(bare_name(file.name) for file in files)
    names = stems if len(set(stems)) == len(stems) else tuple(file.name for file in files)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"two files are called {twice}", path=files[0], field="files", remedy="give each its own name"
        )
    return names


def _flux(files: tuple[Path, ...], wavelength: Array, read: Read, samples: slice) -> Iterator[Array]:
    step = block_rows(len(wavelength[samples]))
    for first in range(0, len(files), step):
        yield np.stack([_row(read, path, wavelength)[samples] for path in files[first : first + step]])


def _row(read: Read, path: Path, wavelength: Array) -> Array:
    here, flux = _read(read, path)
    if here.shape != wavelength.shape or not np.allclose(here, wavelength, rtol=SAME, atol=0):
        found = f"{len(here)} samples from {here[0]:g} to {here[-1]:g}"
        raise DataError(
            f"{found} are not those of the first spectrum",
            path=path,
            field="wavelength",
            remedy="give all spectra the same wavelengths, or join grids of their own",
        )
    return flux


def _read(read: Read, path: Path) -> tuple[Array, Array]:
    """What a file holds; whatever goes wrong is a DataError about it."""
    try:
        return read(path)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"cannot be read ({type(error).__name__}: {error})", path=path, remedy="check format and file"
        ) from error
