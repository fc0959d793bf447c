"""The rules about line spreads in a shard, read in blocks: a survey may have one for every star."""

from collections.abc import Iterator

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.spectra_rules import (
    breadth_problems,
    offset_problems,
    positive,
    profile_problem,
    responds,
    width_problem,
)
from synth2obs.io.shard.layout import CHUNK_ROWS
from synth2obs.io.shard.rules import Problem

PROFILE_ROWS = 8
"""Rows of tabulated profiles that are read at once."""


def width_problems(file: h5py.File) -> Iterator[Problem]:
    """Gaussian widths that are not finite and positive, and groups that are not there."""
    sigma, group = file["lsf/sigma"], file["lsf/group"][:]
    if not all(positive(block) for block in _blocks(sigma, CHUNK_ROWS)):
        yield width_problem("lsf/sigma")
    if group.min() < 0 or group.max() >= len(sigma):
        yield Problem(
            "lsf/group",
            f"runs from {group.min()} to {group.max()}",
            f"it must be within 0 to {len(sigma) - 1}",
        )


def wide_problems(file: h5py.File) -> Iterator[Problem]:
    """Gaussian widths beyond any instrument's."""
    rows, widths = file["wavelength"], file["lsf/sigma"]
    widest = max(float(block.max()) for block in _blocks(widths, CHUNK_ROWS))
    yield from breadth_problems("lsf/sigma", widest, rows[:] if rows.ndim == 1 else rows[0])


def profile_problems(file: h5py.File) -> Iterator[Problem]:
    """Hermite amplitudes and tabulated kernels that describe no line spread."""
    if "lsf/hermite" in file:
        if not all(np.isfinite(block).all() for block in _blocks(file["lsf/hermite"], PROFILE_ROWS)):
            yield profile_problem("hermite", "lsf/hermite")
    if "lsf/kernel" in file:
        if not all(responds(block) for block in _blocks(file["lsf/kernel"], PROFILE_ROWS)):
            yield profile_problem("kernel", "lsf/kernel")
        yield from offset_problems("lsf/offset", file["lsf/offset"][:])


def _blocks(dataset: h5py.Dataset, rows: int) -> Iterator[NDArray[np.floating]]:
    return (dataset[first : first + rows] for first in range(0, len(dataset), rows))
