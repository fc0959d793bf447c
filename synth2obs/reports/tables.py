"""The tables of a survey's report."""

import math
from collections.abc import Mapping
from typing import Any

from synth2obs.reports.content import (
    DASH,
    Cell,
    PageTable,
    cell,
    count,
    fixed,
    moment,
    percent,
    significant,
    times,
    with_error,
)
from synth2obs.reports.results import LABELS, METHODS, Metrics, lookup, measured
from synth2obs.reports.style import COLOURS

Row = Mapping[str, Any]


def smallest(
    values: Mapping[str, float | None], errors: Mapping[str, float | None] | None = None
) -> set[str]:
    """Names of the smallest absolute value and of those within the errors of it; none if that is all of them.

    Without errors, ties to four digits count.
    """
    known = {name: abs(value) for name, value in values.items() if value is not None}
    if len(known) < 2:
        return set()
    low = min(known, key=lambda name: known[name])
    best = {
        name for name, value in known.items() if value - known[low] <= _tie(low, name, known[low], errors)
    }
    return best if errors is None or len(best) < len(known) else set()


def _tie(low: str, name: str, value: float, errors: Mapping[str, float | None] | None) -> float:
    """How far a value may be from the lowest to count as equal to it."""
    if errors is None or low == name:
        return 5e-4 * value
    return math.hypot(errors.get(low) or 0.0, errors.get(name) or 0.0) or 5e-4 * value


def methods_table(row: Row, reasons: Mapping[str, str]) -> PageTable:
    """Every method against every measure of quality; the best of each column is bold."""
    columns = ["method"]
    body: list[list[Cell]] = [[Cell(METHODS[m], colour=COLOURS[m])] for m in METHODS]
    for title, key, scale in (
        ("anchored rms (%)", "anchored_rms", 100.0),
        ("χ² per pixel", "anchored_chi2", 1.0),
        ("free rms (%)", "free_rms", 100.0),
    ):
        values, errors = ({m: measured(row, name, m) for m in METHODS} for name in (key, f"{key}_error"))
        texts = {m: with_error(times(values[m], scale), times(errors[m], scale)) for m in METHODS}
        _add(columns, body, title, values, errors, texts, reasons.get(key, ""))
    for label, (name, unit, digits) in LABELS.items():
        for measure in ("bias", "scatter"):
            values, errors = (
                {m: measured(row, "label_recovery", m, label, key) for m in METHODS}
                for key in (measure, f"{measure}_error")
            )
            texts = {m: with_error(values[m], errors[m], digits, sign=measure == "bias") for m in METHODS}
            title, reason = f"{name} {measure} ({unit})", reasons.get("label_recovery", "")
            _add(columns, body, title, values, errors, texts, reason)
    return PageTable(columns, body, METHODS_CAPTION)


METHODS_CAPTION = (
    "Smaller is better everywhere; bold are the best of a column and those within the errors of it, nothing if that "
    "is all of them. Errors are bootstraps over stars; differences between methods, whose stars are the same, are "
    "known better. Anchored: labels held at their literature values, so labels cannot absorb the gap. Free: labels "
    "fitted. Bias is the median of fitted minus literature, scatter is 1.4826 times the median absolute deviation. "
    "A dash means not measured."
)


def instrument_table(row: Row) -> PageTable:
    """Line spread, wavelengths and noise as fitted."""
    scale = with_error(measured(row, "lsf", "width_scale"), measured(row, "lsf", "width_scale_error"), 3)
    rows = [
        [
            Cell("width of the line spread, fitted over catalogued"),
            cell(scale),
            Cell("1 if the survey's own value is right"),
        ],
        *_wavelength_rows(row),
        [
            Cell("noise, fitted over quoted"),
            cell(with_error(measured(row, "noise", "factor"), measured(row, "noise", "factor_error"))),
            Cell("1 if the quoted errors are right"),
        ],
        _repeats_row(row),
        [
            Cell("extra scatter, median over pixels (% of continuum)"),
            cell(percent(measured(row, "noise", "scatter_median"))),
            Cell("0 if the quoted errors were all"),
        ],
        [
            Cell("χ² per pixel with it"),
            cell(fixed(measured(row, "noise", "chi2_per_pixel"))),
            Cell("1 if the noise is right"),
        ],
    ]
    return PageTable(["quantity", "fitted", "expected"], rows)


