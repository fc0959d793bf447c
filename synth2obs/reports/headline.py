"""The verdict in plain language, made from the numbers: what improved, what did not, what cannot be known."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from synth2obs.reports.content import DASH, fixed, percent
from synth2obs.reports.results import LABELS, Metrics, lookup, measured

SAME = 0.01
"""Relative difference below which two rms values are called equal."""


@dataclass(frozen=True)
class Tile:
    """One number of the verdict: before, after, and whether that is good."""

    title: str
    before: str
    after: str
    unit: str
    better: bool | None


def tiles(metrics: Metrics, survey: str) -> list[Tile]:
    """The numbers at the top of the page: residual, chi2, and the bias of every label."""
    row = lookup(metrics, "surveys", survey)
    rms = [measured(row, "anchored_rms", m) for m in ("theory", "morph")]
    chi2 = [measured(row, "anchored_chi2", m) for m in ("theory", "morph")]
    shown = [
        Tile("anchored residual", percent(rms[0]), percent(rms[1]), "% of continuum", _better(*rms)),
        Tile("χ² per pixel", fixed(chi2[0]), fixed(chi2[1]), "1 is ideal", _closer_to_one(*chi2)),
    ]
    for label, (name, unit, digits) in LABELS.items():
        bias = [measured(row, "label_recovery", m, label, "bias") for m in ("theory", "morph")]
        texts = [fixed(b, digits, sign=True) for b in bias]
        shown.append(Tile(f"{name} bias", texts[0], texts[1], unit, _better(*bias)))
    return shown


def headline(metrics: Metrics, survey: str) -> str:
    """One paragraph on one survey; every sentence rests on numbers in ``metrics``."""
    row = lookup(metrics, "surveys", survey)
    parts = [_residual(row), _against_linear(row), _labels(row), _placebo(metrics, row)]
    return " ".join(part for part in parts if part)


def identifiability(metrics: Metrics, survey: str) -> str:
    """What a reader must not conclude, given the survey's anchors."""
    row = lookup(metrics, "surveys", survey)
    anchors = measured(row, "anchors", "stars")
    if anchors:
        shifts = ", ".join(_shift(row, label) for label in LABELS)
        return (
            f"{anchors:.0f} anchor stars tie this survey's labels to an outside scale: theory has the spectrum of the "
            f"median star at labels that are higher by {shifts}. Quoted errors hold the error of that shift, and "
            "the scatter of the anchors about it. Directions that Teff, log g and [Fe/H] do not span stay as "
            "unconstrained as without anchors."
        )
    return (
        "No anchor stars were used, so one thing is not identified: a shift of the labels of all stars of the survey "
        "together that has the spectrum of a gap. Such a shift could sit in the labels, in the morph, or in both, "
        "and these data cannot tell. Differences between stars, and lines that no label imitates, do not "
        "suffer from it." + _common_shift(row)
    )


def _common_shift(row: Any) -> str:
    """What lines that must agree say of that shift, and under which assumption."""
    parts = []
    for label, (name, unit, digits) in LABELS.items():
        value, error = (measured(row, "common_shift", label, key) for key in ("value", "error"))
        if value is not None and error is not None:
            parts.append(f"{fixed(value, digits, sign=True)} ± {fixed(error, digits + 1)} {unit} ({name})")
    if not parts:
        return ""
    return (
        f" If theory's lines err independently of each other, they say that it is {', '.join(parts)} beyond the "
        "fitted labels; the table of groups of lines shows how far lines err together."
    )


def _shift(row: Any, label: str) -> str:
    name, unit, digits = LABELS[label]
    values = (measured(row, "anchors", key, label) for key in ("shift", "shift_error"))
    shift, error = (
        fixed(value, digits, sign=sign) for value, sign in zip(values, (True, False), strict=True)
    )
    return f"{shift} ± {error} {unit} ({name})"


