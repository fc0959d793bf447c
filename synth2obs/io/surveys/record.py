"""One spectrum as a reader hands it over, and what every reader does to flux, errors and line spread."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra_rules import LONGEST, SHORTEST
from synth2obs.core.weights import HUGE_ERROR

Array = NDArray[np.floating[Any]]

LEAST_GOOD = 10
"""Good pixels without which there is no spectrum."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One spectrum, in vacuum Å, with its bad pixels at inverse variance 0. P pixels.

    Args:
        id: Unique name within the survey.
        wavelength: Vacuum Å, shape (P,), increasing within a segment.
        segment: Detector of each pixel, shape (P,).
        flux, ivar: Shape (P,).
        line_spread: At the pixels, of one star.
        frame, flux_kind, air_formula: As in `core.spectra.Spectra`.
        flags: The survey's bits, shape (P,), or None.
        rv, rv_error: km/s, of the spectrum in its frame; NaN = unknown.
        labels, label_errors: By name, in the units of `core.labels`.
        native: What the file says of the spectrum, by name: numbers or text.
    """

    id: str
    wavelength: Array
    segment: NDArray[np.int16]
    flux: Array
    ivar: Array
    line_spread: LineSpread
    frame: str
    flux_kind: str
    air_formula: str
    flags: NDArray[np.uint32] | None = None
    rv: float = float("nan")
    rv_error: float = float("nan")
    labels: Mapping[str, float] = field(default_factory=dict)
    label_errors: Mapping[str, float] = field(default_factory=dict)
    native: Mapping[str, float | str] = field(default_factory=dict)


def weigh(flux: ArrayLike, error: ArrayLike, bad: ArrayLike = False) -> tuple[Array, Array]:
    """Flux and inverse variance with 0 for both in bad pixels.

    A pixel is bad where it is named so, its flux is not finite, or its error is not between 0 and 1e9.

    Args:
        flux, error: Shape (P,).
        bad: Whether a pixel is bad, shape (P,).
    """
    flux, error = np.asarray(flux, np.float64), np.asarray(error, np.float64)
    with np.errstate(invalid="ignore"):
        good = ~np.asarray(bad, bool) & np.isfinite(flux) & (error > 0) & (error < HUGE_ERROR)
    safe = np.where(good, error, 1.0)
    return np.where(good, flux, 0.0), np.where(good, safe**-2.0, 0.0)


def mask(flux: ArrayLike, ivar: ArrayLike, bad: ArrayLike = False) -> tuple[Array, Array]:
    """As `weigh`, from inverse variances: what is not finite and positive is bad."""
    flux, ivar = np.asarray(flux, np.float64), np.asarray(ivar, np.float64)
    with np.errstate(invalid="ignore"):
        good = ~np.asarray(bad, bool) & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
    return np.where(good, flux, 0.0), np.where(good, ivar, 0.0)


def constant_resolution(wavelength: Array, resolving_power: ArrayLike) -> LineSpread:
    """Gaussian line spread of constant resolving power λ / FWHM."""
    return LineSpread.single(wavelength / (FWHM_PER_SIGMA * np.asarray(resolving_power)))


def relativistic_velocity(redshift: float) -> float:
    """Velocity in km/s of a redshift, positive receding; NaN for an impossible one."""
    if not redshift > -1.0:
        return float("nan")
    squared = (1.0 + redshift) ** 2
    return C_KMS * (squared - 1.0) / (squared + 1.0)


def shifted(wavelength: Array, velocity: float) -> Array:
    """Wavelengths after a further Doppler shift by ``velocity`` in km/s: longer for a positive one."""
    beta = velocity / C_KMS
    return wavelength * np.sqrt((1.0 + beta) / (1.0 - beta))


def padded(record: Record, pixels: int, path: Any) -> Record:
    """The record with bad pixels at its end, spaced as its last two, so that it has a number of pixels (0: as it is).

    Raises:
        DataError: If it has more.
    """
    missing = pixels - len(record.flux) if pixels else 0
    if missing < 0:
        found = f"has {len(record.flux)} pixels, more than {pixels}"
        raise DataError(found, path=path, field="pixels", remedy="give a larger number of pixels")
    if not missing:
        return record
    last, step = record.wavelength[-1], record.wavelength[-1] - record.wavelength[-2]
    return replace(
        record,
        wavelength=np.append(record.wavelength, last + step * np.arange(1, missing + 1)),
        segment=np.pad(record.segment, (0, missing), mode="edge"),
        flux=np.pad(record.flux, (0, missing)),
        ivar=np.pad(record.ivar, (0, missing)),
        flags=None if record.flags is None else np.pad(record.flags, (0, missing)),
        line_spread=extended(record.line_spread, missing),
    )


def extended(spread: LineSpread, missing: int) -> LineSpread:
    """The line spread with a number of further pixels like the last."""
    return spread.cut(np.minimum(np.arange(spread.pixels + missing), spread.pixels - 1))


def checked(record: Record, path: Any) -> Record:
    """The record with types of the format, refused with its file's name if it breaks a rule of the format.

    Raises:
        DataError: Naming file and field.
    """
    for name, message, remedy in _problems(record):
        raise DataError(f"{message} ({record.id})", path=path, field=name, remedy=remedy)
    with np.errstate(under="ignore"):
        flux, ivar = record.flux.astype(np.float32), record.ivar.astype(np.float32)
    return replace(record, flux=flux, ivar=ivar, segment=record.segment.astype(np.int16))


def _problems(record: Record) -> list[tuple[str, str, str]]:
    """Rules that this record breaks; the first is enough for the user."""
    shape_first = _shape_problems(record)
    return shape_first or [*_pixel_problems(record), *_value_problems(record), *_width_problems(record)]


def _shape_problems(record: Record) -> list[tuple[str, str, str]]:
    shape = record.wavelength.shape
    arrays: dict[str, NDArray[Any] | None] = {
        name: getattr(record, name) for name in ("segment", "flux", "ivar", "flags")
    }
    found = [(n, a.shape) for n, a in arrays.items() if a is not None and a.shape != shape]
    found += [("lsf", row.shape) for row in record.line_spread.sigma if row.shape != shape]
    return [(n, f"has shape {s} for {shape[0]} pixels", "leave the file out") for n, s in found]


def _pixel_problems(record: Record) -> list[tuple[str, str, str]]:
    wavelength, segment = record.wavelength, record.segment
    problems = []
    finite = np.isfinite(wavelength).all()
    if not finite or wavelength.min() < SHORTEST or wavelength.max() > LONGEST:
        low, high = (np.nanmin(wavelength), np.nanmax(wavelength)) if finite else (np.nan, np.nan)
        found = f"runs from {low:g} to {high:g} Å"
        problems.append(("wavelength", found, "check the unit and the header's wavelength cards"))
    elif ((np.diff(wavelength) <= 0) & (np.diff(segment) == 0)).any():
        problems.append(("wavelength", "does not increase within a detector", "leave the file out"))
    if np.unique(segment, return_counts=True)[1].min() < 2:
        problems.append(("wavelength", "a detector has a single pixel", "leave the file out"))
    return problems


def _value_problems(record: Record) -> list[tuple[str, str, str]]:
    problems = []
    limit = float(np.finfo(np.float32).max)
    if not (np.isfinite(record.flux).all() and np.abs(record.flux).max() < limit):
        problems.append(("flux", "is not finite, or too large for float32", "scale the flux down"))
    good = record.ivar > 0
    if good.sum() < LEAST_GOOD:
        found = f"has {'no good pixel' if not good.any() else f'only {good.sum()} good pixels'}"
        problems.append(("ivar", found, "leave the file out"))
    elif record.ivar[good].max() >= limit or record.ivar[good].min() < np.finfo(np.float32).tiny:
        found = f"runs from {record.ivar[good].min():.3g} to {record.ivar.max():.3g}, beyond float32"
        problems.append(("ivar", found, "scale flux and error"))
    if abs(record.rv) >= C_KMS:
        problems.append(("rv", f"is {record.rv} km/s", "check the velocity card"))
    if record.rv_error < 0:
        problems.append(("rv_error", f"is {record.rv_error} km/s", "check the velocity card"))
    return problems


def _width_problems(record: Record) -> list[tuple[str, str, str]]:
    remedy = "check the file's description of its line spread, or give resolving_power"
    spread = record.line_spread
    if not (np.isfinite(spread.sigma).all() and (spread.sigma > 0).all()):
        return [("lsf", "the line spread must be finite and > 0 Å", remedy)]
    wide, whole = float(spread.sigma.max()), float(np.ptp(record.wavelength))
    if wide >= whole:
        found = f"has σ = {wide:g} Å, more than the {whole:g} Å that the spectrum covers"
        return [("lsf", found, remedy)]
    if not all(np.isfinite(array).all() for array in spread.arrays()):
        return [("lsf", "the line spread must be finite", remedy)]
    if spread.kernel is not None and not (spread.kernel.sum(axis=-1) > 0).all():
        return [("lsf", "a pixel responds to no light", remedy)]
    return []