def _repeats_row(row: Row) -> list[Cell]:
    """What stars that were seen again say of quoted errors."""
    own = lookup(row, "noise")
    stars = measured(own, "repeated_stars")
    if stars is None:
        return [Cell("quoted errors by repeated stars"), cell(DASH), Cell("")]
    if not stars:
        return [
            Cell("quoted errors by repeated stars"),
            cell("as quoted"),
            Cell("too few stars were seen again"),
        ]
    ends = [
        with_error(measured(own, end), measured(own, f"{end}_error")) for end in ("scale_least", "scale_most")
    ]
    floor = with_error(times(measured(own, "floor"), 100), times(measured(own, "floor_error"), 100))
    return [
        Cell(f"errors over quoted by {stars:.0f} repeated stars, least to most over wavelength"),
        cell(" to ".join(ends)),
        Cell(f"1 if quoted errors are right; beside it {floor} % of the flux"),
    ]


def _wavelength_rows(row: Row) -> list[list[Cell]]:
    """Distortion and zero point of the wavelengths."""
    found = lookup(row, "wavelengths")
    size = with_error(measured(found, "rms"), measured(found, "rms_error"), 1)
    zero = with_error(measured(found, "zero_point"), measured(found, "zero_point_error"), 1, sign=True)
    return [
        [Cell("wavelength distortion, taken out, rms (km/s)"), cell(size), Cell("0: none is probable")],
        [
            Cell("windows about it, beyond their errors, rms (km/s)"),
            cell(fixed(measured(found, "scatter"), 1)),
            Cell("0 if theory's lines were all in place"),
        ],
        [
            Cell("fitted minus given velocities, median, left in (km/s)"),
            cell(zero, "the survey gives no velocities"),
            Cell("0 if the zero point is right"),
        ],
    ]


SIDES = {"theory": "label_difference_theory", "morph": "label_difference"}


def same_star_table(row: Row) -> PageTable:
    """The same stars in two surveys: spectra and labels."""
    same = row["same_star"]
    head = [Cell("stars"), cell(count(measured(same, "n"))), Cell("")]
    rms = [Cell("rms of the difference (% of continuum)"), cell(percent(measured(same, "rms"))), Cell("")]
    noise = [Cell("rms expected from noise (%)"), cell(percent(measured(same, "noise_rms"))), Cell("")]
    chi2 = [
        Cell("χ² per pixel of the difference"),
        cell(fixed(measured(same, "chi2"))),
        Cell("1: errors explain it"),
    ]
    rows = [head, rms, noise, chi2, *_translated(same)]
    for label, (name, unit, digits) in LABELS.items():
        for side, key in SIDES.items():
            difference = lookup(same, key, label)
            text = with_error(
                measured(difference, "bias"), measured(difference, "scatter"), digits, sign=True
            )
            rows.append(
                [Cell(f"{name} difference ({unit}), {side}: median ± scatter"), cell(text), Cell("0")]
            )
    return PageTable(["quantity", "measured", "expected"], rows)


def _translated(same: Any) -> list[list[Cell]]:
    """χ² with all that makes the prediction uncertain, and how latents agree; nothing where they were not measured."""
    known, latent = lookup(same, "described"), lookup(same, "latent")
    if measured(same, "chi2_with_source") is None:
        return []
    pairs = ((measured(table, key) for table in (same, known)) for key in ("chi2_with_source", "chi2_own"))
    (chi2, good), (own, good_own) = pairs
    stars, width = (
        count(measured(known, "n")),
        with_error(measured(latent, "width"), measured(latent, "width_error")),
    )
    return [
        [
            Cell("the same with the other's noise and the gap's error, all stars"),
            cell(fixed(chi2)),
            Cell(f"{fixed(own)} by its own fit"),
        ],
        [
            Cell(f"the same, {stars} stars that both surveys describe"),
            cell(fixed(good)),
            Cell(f"{fixed(good_own)} by its own fit"),
        ],
        [
            Cell(f"latents' difference over its error, width, {stars} stars"),
            cell(width),
            Cell("1 if errors are right"),
        ],
    ]