def warnings(metrics: Metrics, survey: str) -> Iterator[str]:
    """Reasons for doubt: a gap that is hidden in the labels, or no larger than the placebo's."""
    row = lookup(metrics, "surveys", survey)
    rms = [measured(row, "anchored_rms", m) for m in ("theory", "morph")]
    moved = [name for label, (name, _, _) in LABELS.items() if _worse(_biases(row, label))]
    if moved and _better(*rms):
        yield (
            f"The residual falls but the bias of {_list(moved)} grows: part of the gap may be hidden in the "
            "labels, not closed."
        )
    free = [measured(row, "free_rms", m) for m in ("theory", "morph")]
    if _better(*free) and _better(*rms) is False:
        yield "The residual falls only when labels are free: the labels moved to absorb the gap."
    gap, placebo = measured(row, "gap", "rms"), measured(metrics, "placebo", "gap_rms")
    if gap is not None and placebo is not None and gap < 2.0 * placebo:
        yield (
            f"The gap ({percent(gap)} %) is less than twice the placebo's ({percent(placebo)} %): it may be "
            "an artefact."
        )
    if lookup(metrics, "run", "dirty"):
        yield "The code had uncommitted changes, so this run cannot be repeated from its commit alone."


def _residual(row: Any) -> str:
    before, after = (measured(row, "anchored_rms", m) for m in ("theory", "morph"))
    tested = measured(row, "n_anchored") or measured(row, "n_test")
    stars = "" if tested is None else f" over {int(tested)} held-out stars"
    if before is None or after is None:
        return (
            "The residual at literature labels was not measured, so it cannot be said whether the morph "
            "helps."
        )
    chi2 = [measured(row, "anchored_chi2", m) for m in ("theory", "morph")]
    tail = f" (χ² per pixel {fixed(chi2[0])} → {fixed(chi2[1])})" if None not in chi2 else ""
    return (
        f"With labels held at their literature values, the residual between theory and observation{stars} "
        f"{_movement(before, after)}{tail}."
    )


def _movement(before: float, after: float) -> str:
    """What a residual does when the morph is added."""
    change = 1.0 - after / before if before > 0 else 0.0
    if abs(change) < SAME:
        return f"stays at {percent(after)} % of the continuum with the morph: nothing is gained"
    verb, sign = ("falls", "less") if change > 0 else ("rises", "more")
    return (
        f"{verb} from {percent(before)} % to {percent(after)} % of the continuum with the morph, "
        f"{abs(100 * change):.0f} % {sign}"
    )


def _against_linear(row: Any) -> str:
    linear, morph = (measured(row, "anchored_rms", m) for m in ("linear_residual", "morph"))
    if morph is None:
        return ""
    if linear is None or linear <= 0:
        return "It was not compared with a residual linear in labels, the baseline that a morph must beat."
    change = 1.0 - morph / linear
    if abs(change) < SAME:
        return (
            f"A residual linear in labels, the baseline to beat, reaches {percent(linear)} %: the morph "
            f"matches it within {100 * SAME:.0f} % and so does not beat it."
        )
    verdict = "beats" if change > 0 else "does not beat"
    side = "below" if change > 0 else "above"
    return (
        f"The morph {verdict} a residual linear in labels, the baseline to beat ({percent(linear)} %): its "
        f"residual is {abs(100 * change):.0f} % {side}."
    )


def _labels(row: Any) -> str:
    phrases = []
    for label, (name, unit, digits) in LABELS.items():
        before, after = _biases(row, label)
        if before is not None and after is not None:
            phrases.append(
                f"{fixed(before, digits, sign=True)} → {fixed(after, digits, sign=True)} {unit} in {name}"
            )
    return (
        f"The bias of fitted labels against the literature goes from theory to morph as {_list(phrases)}."
        if phrases
        else ""
    )


def _placebo(metrics: Metrics, row: Any) -> str:
    gap, placebo = measured(row, "gap", "rms"), measured(metrics, "placebo", "gap_rms")
    if gap is None or placebo is None:
        return ""
    ratio = f", {gap / placebo:.0f} times less" if placebo > 0 and gap / placebo >= 2 else ""
    return (
        f"The gap itself has an rms of {percent(gap)} %; on placebo, where there is none, the method finds "
        f"{percent(placebo, 3)} %{ratio}."
    )


def _biases(row: Any, label: str) -> tuple[float | None, float | None]:
    return (
        measured(row, "label_recovery", "theory", label, "bias"),
        measured(row, "label_recovery", "morph", label, "bias"),
    )


def _better(before: float | None, after: float | None) -> bool | None:
    return None if before is None or after is None else abs(after) < abs(before)


def _closer_to_one(before: float | None, after: float | None) -> bool | None:
    return _better(None if before is None else before - 1.0, None if after is None else after - 1.0)


def _worse(biases: tuple[float | None, float | None]) -> bool:
    before, after = biases
    return before is not None and after is not None and abs(after) > 1.2 * abs(before)


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else DASH
