"""A shard of this project as a source of spectra."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.own_grids.part import GradientPart, GridPart, without_flux
from synth2obs.io.shard.fields import COLUMNS, INDEX, SHAPES, STEP
from synth2obs.io.shard.layout import CHUNK_ROWS
from synth2obs.io.shard.rows import open_valid, read_rows

Floats = NDArray[np.float32]

"""The dataset beside the gradients that says whose they are."""


def open_grid_shard(path: Path) -> GridPart:
    """A grid's shard; nothing but its flux is in memory, and that not before it is asked for.

    Raises:
        DataError: If the checker would refuse it, it is a survey, or its spectra do not share their pixels.
    """
    with open_valid(path) as file:
        _refuse_others(file, path)
        return GridPart(
            path=path,
            table=_table(file, path),
            flux=lambda: _flux(path),
            gradients=_gradients(file, path),
        )


def _refuse_others(file: h5py.File, path: Path) -> None:
    if file.attrs["kind"] != "grid":
        raise DataError(
            f"is a {file.attrs['kind']}, not a grid", path=path, field="kind", remedy="give a grid's shard"
        )
    if not file["labels"]:
        raise DataError("a grid needs labels", path=path, field="labels", remedy="build it again")
    if file["wavelength"].ndim != 1:
        raise DataError(
            "differs from spectrum to spectrum",
            path=path,
            field="wavelength",
            remedy="give all spectra the same pixels",
        )


def _table(file: h5py.File, path: Path) -> Spectra:
    """Everything but the flux, whose first row alone is read."""
    first = read_rows(file, np.arange(1), path)
    columns = {name: file[name][:] for name in COLUMNS}
    # The flux comes block by block, and the whole file is checked when it is written.
    return first.with_valid(
        **columns,
        id=_column(file["id"]),
        flux=without_flux(len(file["id"])),
        labels={name: _column(file["labels"][name]) for name in first.labels},
        label_errors={},
        native={name: _column(file["native"][name]) for name in first.native},
        line_spread=_line_spread(file),
        provenance={**first.provenance, "shard": {"name": path.name, "sha256": file_sha256(path)}},
    )


def _column(dataset: h5py.Dataset) -> NDArray[Any]:
    """Numbers or text, one a spectrum."""
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return np.asarray(dataset.asstr("utf-8")[:].astype(str))
    return np.asarray(dataset[:])


def _line_spread(file: h5py.File) -> LineSpread:
    shapes = {field.part: file[field.name][:] for field in SHAPES if field.name in file}
    return LineSpread(group=file["lsf/group"][:], **shapes)


def _flux(path: Path) -> Iterator[Floats]:
    with open_valid(path) as file:
        count = len(file["flux"])
        for first in range(0, count, CHUNK_ROWS):
            yield read_rows(file, np.arange(first, min(first + CHUNK_ROWS, count)), path).flux


def _gradients(file: h5py.File, path: Path) -> GradientPart | None:
    group = file.get("gradients", {})
    names = [name for name in group if name != INDEX]
    if not names:
        return None
    steps = {name: float(group[name].attrs[STEP]) for name in names}
    return GradientPart(
        index=group[INDEX][:].astype(np.int64), steps=steps, rows=lambda name: _gradient_rows(path, name)
    )


def _gradient_rows(path: Path, name: str) -> Iterator[Floats]:
    with open_valid(path) as file:
        dataset = file[f"gradients/{name}"]
        for first in range(0, len(dataset), CHUNK_ROWS):
            yield dataset[first : first + CHUNK_ROWS].astype(np.float32)