def placebo_table(metrics: Metrics, row: Row) -> PageTable:
    """The grid treated as if it were a survey: what the method finds where there is nothing."""
    placebo = lookup(metrics, "placebo")
    shift = with_error(measured(placebo, "morph_shift"), measured(placebo, "morph_shift_error"), 3)
    rms, rms_error = (times(measured(placebo, key), 100) for key in ("gap_rms", "gap_rms_error"))
    real = measured(row, "morph", "latent_shift_rms")
    rows = [
        _placebo(
            "gap, rms (% of continuum)",
            with_error(rms, rms_error, 3),
            "0",
            percent(measured(row, "gap", "rms"), 3),
        ),
        _placebo("gap, χ² per pixel", fixed(measured(placebo, "gap_chi2")), "1", DASH),
        _placebo("morph, rms latent shift", shift, "0", fixed(real, 3)),
    ]
    for label, (name, unit, digits) in LABELS.items():
        bias = measured(placebo, "label_bias", label)
        before = measured(row, "label_recovery", "morph", label, "bias")
        found = with_error(bias, measured(placebo, "label_bias_error", label), digits + 1, sign=True)
        rows.append(_placebo(f"{name} bias ({unit})", found, "0", fixed(before, digits + 1, sign=True)))
    return PageTable(["quantity", "placebo", "expected", "this survey"], rows)


def decoder_table(metrics: Metrics) -> PageTable:
    """How well theory itself is represented."""
    decoder = lookup(metrics, "decoder")
    names = {
        "rms": "decoder, rms (% of continuum)",
        "median": "decoder, median absolute error (%)",
        "pca_rms": "principal components of the same dimension, rms (%)",
        "emulator_rms": "labels to spectrum, rms (%)",
    }
    rows = [[Cell(text), cell(percent(measured(decoder, key), 3))] for key, text in names.items()]
    return PageTable(["held-out grid spectra", "error"], rows)


def mapping_table(values: Any, left: str, right: str) -> PageTable | None:
    """Names and texts, e.g. digests or versions."""
    if not isinstance(values, Mapping) or not values:
        return None
    return PageTable(
        [left, right], [[Cell(str(key)), cell(DASH if v is None else str(v))] for key, v in values.items()]
    )


def run_table(run: Mapping[str, Any]) -> PageTable:
    """When the run was, how long it took, and from which code."""
    seconds = measured(run, "seconds")
    changed = run.get("dirty")
    dirty = "yes" if changed is True else "no" if changed is False else DASH
    duration = DASH if seconds is None else f"{significant(seconds)} s ({fixed(seconds / 60, 1)} min)"
    rows = [
        [Cell("started"), cell(moment(run.get("started")) or DASH)],
        [Cell("duration"), cell(duration)],
        [Cell("git commit"), cell(str(run.get("git_commit") or DASH), "not run from a git checkout")],
        [Cell("uncommitted changes"), cell(dirty, "not run from a git checkout")],
    ]
    return PageTable(["run", ""], rows)


def _add(
    columns: list[str],
    body: list[list[Cell]],
    title: str,
    values: Mapping[str, float | None],
    errors: Mapping[str, float | None],
    texts: Mapping[str, str],
    reason: str,
) -> None:
    if all(value is None for value in values.values()):
        return
    columns.append(title)
    best = smallest(values, errors)
    for cells, method in zip(body, METHODS, strict=True):
        cells.append(cell(texts[method], reason, best=method in best))


def _placebo(name: str, text: str, expected: str, real: str) -> list[Cell]:
    return [Cell(name), cell(text), Cell(expected), cell(real)]
