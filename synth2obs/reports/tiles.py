"""The numbers at the top of a survey's page, before and after the morph, and which of them are better."""

from dataclasses import dataclass
from typing import Any

from synth2obs.reports.content import fixed, percent, with_error
from synth2obs.reports.results import LABELS, METHODS, Metrics, lookup, measured

SAME = 0.01
"""Relative difference below which two numbers without errors are called equal."""


@dataclass(frozen=True)
class Tile:
    """One number: before, after, and whether that is better by more than its error; None if it is neither."""

    title: str
    before: str
    after: str
    unit: str
    better: bool | None

    @property
    def said(self) -> str:
        """What the colour says, in a word."""
        return {True: "better", False: "worse", None: "no change beyond the error"}[self.better]


def tiles(metrics: Metrics, survey: str) -> list[Tile]:
    """Residual and χ² against theory, and the bias of every label against theory with weighted pixels."""
    row = lookup(metrics, "surveys", survey)
    chi2 = [measured(row, "anchored_chi2", m) for m in ("theory", "morph")]
    before = before_labels(row)
    old, new = (percent_with_error(row, "anchored_rms", m, unit="") for m in ("theory", "morph"))
    shown = [
        Tile("anchored residual", old, new, "% of continuum", better(*change(row, "anchored_rms", "theory"))),
        Tile("χ² per pixel", fixed(chi2[0]), fixed(chi2[1]), "1 is ideal", _nearer_to_one(*chi2)),
    ]
    for label, (name, unit, _) in LABELS.items():
        old, new = (bias_with_error(row, method, label) for method in (before, "morph"))
        shown.append(Tile(f"{name} bias", old, new, unit, better(*change(row, f"{label}_bias", before))))
    return shown


def before_labels(row: Any) -> str:
    """With which method the morph's labels are compared: theory with its weights, where that was measured."""
    weighted = lookup(row, "label_recovery", "theory_weighted")
    return "theory_weighted" if weighted else "theory"


def change(row: Any, measure: str, method: str) -> tuple[float | None, float | None]:
    """The morph's number minus a method's, and its error; None for an error where stars were not drawn anew.

    Args:
        row: A survey's metrics.
        measure: ``anchored_rms``, ``free_rms``, ``<label>_bias`` (its size) or ``<label>_scatter``.
        method: One of `METHODS`.
    """
    found = lookup(row, "versus", method, measure)
    if found is not None:
        return measured(found, "difference"), measured(found, "error")
    before, after = _number(row, measure, method), _number(row, measure, "morph")
    if before is None or after is None:
        return None, None
    difference = abs(after) - abs(before)
    return (0.0 if abs(difference) < SAME * abs(before) else difference), None


def better(difference: float | None, error: float | None) -> bool | None:
    """Whether a change is for the better (less); None if it is unknown or within its error."""
    if difference is None or abs(difference) <= (error or 0.0):
        return None
    return difference < 0


def compared_with(metrics: Metrics, survey: str) -> str:
    """What tiles compare, for their caption."""
    before = before_labels(lookup(metrics, "surveys", survey))
    return f"Residuals: theory → morph. Biases: {METHODS[before]} → morph."


def percent_with_error(row: Any, key: str, method: str, unit: str = " %") -> str:
    """A method's number from a survey's metrics in percent, with its error where that was measured."""
    value, error = measured(row, key, method), measured(row, f"{key}_error", method)
    if value is None:
        return percent(None)
    return f"{percent(value)}{'' if error is None else f' ± {percent(error)}'}{unit}"


def _number(row: Any, measure: str, method: str) -> float | None:
    label, _, kind = measure.rpartition("_")
    if kind in ("bias", "scatter"):
        return measured(row, "label_recovery", method, label, kind)
    return measured(row, measure, method)


def bias_with_error(row: Any, method: str, label: str) -> str:
    """A method's bias in a label with its error, with the label's digits; a dash where it was not measured."""
    bias, error = (measured(row, "label_recovery", method, label, key) for key in ("bias", "bias_error"))
    return with_error(bias, error, LABELS[label][2], sign=True)


def _nearer_to_one(before: float | None, after: float | None) -> bool | None:
    if before is None or after is None:
        return None
    return better(abs(after - 1.0) - abs(before - 1.0), None)
