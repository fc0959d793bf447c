"""What wavelengths and flux of a grid cannot be, whatever file they stand in."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.air import air_to_vacuum

Array = NDArray[np.float64]

ANGSTROMS = {"Angstrom": 1.0, "nm": 10.0, "um": 1e4}
LONGEST = 1e6
SHORTEST_AIR = 2000.0
"""Å below which there is no wavelength in air."""

HIGHEST = 1.5
"""Median of a normalised spectrum above which it is none."""


def vacuum_angstroms(
    values: Array, *, unit: str, medium: str, shortest: float, path: Path
) -> tuple[Array, int]:
    """Vacuum wavelengths in Å.

    Args:
        values: In ``unit``, increasing, shape (L,).
        unit: ``Angstrom``, ``nm`` or ``um``.
        medium: ``air`` or ``vacuum``.
        shortest: Å below which the unit must be wrong.
        path: For messages.

    Returns:
        Å, shape (L - first,), and the number ``first`` of samples below 2000 Å, which no shard holds.

    Raises:
        DataError: If they are not finite, do not increase, or cannot be in that unit.
    """
    angstroms = np.asarray(values, dtype=np.float64) * ANGSTROMS[unit]
    _refuse_order(angstroms, path)
    if not shortest <= angstroms[0] <= angstroms[-1] <= LONGEST:
        raise DataError(
            f"run from {values[0]:g} to {values[-1]:g}, which is {angstroms[0]:g} to {angstroms[-1]:g} Å",
            path=path,
            field="wavelength",
            remedy=_unit_remedy(angstroms[-1], unit),
        )
    first = int(np.searchsorted(angstroms, SHORTEST_AIR))
    kept = angstroms[first:]
    return (air_to_vacuum(kept) if medium == "air" else kept), first


def _refuse_order(angstroms: Array, path: Path) -> None:
    if angstroms.ndim != 1 or len(angstroms) < 2 or not np.isfinite(angstroms).all():
        raise DataError(
            f"must be at least two finite numbers in a row, got shape {angstroms.shape}",
            path=path,
            field="wavelength",
            remedy="give one wavelength a sample",
        )
    steps = np.diff(angstroms)
    if not (steps > 0).all():
        sample = int(np.argmin(steps > 0)) + 1
        what = "repeats" if steps[sample - 1] == 0 else "decreases"
        raise DataError(
            f"{what} at sample {sample} ({angstroms[sample]:.6g} Å)",
            path=path,
            field="wavelength",
            remedy="sort the samples, drop repeated ones, and store wavelengths in double precision",
        )


def _unit_remedy(last: float, unit: str) -> str:
    if unit == "Angstrom" and 200.0 < last < 5000.0:
        return 'they look like nm: unit = "nm"'
    if unit in ("Angstrom", "nm") and last < 500.0:
        return 'they look like µm: unit = "um"'
    return f"check the unit; it is said to be {unit}"


def check_flux(flux: Array, names: NDArray[np.str_], path: Path, *, normalized: bool) -> Array:
    """The flux of consecutive spectra, as it is.

    Args:
        flux: Shape (B, L).
        names: Of the spectra, shape (B,).
        path: For messages.
        normalized: Whether the continuum should be 1.

    Raises:
        DataError: If it is not finite, negative, zero throughout, or far from a continuum of 1.
    """
    finite = np.isfinite(flux)
    _refuse(
        ~finite.all(axis=1), "is NaN or infinite", names, path, "compute the spectrum again or leave it out"
    )
    _refuse((flux < 0).any(axis=1), "is negative", names, path, "compute the spectrum again or leave it out")
    _refuse(
        ~flux.any(axis=1), "is zero throughout", names, path, "compute the spectrum again or leave it out"
    )
    if normalized:
        level = np.median(flux, axis=1)
        what = f"has a median of {level.max():.3g}, but is said to be normalized"
        remedy = 'set flux_kind = "relative" and name its continuum, or add a section [normalize]'
        _refuse(level > HIGHEST, what, names, path, remedy)
    return flux


def _refuse(bad: Any, what: str, names: NDArray[np.str_], path: Path, remedy: str) -> None:
    if bad.any():
        raise DataError(f"of {names[int(np.argmax(bad))]} {what}", path=path, field="flux", remedy=remedy)
