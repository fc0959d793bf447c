"""Whether the numbers and arrays of an evaluation can be used; a refusal names file, key and remedy."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import METRICS_FORMAT
from synth2obs.core.errors import DataError

Arrays = Mapping[str, NDArray[Any]]

SHAPES = {
    "wavelength": "P",
    "example_id": "E",
    "example_labels": "E3",
    "example_observed": "EP",
    "example_theory": "EP",
    "example_morph": "EP",
    "example_sigma": "EP",
    "rms_theory": "P",
    "rms_constant": "P",
    "rms_linear": "P",
    "rms_morph": "P",
    "chi2_theory": "P",
    "chi2_morph": "P",
    "gap_mean": "P",
    "gap_error": "P",
    "difference_mean": "P",
    "gap_slopes": "FP",
    "gap_slope_names": "F",
    "latent": "TD",
    "latent_2d": "T2",
    "latent_grid_2d": "G2",
    "test_id": "T",
    "test_rv": "T",
    "labels_true": "T3",
    "labels_true_error": "T3",
    "test_flags": "T",
    "labels_theory": "T3",
    "labels_morph": "T3",
    "labels_morph_error": "T3",
    "labels_weighted": "T3",
    "labels_weighted_error": "T3",
    "snr": "T",
    "scatter": "P",
    "chi2_theory_star": "T",
    "chi2_morph_star": "T",
    "chi2_free_theory": "T",
    "chi2_free_morph": "T",
    "good_pixels": "T",
    "test_outside": "T",
    "spectra_star": "S",
    "spectra_observed": "SP",
    "spectra_theory": "SP",
    "spectra_morph": "SP",
    "latent_wavelength": "B",
    "latent_response": "DB",
    "latent_labels": "K",
    "latent_correlation": "DK",
    "latent_elements": "N",
    "latent_r2": "DN",
    "latent_element_r2": "N",
    "latent_line_wavelength": "DM",
    "latent_line_change": "DM",
    "latent_line_name": "DM",
}
"""Shape of each array: P pixels, E example stars, T test stars, S of these with spectra, G grid stars, D latents,
F slopes, B wavelengths of responses, K labels, N elements, M lines of a latent."""

_WORDS = {
    "example_id",
    "test_id",
    "gap_slope_names",
    "test_outside",
    "latent_labels",
    "latent_elements",
    "latent_line_name",
}
"""Arrays of text."""

_TEXT = {"listed", "element", "runner_up", "alternatives", "with", "note", "column", "group"}
_TABLES = {
    "anchored_rms",
    "anchored_rms_error",
    "anchored_chi2_error",
    "free_rms_error",
    "versus",
    "noise_floor",
    "pulls",
    "flagged",
    "anchored_chi2",
    "free_rms",
    "label_recovery",
    "gap",
    "lsf",
    "noise",
    "same_star",
    "morph",
    "common_shift",
    "line_groups",
    "trends",
    "free_chi2",
    "free_chi2_error",
    "free_chi2_ratio",
    "halves",
    "repeats",
}
_SECTIONS = ("surveys", "placebo", "decoder", "run")
EVALUATE_AGAIN = "evaluate the model again with this version"


def check_metrics(metrics: object, path: Path | None = None) -> None:
    """Refuse metrics of another format, or with a value of the wrong type.

    A value that is missing or null counts as not measured, and is fine.

    Raises:
        DataError: Naming the file and the dotted key.
    """
    _expect(isinstance(metrics, Mapping), metrics, "the top level", "a table", path)
    assert isinstance(metrics, Mapping)
    found, surveys = metrics.get("format"), metrics.get("surveys")
    if found != METRICS_FORMAT:
        raise DataError(
            f"expected {METRICS_FORMAT!r}, found {found!r}", path=path, field="format", remedy=EVALUATE_AGAIN
        )
    _expect(isinstance(surveys, Mapping), surveys, "surveys", "a table of surveys", path)
    for name in _SECTIONS:
        section = metrics.get(name)
        _expect(section is None or isinstance(section, Mapping), section, name, "a table", path)
    for survey, row in metrics["surveys"].items():
        _check_survey(survey, row, path)
    for name in ("placebo", "decoder"):
        _check_numbers(metrics.get(name), name, path)


def check_arrays(arrays: Arrays, path: Path | None = None) -> None:
    """Refuse arrays whose shapes contradict each other (see `SHAPES`) or that hold no numbers.

    Raises:
        DataError: Naming the file, the array, and both shapes.
    """
    sizes: dict[str, int] = {"2": 2, "3": 3}
    for name in SHAPES.keys() & arrays.keys():
        if len(arrays[name].shape) != len(SHAPES[name]):
            _wrong_shape(name, arrays[name], SHAPES[name], path)
    for name, axes in SHAPES.items():
        if name in arrays:
            expected = tuple(sizes.setdefault(a, n) for a, n in zip(axes, arrays[name].shape, strict=True))
            if arrays[name].shape != expected:
                _wrong_shape(name, arrays[name], str(expected), path)
            _check_kind(name, arrays[name], path)
    wavelength = arrays.get("wavelength", np.arange(2.0))
    if wavelength.size < 2 or not np.all(np.diff(wavelength) > 0):
        raise DataError(
            "must increase, with two pixels at least", path=path, field="wavelength", remedy=EVALUATE_AGAIN
        )


def _expect(good: bool, value: object, field: str, wanted: str, path: Path | None) -> None:
    if not good:
        shown = repr(value)
        shown = shown if len(shown) < 60 else f"{shown[:57]}..."
        raise DataError(f"expected {wanted}, found {shown}", path=path, field=field, remedy=EVALUATE_AGAIN)


def _check_survey(survey: str, row: object, path: Path | None) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", survey):
        remedy = "rename the survey: letters, digits, '_', '.', '+' and '-' only"
        raise DataError(f"survey {survey!r} cannot name a file", path=path, field="surveys", remedy=remedy)
    field = f"surveys.{survey}"
    _expect(isinstance(row, Mapping), row, field, "a table", path)
    assert isinstance(row, Mapping)
    for name in _TABLES & row.keys():
        table = row[name]
        _expect(
            table is None or isinstance(table, Mapping), table, f"{field}.{name}", "a table or null", path
        )
    _check_numbers(row, field, path)


def _check_numbers(value: object, field: str, path: Path | None) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _TEXT:
                _expect(
                    inner is None or isinstance(inner, str), inner, f"{field}.{key}", "a text or null", path
                )
            else:
                _check_numbers(inner, f"{field}.{key}", path)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_numbers(inner, f"{field}[{index}]", path)
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        _expect(value is None or number, value, field, "a number or null", path)


def _check_kind(name: str, array: NDArray[Any], path: Path | None) -> None:
    wanted = "U" if name in _WORDS else "fiu"
    if array.dtype.kind not in wanted:
        kind = "text" if wanted == "U" else "numbers"
        raise DataError(
            f"expected {kind}, found dtype {array.dtype}", path=path, field=name, remedy=EVALUATE_AGAIN
        )


def _wrong_shape(name: str, array: NDArray[Any], expected: str, path: Path | None) -> None:
    raise DataError(
        f"expected shape {expected}, found {array.shape}", path=path, field=name, remedy=EVALUATE_AGAIN
    )
