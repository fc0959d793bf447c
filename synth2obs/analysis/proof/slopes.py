"""How label biases grow as a survey's stars drift away from the grid's."""

from collections.abc import Mapping, Sequence
from typing import Any

from synth2obs.analysis.bootstrap import Score
from synth2obs.analysis.proof.statistics import slope
from synth2obs.core.labels import STELLAR

Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]


def bias_slopes(drifts: Sequence[float], surveys: Sequence[Rows]) -> dict[str, dict[str, dict[str, Any]]]:
    """Slope of each label's bias against drift, per standard deviation of it, by method and label.

    Args:
        drifts: Of each survey.
        surveys: Scores by method and key, as ``scores.json`` has them.
    """
    slopes: dict[str, dict[str, dict[str, Any]]] = {}
    for method in surveys[0]:
        slopes[method] = {}
        for label in STELLAR:
            found = slope(drifts, [_score(survey, method, f"{label}_bias") for survey in surveys])
            slopes[method][f"{label}_slope"] = {"value": _known(found.value), "error": _known(found.error)}
    return slopes


def _score(survey: Rows, method: str, key: str) -> Score:
    row = survey.get(method, {}).get(key, {})
    value, error = row.get("value"), row.get("error")
    return Score(*(float("nan") if number is None else float(number) for number in (value, error)))


def _known(value: float) -> float | None:
    return value if value == value else None
