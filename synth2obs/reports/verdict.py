"""PASS, WARN or FAIL: a run's numbers against the thresholds of its configuration."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from synth2obs.reports import without_labels
from synth2obs.reports.results import LABELS, METHODS, Metrics, lookup, measured
from synth2obs.training.evaluation_config import ThresholdsConfig

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
ORDER = (PASS, WARN, FAIL)

BEFORE = "theory_weighted"
"""With what the morph's labels are compared: theory with the same weights."""


@dataclass(frozen=True)
class Number:
    """A number that a threshold judges.

    Args:
        value: The larger, the worse.
        error: Its standard error, which is forgiven; 0 where none is known.
        what: Whose number it is, e.g. a label; empty for the survey's.
    """

    value: float
    error: float = 0.0
    what: str = ""


@dataclass(frozen=True)
class Check:
    """One threshold and what it says of one survey.

    Args:
        survey, name: Of the survey and of the setting in ``[thresholds]``.
        status: ``PASS``, ``WARN`` or ``FAIL``.
        value, error: The number that was judged, and its error.
        warn, fail: What it must not exceed.
        meaning: What the number is.
        what: Whose number, e.g. a label.
    """

    survey: str
    name: str
    status: str
    value: float | None
    error: float | None
    warn: float
    fail: float
    meaning: str
    what: str = ""


Judge = Callable[[Metrics, Any], list[Number | None]]
"""Metrics of a run and of one survey → the numbers that a threshold judges."""


def verdict(metrics: Metrics, thresholds: ThresholdsConfig) -> dict[str, Any]:
    """What ``metrics.json`` says of a run: ``status``, the worst of its ``surveys``, and every check.

    Args:
        metrics: Contents of ``metrics.json``.
        thresholds: ``[thresholds]`` of the configuration.

    Returns:
        ``status``; ``surveys``, name → status; ``checks``, a table of `Check` each. A residual that could not be
        measured warns: nothing is known of such a survey. One whose stars have no literature labels is judged by
        what needs none, and by ``unlabelled``.
    """
    checks = [check for name in metrics["surveys"] for check in _of_survey(metrics, name, thresholds)]
    surveys = {
        name: worst(check.status for check in checks if check.survey == name) for name in metrics["surveys"]
    }
    return {
        "status": worst(surveys.values()),
        "surveys": surveys,
        "checks": [asdict(check) for check in checks],
    }


def worst(statuses: Any) -> str:
    """The worst of some statuses; PASS for none."""
    return max(statuses, key=ORDER.index, default=PASS)


def broken(found: Metrics, survey: str | None = None) -> list[Metrics]:
    """Checks of a verdict that do not pass, the worst first; of one survey, or of all."""
    checks = [c for c in lookup(found, "checks") or [] if c["status"] != PASS]
    return sorted(
        (c for c in checks if survey in (None, c["survey"])), key=lambda c: -ORDER.index(c["status"])
    )


def _of_survey(metrics: Metrics, survey: str, thresholds: ThresholdsConfig) -> Iterator[Check]:
    for name, of in NUMBERS.items():
        warn, fail = getattr(thresholds, name)
        meaning = str(ThresholdsConfig.model_fields[name].description)
        numbers = [number for number in of(metrics, metrics["surveys"][survey]) if number is not None]
        known = max(numbers, key=lambda number: number.value - number.error, default=None)
        if known is not None:
            status = _status(known.value - known.error, warn, fail)
            yield Check(survey, name, status, known.value, known.error, warn, fail, meaning, known.what)
        elif name == "residual" and not without_labels.unlabelled(metrics["surveys"][survey]):
            yield Check(survey, name, WARN, None, None, warn, fail, f"{meaning}: not measured")


def _status(value: float, warn: float, fail: float) -> str:
    return FAIL if value > fail else WARN if value > warn else PASS


def _over(value: float | None, error: float | None, unit: float | None, what: str = "") -> Number | None:
    """A number in a unit; None where either is not known, or the unit is 0."""
    return None if value is None or not unit else Number(value / unit, (error or 0.0) / unit, what)


