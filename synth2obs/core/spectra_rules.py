"""The rules about spectra, in memory and in files: each says what is wrong and what to do about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError
from synth2obs.core.names import name_problem

KINDS = ("grid", "survey")
FRAMES = ("rest", "barycentric")
FLUX_KINDS = ("normalized", "relative", "absolute")
CHOICES = {"kind": KINDS, "frame": FRAMES, "flux_kind": FLUX_KINDS}
"""Words that a table may use."""

SHORTEST, LONGEST = 2000.0, 1e6
"""Wavelengths in Å that the format holds."""

UNKNOWN = (999.0, 999.9, 999.99, 9999.0, 9999.9, 9999.99, 99999.0, 99999.9, 99999.99, 32768.0)
"""Velocities, of either sign, that catalogues write where they know none."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with spectra.

    Args:
        field: Dataset, attribute or field.
        message: What is wrong, with the value that was found.
        remedy: What to do about it.
    """

    field: str
    message: str
    remedy: str

    def __str__(self) -> str:
        """Field, message and remedy in one line."""
        return f"{self.field}: {self.message}; {self.remedy}"


def refuse(problems: Iterable[Problem], path: str | Path | None = None) -> None:
    """Raise one DataError for all problems; do nothing if there is none.

    Raises:
        DataError: Naming all that is wrong.
    """
    found = list(problems)
    if len(found) == 1:
        (only,) = found
        raise DataError(only.message, path=path, field=only.field, remedy=only.remedy)
    if found:
        lines = "".join(f"\n  - {problem}" for problem in found)
        raise DataError(f"{len(found)} problems:{lines}", path=path)


def choice_problems(name: str, value: Any) -> Iterator[Problem]:
    """A word that the format does not know."""
    if value not in CHOICES[name]:
        yield Problem(name, f"is {value!r}", f"use one of {', '.join(CHOICES[name])}")


def domain_problems(kind: Any, domain: Any) -> Iterator[Problem]:
    """A survey that no file could be named after."""
    if kind == "survey" and (wrong := name_problem(str(domain))):
        yield Problem("domain", f"{str(domain)!r} cannot name a survey", wrong)


def wavelength_problems(wavelength: NDArray[Any], segment: NDArray[Any]) -> Iterator[Problem]:
    """Rows of wavelengths (N, P) that are not in Å, or do not increase within a detector."""
    if not np.isfinite(wavelength).all():
        yield Problem("wavelength", "NaN or infinite", "every pixel needs a wavelength, bad ones too")
        return
    low, high = float(wavelength.min()), float(wavelength.max())
    if not SHORTEST <= low <= high <= LONGEST:
        yield Problem("wavelength", f"runs from {low:g} to {high:g}, not in Å", _unit_remedy(low, high))
    backwards = (np.diff(wavelength, axis=-1) <= 0).any(axis=0) & (np.diff(segment) == 0)
    if backwards.any():
        pixel = int(np.argmax(backwards))
        where = f"does not increase at pixel {pixel + 1} of segment {segment[pixel]}"
        yield Problem("wavelength", where, "sort the pixels")


def segment_problems(segment: NDArray[Any]) -> Iterator[Problem]:
    """Detectors whose pixels do not stand together."""
    changes = int((np.diff(segment) != 0).sum()) + 1
    if changes != len(np.unique(segment)):
        yield Problem("segment", "a segment is not contiguous", "keep the pixels of one detector together")


def id_problems(names: NDArray[np.str_]) -> Iterator[Problem]:
    """Spectra without a name of their own."""
    found, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        name = str(found[counts > 1][0])
        yield Problem("id", f"{name!r} occurs {counts.max()} times", "give every spectrum its own name")
    if len(found) and not found[0]:
        yield Problem("id", "is empty for a star", "give every spectrum a name")


def column_problems(name: str, values: NDArray[Any]) -> Iterator[Problem]:
    """Velocities, their errors, and signal to noise (N,) that cannot be."""
    if np.isinf(values).any():
        yield Problem(name, "is infinite for a star", "use NaN for unknown")
    if name == "rv" and (np.abs(values) >= C_KMS).any():
        yield Problem("rv", "is faster than light", "give km/s")
    elif name == "rv" and (marks := np.isin(np.abs(values), UNKNOWN)).any():
        what = f"is {values[marks][0]:g} for a star, which marks an unknown velocity"
        yield Problem("rv", what, "use NaN for unknown")
    if name in ("rv_error", "snr") and (values < 0).any():
        yield Problem(name, "is negative for a star", "use NaN for unknown")


def row_problems(flux: NDArray[Any], ivar: NDArray[Any] | None, first: int) -> Iterator[Problem]:
    """Everything wrong with consecutive rows of flux and inverse variance; ``first`` is their row number."""
    finite = np.isfinite(flux)
    used = np.ones_like(finite) if ivar is None else ivar > 0
    remedy = "set its ivar to 0 and flux to 0"
    yield from _at("flux", "NaN or infinite in a good pixel", finite | ~used, first, remedy)
    remedy = "set the flux to 0 where ivar is 0"
    yield from _at("flux", "NaN or infinite in a bad pixel", finite | used, first, remedy)
    if ivar is not None:
        remedy = "use 0 for a bad pixel; scale tiny fluxes up"
        yield from _at("ivar", "NaN or infinite", np.isfinite(ivar), first, remedy)
        yield from _at("ivar", "negative", ~(ivar < 0), first, "use 0 for a bad pixel")


def positive(sigma: NDArray[np.floating[Any]]) -> bool:
    """Whether Gaussian widths are finite and above 0."""
    return bool((np.isfinite(sigma) & (sigma > 0)).all())


def responds(kernel: NDArray[np.floating[Any]]) -> bool:
    """Whether every pixel (…, P, T) answers to light."""
    return bool(np.isfinite(kernel).all() and (kernel.sum(axis=-1) > 0).all())


def width_problem(field: str) -> Problem:
    """Of widths that are not `positive`."""
    return Problem(field, "must be finite and > 0 Å everywhere", "give sigma = FWHM / 2.3548 in Å")


def breadth_problems(field: str, sigma: float, wavelength: NDArray[Any]) -> Iterator[Problem]:
    """A largest width in Å that reaches over a whole spectrum, (P,) or (N, P), as no instrument's does."""
    span = float(np.ptp(wavelength)) if wavelength.size else 0.0
    if wavelength.shape[-1] > 1 and sigma > span:
        what = f"is {sigma:g} Å, wider than the spectrum, {span:g} Å"
        yield Problem(field, what, "give sigma = FWHM / 2.3548 in Å")


