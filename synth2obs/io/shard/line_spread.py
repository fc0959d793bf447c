"""The rules about line spreads in a shard, read in blocks: a survey may have one for every star."""

from collections.abc import Iterator

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.io.shard.layout import CHUNK_ROWS
from synth2obs.io.shard.rules import Problem

PROFILE_ROWS = 8
"""Rows of tabulated profiles that are read at once."""


def width_problems(file: h5py.File) -> Iterator[Problem]:
    """Gaussian widths that are not finite and positive, and groups that are not there."""
    sigma, group = file["lsf/sigma"], file["lsf/group"][:]
    if not all(_positive(block) for block in _blocks(sigma, CHUNK_ROWS)):
        yield Problem("lsf/sigma", "must be finite and > 0 Å everywhere", "give sigma = FWHM / 2.3548 in Å")
    if group.min() < 0 or group.max() >= len(sigma):
        yield Problem(
            "lsf/group",
            f"runs from {group.min()} to {group.max()}",
            f"it must be within 0 to {len(sigma) - 1}",
        )


def bound_problems(file: h5py.File) -> Iterator[Problem]:
    """Gaussian widths larger than the range of the wavelengths: those of no instrument."""
    wide = max(float(np.nanmax(block)) for block in _blocks(file["lsf/sigma"], CHUNK_ROWS))
    whole = _covered(file["wavelength"])
    if wide >= whole:
        found = f"is up to {wide:g} Å, more than the {whole:g} Å that the spectra cover"
        yield Problem("lsf/sigma", found, "give sigma = FWHM / 2.3548 in Å")


def _covered(wavelength: h5py.Dataset) -> float:
    """Å from the first to the last wavelength of all spectra."""
    rows = [wavelength[:]] if wavelength.ndim == 1 else _blocks(wavelength, CHUNK_ROWS)
    ends = [(float(block.min()), float(block.max())) for block in rows]
    return max(high for _, high in ends) - min(low for low, _ in ends)


def profile_problems(file: h5py.File) -> Iterator[Problem]:
    """Hermite amplitudes and tabulated kernels that describe no line spread."""
    if "lsf/hermite" in file:
        if not all(np.isfinite(block).all() for block in _blocks(file["lsf/hermite"], PROFILE_ROWS)):
            yield Problem("lsf/hermite", "NaN or infinite", "use 0 for a term that is not there")
    if "lsf/kernel" in file:
        if not all(_responds(block) for block in _blocks(file["lsf/kernel"], PROFILE_ROWS)):
            yield Problem(
                "lsf/kernel",
                "must be finite with a positive sum for every pixel",
                "give the response of the nearest good pixel",
            )
        yield from _offset_problems(file["lsf/offset"][:])


def _offset_problems(offset: NDArray[np.floating]) -> Iterator[Problem]:
    steps = np.diff(offset)
    if len(steps) < 2 or not (np.isfinite(offset).all() and (steps > 0).all()):
        yield Problem("lsf/offset", "must be at least three increasing offsets in Å", "sort the entries")
    elif not np.allclose(steps, steps[0], rtol=1e-6):
        yield Problem("lsf/offset", "must have equal steps", "tabulate the response again")


def _blocks(dataset: h5py.Dataset, rows: int) -> Iterator[NDArray[np.floating]]:
    return (dataset[first : first + rows] for first in range(0, len(dataset), rows))


def _positive(sigma: NDArray[np.floating]) -> bool:
    return bool((np.isfinite(sigma) & (sigma > 0)).all())


def _responds(kernel: NDArray[np.floating]) -> bool:
    return bool(np.isfinite(kernel).all() and (kernel.sum(axis=-1) > 0).all())
