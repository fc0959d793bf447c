"""What a run's numbers say in plain language: what improved, what did not, what cannot be known."""

from collections.abc import Iterator
from typing import Any

from synth2obs.reports.content import fixed, listed, percent, with_error
from synth2obs.reports.results import LABELS, METHODS, Metrics, lookup, measured
from synth2obs.reports.tiles import before_labels, better, bias_with_error, change, percent_with_error
from synth2obs.reports.without_labels import in_sentences, unlabelled

SIGNIFICANT = 3.0
"""Errors beyond which a bias on placebo is the method's own."""


def headline(metrics: Metrics, survey: str) -> str:
    """One paragraph on one survey; every sentence rests on numbers in ``metrics``."""
    row = lookup(metrics, "surveys", survey)
    own = [_residual(row), _against_baselines(row), _labels(row)]
    parts = [*([in_sentences(row)] if unlabelled(row) else own), _placebo(metrics, row)]
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
    """Reasons for doubt: a gap that is hidden in the labels, or no larger than what the method finds on placebo."""
    row = lookup(metrics, "surveys", survey)
    helps = better(*change(row, "anchored_rms", "theory"))
    moved = [name for label, (name, _, _) in LABELS.items() if _hidden(row, label)]
    if moved and helps:
        yield (
            f"The residual falls but the bias of {listed(moved)} grows: part of the gap may be hidden in the "
            "labels, not closed."
        )
    if better(*change(row, "free_rms", "theory")) and helps is False:
        yield "The residual falls only when labels are free: the labels moved to absorb the gap."
    yield from _doubts_by_placebo(metrics, row)
    if lookup(metrics, "run", "dirty"):
        yield "The code had uncommitted changes, so this run cannot be repeated from its commit alone."


def _doubts_by_placebo(metrics: Metrics, row: Any) -> Iterator[str]:
    """A gap, a shift of latents or a bias of labels that the method makes where there is nothing."""
    gap, placebo = measured(row, "gap", "rms"), measured(metrics, "placebo", "gap_rms")
    if gap is not None and placebo is not None and gap < 2.0 * placebo:
        yield (
            f"The gap ({percent(gap)} %) is less than twice the placebo's ({percent(placebo)} %): it may be "
            "an artefact."
        )
    shift = measured(row, "morph", "latent_shift_rms")
    empty, error = (measured(metrics, "placebo", key) for key in ("morph_shift", "morph_shift_error"))
    if shift and empty is not None and shift <= empty + (error or 0.0):
        yield (
            f"The morph moves latents by {fixed(shift, 3)}, no more than it does on placebo, where there is nothing to "
            f"move ({with_error(empty, error, 3)}): this part of it is not measured."
        )
    biased = [text for label in LABELS if (text := _placebo_bias(metrics, label))]
    if biased:
        yield (
            f"On placebo, where the truth is known, fitted labels are off by {listed(biased)}: the method's own bias, "
            "more than three of its errors. A bias of this survey is known no better than that."
        )


def _placebo_bias(metrics: Metrics, label: str) -> str:
    bias, error = (measured(metrics, "placebo", key, label) for key in ("label_bias", "label_bias_error"))
    if bias is None or not error or abs(bias) < SIGNIFICANT * error:
        return ""
    name, unit, digits = LABELS[label]
    return f"{with_error(bias, error, digits + 1, sign=True)} {unit} in {name}"


def _hidden(row: Any, label: str) -> bool:
    """Whether a bias grows by more than a fifth, and by more than its error."""
    before, after = _biases(row, label)
    _, error = change(row, f"{label}_bias", before_labels(row))
    return before is not None and after is not None and abs(after) > 1.2 * abs(before) + (error or 0.0)


def _residual(row: Any) -> str:
    before, after = (measured(row, "anchored_rms", m) for m in ("theory", "morph"))
    tested = measured(row, "n_anchored") or measured(row, "n_test")
    stars = "" if tested is None else f" over {int(tested)} stars that took no part"
    if before is None or after is None:
        return (
            "The residual at literature labels was not measured, so it cannot be said whether the morph "
            "helps."
        )
    chi2 = [measured(row, "anchored_chi2", m) for m in ("theory", "morph")]
    tail = f" (χ² per pixel {fixed(chi2[0])} → {fixed(chi2[1])})" if None not in chi2 else ""
    floor = measured(row, "noise_floor", "quoted")
    noise = "" if floor is None else f" Noise alone would leave {percent(floor)} % by the quoted errors."
    return (
        f"With labels held at their literature values, the residual between theory and observation{stars} "
        f"{_movement(row, before, after)}{tail}.{noise}"
    )


def _movement(row: Any, before: float, after: float) -> str:
    """What a residual does when the morph is added."""
    texts = [percent_with_error(row, "anchored_rms", m) for m in ("theory", "morph")]
    gains = better(*change(row, "anchored_rms", "theory"))
    if gains is None:
        return f"stays at {texts[1]} of the continuum with the morph: nothing is gained"
    verb, sign = ("falls", "less") if gains else ("rises", "more")
    gain = abs(100 * (1.0 - after / before)) if before > 0 else 0.0
    return f"{verb} from {texts[0]} to {texts[1]} of the continuum with the morph, {gain:.0f} % {sign}"


def _against_baselines(row: Any) -> str:
    """Whether the morph leaves less than every simpler correction, by more than the error."""
    if measured(row, "anchored_rms", "morph") is None:
        return ""
    rivals = [m for m in METHODS if m not in ("theory", "morph") and measured(row, "anchored_rms", m)]
    if not rivals:
        return "It was not compared with simpler corrections, which a morph must beat."
    sides = {m: better(*change(row, "anchored_rms", m)) for m in rivals}
    if all(sides.values()):
        best = min(rivals, key=lambda m: measured(row, "anchored_rms", m) or 0.0)
        return f"The morph beats every simpler correction by more than the error, the best of them by {_by(row, best)}."
    losses = [f"{METHODS[m]} leaves {_by(row, m)} less" for m in rivals if sides[m] is False]
    ties = [METHODS[m] for m in rivals if sides[m] is None]
    level = f"it is level, within the error, with {listed(ties)}" if ties else ""
    return (
        f"The morph does not beat every simpler correction: {listed([*losses, *([level] if level else [])])}."
    )


def _by(row: Any, method: str) -> str:
    difference, error = change(row, "anchored_rms", method)
    size = None if difference is None else abs(difference)
    return f"{percent(size)} ± {percent(error)} %" if error is not None else f"{percent(size)} %"


def _labels(row: Any) -> str:
    phrases, gained = [], []
    before = before_labels(row)
    for label, (name, unit, _) in LABELS.items():
        if None in _biases(row, label):
            continue
        texts = [bias_with_error(row, method, label) for method in (before, "morph")]
        phrases.append(f"{texts[0]} → {texts[1]} {unit} in {name}")
        if any(better(*change(row, f"{label}_{kind}", before)) for kind in ("bias", "scatter")):
            gained.append(name)
    if not phrases:
        return ""
    weights = "theory with weighted pixels" if before != "theory" else "theory"
    close = (
        f" Beyond the errors the morph gains {listed(gained)}."
        if gained
        else " In none does the morph gain beyond the errors: what labels gain over plain theory is the weights'."
    )
    if before == "theory":
        close = ""
    return f"The bias of fitted labels against the literature goes from {weights} to morph as {listed(phrases)}.{close}"


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
    before, after = (measured(row, "label_recovery", m, label, "bias") for m in (before_labels(row), "morph"))
    return before, after