def profile_problem(part: str, field: str) -> Problem:
    """Of amplitudes or responses that describe no line spread."""
    if part == "hermite":
        return Problem(field, "NaN or infinite", "use 0 for a term that is not there")
    what = "must be finite with a positive sum for every pixel"
    return Problem(field, what, "give the response of the nearest good pixel")


def offset_problems(field: str, offset: NDArray[np.floating[Any]]) -> Iterator[Problem]:
    """Offsets (T,) of a tabulated line spread that are not three or more equal steps."""
    steps = np.diff(offset)
    if len(steps) < 2 or not (np.isfinite(offset).all() and (steps > 0).all()):
        yield Problem(field, "must be at least three increasing offsets in Å", "sort the entries")
    elif not np.allclose(steps, steps[0], rtol=1e-6):
        yield Problem(field, "must have equal steps", "tabulate the response again")


def _unit_remedy(low: float, high: float) -> str:
    if high < 4.0:
        return "it looks like µm (multiply by 10000) or log10 of Å"
    if high < 15.0:
        return "it looks like ln λ (use exp) or µm (multiply by 10000)"
    if low > 0 and high < 10 * SHORTEST:
        return "it looks like nm: multiply by 10"
    return f"give vacuum wavelengths between {SHORTEST:g} and {LONGEST:g} Å"


def _at(field: str, what: str, fine: NDArray[np.bool_], first: int, remedy: str) -> Iterator[Problem]:
    """What is wrong where it is not fine, with the place of the first such pixel."""
    if not fine.all():
        row, pixel = (int(i) for i in np.argwhere(~fine)[0])
        count = int((~fine).sum())
        where = f"(row {first + row}, pixel {pixel}; {count} such in these rows)"
        yield Problem(field, f"{what} {where}", remedy)
