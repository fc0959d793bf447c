"""Every test star in words and numbers, the worst fit first."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.flags import FAR, FLAGS, OUTSIDE
from synth2obs.reports.checks import Arrays
from synth2obs.reports.content import DASH, count, fixed, percent, with_error
from synth2obs.reports.results import LABELS, has

SHORT = {OUTSIDE: "outside the grid", FAR: "far from the grid"}
"""Flags that a narrow column has shorter words for."""

MOST = 3000
"""Rows of the table of all stars: more would make a page of more than 5 MB."""


@dataclass(frozen=True)
class StarRow:
    """A test star.

    Args:
        id: Its name.
        fitted, literature: Labels in words, with errors where known, in the order of `LABELS`.
        snr, chi2_theory, chi2, good: In words: S/N, χ² per pixel before and after the morph, share of good pixels in %.
        flags: What to beware of, in words; empty if nothing is.
        known: Whether the literature has its labels.
        spectrum: Row of its spectrum among those kept, None if it was not.
    """

    id: str
    fitted: tuple[str, ...]
    literature: tuple[str, ...]
    snr: str
    chi2_theory: str
    chi2: str
    good: str
    flags: str
    known: bool
    spectrum: int | None


def star_rows(arrays: Arrays) -> list[StarRow]:
    """All test stars, those of the largest χ² first; empty if the evaluation has no stars."""
    if "test_id" not in arrays:
        return []
    return [_row(arrays, int(star)) for star in worst_first(arrays)]


def worst_first(arrays: Arrays) -> NDArray[np.int64]:
    """Rows of the test stars by falling χ² per pixel; unknown ones last, in their order."""
    chi2 = _chi2(arrays)
    return np.argsort(-np.where(np.isfinite(chi2), chi2, -np.inf), kind="stable")


def flag_words(bits: int, outside: str = "") -> str:
    """Flags of a star in words, e.g. ``poor fit; outside the grid: logg``."""
    return "; ".join(_words(bit, outside) for bit in FLAGS if bits & bit)


def _words(bit: int, outside: str) -> str:
    if bit == OUTSIDE and outside:
        return f"{SHORT[bit]}: {outside}"
    return SHORT.get(bit, FLAGS[bit])


def _row(arrays: Arrays, star: int) -> StarRow:
    known = "labels_true" in arrays and bool(np.isfinite(arrays["labels_true"][star]).all())
    return StarRow(
        id=str(arrays["test_id"][star]),
        fitted=tuple(_labels(arrays, "labels_morph", star)),
        literature=tuple(_labels(arrays, "labels_true", star)),
        snr=count(_number(arrays, "snr", star)),
        chi2_theory=fixed(_number(arrays, _name(arrays, "theory"), star)),
        chi2=fixed(_number(arrays, _name(arrays, "morph"), star)),
        good=percent(_number(arrays, "good_pixels", star), 0),
        flags=_flags(arrays, star),
        known=known,
        spectrum=_spectrum(arrays, star),
    )


def _labels(arrays: Arrays, name: str, star: int) -> Iterator[str]:
    """Labels of a star, with their errors where these are known."""
    if name not in arrays:
        yield from [DASH] * len(LABELS)
        return
    errors = arrays.get(f"{name}_error") if name != "labels_true" else None
    for column, (_, _, digits) in enumerate(LABELS.values()):
        error = None if errors is None else _finite(errors[star, column])
        yield with_error(_finite(arrays[name][star, column]), error, digits)


def _flags(arrays: Arrays, star: int) -> str:
    if "test_flags" not in arrays or not np.isfinite(arrays["test_flags"][star]):
        return ""
    outside = str(arrays["test_outside"][star]) if "test_outside" in arrays else ""
    return flag_words(int(arrays["test_flags"][star]), outside)


def _spectrum(arrays: Arrays, star: int) -> int | None:
    found = np.flatnonzero(arrays["spectra_star"] == star) if "spectra_star" in arrays else np.empty(0, int)
    return int(found[0]) if found.size else None


def _chi2(arrays: Arrays) -> NDArray[np.float64]:
    name = _name(arrays, "morph")
    return np.asarray(arrays.get(name, np.full(arrays["test_id"].size, np.nan)), float)


def _name(arrays: Arrays, model: str) -> str:
    """χ² with labels free, or with labels held where an older evaluation has no other."""
    free = f"chi2_free_{model}"
    return free if has(arrays, free) else f"chi2_{model}_star"


def _number(arrays: Arrays, name: str, star: int) -> float | None:
    return _finite(arrays[name][star]) if name in arrays else None


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