def _ratio(row: Any, method: str) -> Number | None:
    """Morph's anchored rms over another method's."""
    morph, other = (measured(row, "anchored_rms", m) for m in ("morph", method))
    return _over(morph, measured(row, "versus", method, "anchored_rms", "error"), other, METHODS[method])


def _residual(metrics: Metrics, row: Any) -> list[Number | None]:
    return [_ratio(row, "theory")]


def _baseline(metrics: Metrics, row: Any) -> list[Number | None]:
    return [_ratio(row, method) for method in METHODS if method not in ("theory", "morph")]


def _bias(label: str) -> Judge:
    def of(metrics: Metrics, row: Any) -> list[Number | None]:
        bias, error = (measured(row, "label_recovery", "morph", label, k) for k in ("bias", "bias_error"))
        return [_over(_size(bias), error, 1.0)]

    return of


def _growth(measure: str, unit: str) -> Judge:
    """What a label's bias or scatter is beside that by theory with the same weights."""

    def of(metrics: Metrics, row: Any) -> list[Number | None]:
        found = []
        for label, (name, _, _) in LABELS.items():
            scatter = measured(row, "label_recovery", unit, label, "scatter")
            grown, error = (
                measured(row, "versus", BEFORE, f"{label}_{measure}", k) for k in ("difference", "error")
            )
            found.append(_over(grown, error, scatter, name))
        return found

    return of


def _scatter_growth(metrics: Metrics, row: Any) -> list[Number | None]:
    grown = _growth("scatter", BEFORE)(metrics, row)
    return [None if one is None else Number(1.0 + one.value, one.error, one.what) for one in grown]


def _pull_width(metrics: Metrics, row: Any) -> list[Number | None]:
    found = []
    for label, (name, _, _) in LABELS.items():
        width, error = (measured(row, "pulls", "morph", label, k) for k in ("width", "width_error"))
        found.append(_over(width, error, 1.0, name))
    return found


def _placebo_gap(metrics: Metrics, row: Any) -> list[Number | None]:
    return [_over(measured(metrics, "placebo", "gap_rms"), None, measured(row, "gap", "rms"))]


def _placebo_bias(metrics: Metrics, row: Any) -> list[Number | None]:
    found = []
    for label, (name, _, _) in LABELS.items():
        bias, error = (measured(metrics, "placebo", key, label) for key in ("label_bias", "label_bias_error"))
        scatter = measured(row, "label_recovery", "morph", label, "scatter")
        found.append(_over(_size(bias), error, scatter, name))
    return found


def _chi2(metrics: Metrics, row: Any) -> list[Number | None]:
    chi2 = measured(row, "noise", "chi2_per_pixel")
    return [Number(max(chi2, 1.0 / chi2)) if chi2 else None]


def _flagged(metrics: Metrics, row: Any) -> list[Number | None]:
    return [_over(measured(row, "flagged", "share"), None, 1.0)]


def _own(judged: Callable[[Any], list[without_labels.Judged | None]]) -> Judge:
    """What needs no literature labels."""

    def of(metrics: Metrics, row: Any) -> list[Number | None]:
        return [None if one is None else Number(*one) for one in judged(row)]

    return of


def _size(value: float | None) -> float | None:
    return None if value is None else abs(value)


NUMBERS: dict[str, Judge] = {
    "residual": _residual,
    "baseline": _baseline,
    "teff_bias": _bias("teff"),
    "logg_bias": _bias("logg"),
    "fe_h_bias": _bias("fe_h"),
    "bias_growth": _growth("bias", "morph"),
    "scatter_growth": _scatter_growth,
    "pull_width": _pull_width,
    "placebo_gap": _placebo_gap,
    "placebo_bias": _placebo_bias,
    "chi2": _chi2,
    "flagged": _flagged,
    "free_chi2": _own(without_labels.free_chi2),
    "halves": _own(without_labels.halves),
    "repeats": _own(without_labels.repeats),
    "unlabelled": _own(without_labels.labels_missing),
}
"""The numbers that each threshold judges; the worst of them counts."""
