"""A described grid as a source of spectra."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.air import AIR_FORMULA
from synth2obs.io.own_grids import FORMATS
from synth2obs.io.own_grids.contract import ForeignGrid, Format
from synth2obs.io.own_grids.description import Description, describe, read_tree
from synth2obs.io.own_grids.envelope import over_envelope
from synth2obs.io.own_grids.files import find_files
from synth2obs.io.own_grids.label_rules import make_labels
from synth2obs.io.own_grids.part import GridPart, without_flux
from synth2obs.io.own_grids.rules import check_flux, vacuum_angstroms
from synth2obs.io.own_grids.sampling import Sampling, in_order, make_sampling
from synth2obs.io.surveys.reading import sources

Names = NDArray[np.str_]

THEORY = ("engine", "line_list", "atmospheres", "solar_scale")
"""Keys of a description that say how the spectra were computed."""

FEW = 8
"""Files of which each has its digest in the provenance; of more the list has one, and each spectrum its own."""


def read_description(path: Path) -> tuple[Description, Format]:
    """A description with the defaults of its format.

    Raises:
        DataError: If it cannot be read, a key is unknown, missing or wrong, or contradicts the format.
    """
    tree = read_tree(path)
    if "frame" in tree and "format" not in tree:
        remedy = f"write `synth2obs ingest {path} FILES… -o survey.h5`"
        raise DataError("describes a survey, not a theoretical grid", path=path, remedy=remedy)
    name = tree.get("format")
    if not isinstance(name, str) or name not in FORMATS:
        known = f"there are {', '.join(FORMATS)}"
        raise DataError(f"got {name!r}", path=path, field="format", remedy=known)
    kind = FORMATS[name]
    one = describe({**kind.defaults, **tree}, path)
    for key, value in kind.fixed.items():
        if getattr(one, key) != value:
            raise DataError(
                f"is {getattr(one, key)!r}, but {name} files are in {value}",
                path=path,
                field=key,
                remedy="correct it, or describe the files as another format",
            )
    return one, kind


def described_files(path: Path) -> list[Path]:
    """All files that a description means.

    Raises:
        DataError: If it cannot be used, or a pattern fits no file.
    """
    one, _ = read_description(path)
    spectra = find_files(one.files, path.parent)
    return [*spectra, *(spectra[0].parent / name for name in (one.label_table, one.wavelength_file) if name)]


def open_described(path: Path) -> GridPart:
    """The grid that a TOML describes; flux is read, checked, broadened and normalised as it is asked for.

    Raises:
        DataError: For whatever is wrong with description, wavelengths or labels.
    """
    one, kind = read_description(path)
    grid = kind.read(one, find_files(one.files, path.parent))
    wavelength, first = vacuum_angstroms(
        grid.wavelength, unit=one.unit, medium=one.medium, shortest=kind.shortest, path=grid.path
    )
    sampling = in_order(make_sampling(one, wavelength, path), first)
    names = _names(one, grid)
    labels = make_labels(one.labels, grid.columns, names, grid.path)
    used = wavelength[sampling.samples.start - first : sampling.samples.stop - first]
    return GridPart(
        path=path,
        table=_table(one, grid, sampling, names, labels),
        flux=lambda: _flux(one, grid, sampling, used, names),
    )


def _names(one: Description, grid: ForeignGrid) -> Names:
    own = grid.names or tuple(f"{number:06d}" for number in range(len(grid)))
    return np.array([f"{one.name}_{name}" for name in own])


def _table(
    one: Description, grid: ForeignGrid, sampling: Sampling, names: Names, labels: dict[str, Any]
) -> Spectra:
    stars = len(names)
    digests = {file: file_sha256(file) for file in grid.files}
    # The flux comes block by block, and the whole file is checked when it is written.
    return Spectra.unchecked(
        domain=one.name,
        kind="grid",
        wavelength=sampling.wavelength,
        segment=sampling.segment,
        flux=without_flux(stars),
        ivar=None,
        id=names,
        line_spread=LineSpread.gaussian(sampling.sigma, group=np.zeros(stars, dtype=np.int32)),
        rv=np.zeros(stars),
        rv_error=np.zeros(stars),
        snr=np.full(stars, np.nan),
        labels=labels,
        native=_native(grid, digests),
        frame="rest",
        flux_kind=one.result_kind,
        air_formula=AIR_FORMULA if one.medium == "air" else "",
        provenance=_provenance(one, sampling, digests),
    )


def _native(grid: ForeignGrid, digests: dict[Path, str]) -> dict[str, Names]:
    """File and digest of every spectrum that has a file of its own."""
    if not grid.own_files:
        return {}
    files, hashes = [file.name for file in grid.own_files], [digests[file] for file in grid.own_files]
    return {"file": np.array(files), "sha256": np.array(hashes)}


def _provenance(one: Description, sampling: Sampling, digests: dict[Path, str]) -> dict[str, Any]:
    given = {key: getattr(one, key) for key in THEORY if getattr(one, key)}
    named = [(file.name, digest) for file, digest in digests.items()]
    return {
        "title": one.title or one.name,
        "theory": {**given, "medium": one.medium, "flux_kind": one.flux_kind},
        "sources": {**sources(named), **({"sha256": dict(named)} if len(named) <= FEW else {})},
        "licence": one.licence,
        "citation": [one.citation] if isinstance(one.citation, str) else list(one.citation),
        "broadening": sampling.meaning,
        "normalisation": _normalisation(one),
        "description": one.model_dump(mode="json", exclude_defaults=True),
    }


def _normalisation(one: Description) -> str:
    if one.normalize is not None:
        settings = one.normalize
        return f"running upper envelope: quantile {settings.quantile:g} in windows of {settings.window:g} in ln λ"
    return f"divided by {one.continuum}" if one.continuum else "none"


def _flux(
    one: Description, grid: ForeignGrid, sampling: Sampling, used: NDArray[np.float64], names: Names
) -> Iterator[NDArray[np.float32]]:
    """Blocks of finished flux."""
    done = 0
    for block in grid.flux(sampling.samples):
        here = names[done : done + len(block)]
        flux = check_flux(
            block, here, grid.path, normalized=one.result_kind == "normalized" and not one.normalize
        )
        if one.normalize is not None:
            flux = over_envelope(flux, used, one.normalize, grid.path)
        yield sampling.apply(flux).astype(np.float32)
        done += len(block)
