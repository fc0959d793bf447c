"""Spectra of several sources into one file, block by block."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.ingest.merge import Rows
from synth2obs.io.own_grids.part import GradientPart, GridPart
from synth2obs.io.quiet import write_hdf5
from synth2obs.io.shard.fields import INDEX, STEP
from synth2obs.io.shard.layout import create
from synth2obs.io.shard.write import fill


def write_parts(
    path: Path, table: Spectra, parts: Sequence[GridPart], progress: Callable[[int, int], None]
) -> None:
    """A shard's file, not yet checked.

    Args:
        path: File to write.
        table: Everything but the flux, of all parts.
        parts: Where the flux comes from.
        progress: Is told how many spectra are written, of how many.

    Raises:
        DataError: If a source is wrong.
        OSError: If a write failed.
    """
    shape = len(table), len(table.wavelength)
    # The flux comes block by block, and is checked there.
    shown = table.with_valid(flux=np.broadcast_to(np.float32(0), shape))
    with write_hdf5(path) as (file, below):
        fill(file, shown, without=("flux",))
        rows, done = Rows(create(file, "flux", shape, np.float32)), 0
        for block in (block for part in parts for block in part.flux()):
            rows.append(block)
            done += len(block)
            progress(done, len(table))
            if below.error is not None:
                return
        rows.finish()
        _write_gradients(file, parts)
        _refuse_short(done, table, parts)


def _refuse_short(done: int, table: Spectra, parts: Sequence[GridPart]) -> None:
    if done != len(table):
        raise DataError(
            f"{done} spectra for {len(table)} rows of labels",
            path=parts[0].path,
            field="flux",
            remedy="copy the files again",
        )


def _write_gradients(file: h5py.File, parts: Sequence[GridPart]) -> None:
    """GradientPart of all parts that have some; they must be for the same labels."""
    have = [(first, part, part.gradients) for first, part in _starts(parts) if part.gradients is not None]
    if not have:
        return
    names = list(have[0][2].steps)
    for _, part, gradients in have:
        if gradients.steps != have[0][2].steps:
            raise DataError(
                "are not those of the other sources, or were taken with other steps",
                path=part.path,
                field="gradients",
                remedy="compute the gradients of the joined grid instead",
            )
    index = np.concatenate([first + gradients.index for first, _, gradients in have])
    create(file, f"gradients/{INDEX}", index.shape, np.int64, index)
    for name in names:
        _write_gradient(file, name, [gradients for _, _, gradients in have], len(index))


def _write_gradient(file: h5py.File, name: str, gradients: Sequence[GradientPart], count: int) -> None:
    shape: Any = (count, file["flux"].shape[1])
    dataset = create(file, f"gradients/{name}", shape, np.float32)
    dataset.attrs[STEP] = gradients[0].steps[name]
    rows = Rows(dataset)
    for one in gradients:
        for block in one.rows(name):
            rows.append(block)
    rows.finish()


def _starts(parts: Sequence[GridPart]) -> Iterator[tuple[int, GridPart]]:
    """Row of the first spectrum of each part."""
    first = 0
    for part in parts:
        yield first, part
        first += len(part)
