"""What is known of a survey whose held-out stars have no literature labels: numbers that need none, and words."""

from collections.abc import Iterator
from math import hypot
from typing import Any

from synth2obs.reports.content import listed, with_error
from synth2obs.reports.results import LABELS, METHODS, lookup, measured
from synth2obs.reports.tiles import Tile, better

Judged = tuple[float, float, str]
"""A number that is the worse the larger it is, its error, and whose it is."""

NOT_CHECKED = (
    "the residual at literature labels, the comparison with simpler corrections at these, biases and scatters of "
    "labels, their growth, pulls against the literature, and what a bias on placebo is beside a scatter"
)
"""What a verdict cannot see without literature labels."""

BEFORE = "theory_weighted"


def unlabelled(row: Any) -> bool:
    """Whether it is known that no test star of a survey has literature labels inside the grid."""
    return measured(row, "n_anchored") == 0


def labels_missing(row: Any) -> list[Judged | None]:
    """1 without literature labels, 0 with; None where that is not known."""
    known = measured(row, "n_anchored") is not None
    return [(float(unlabelled(row)), 0.0, f"not checked: {NOT_CHECKED}" * unlabelled(row))] if known else []


def free_chi2(row: Any) -> list[Judged | None]:
    """The morph's χ² over theory's, labels fitted."""
    found: list[Judged | None] = []
    for method in ("theory", BEFORE):
        value, error = (measured(row, "free_chi2_ratio", method, key) for key in ("value", "error"))
        found.append(None if value is None else (value, error or 0.0, METHODS[method]))
    return found


def halves(row: Any) -> list[Judged | None]:
    """Widths of the morph's pulls between halves of spectra, or their inverse: errors may be too large, too."""
    return [
        _either_way(measured(own, "width"), measured(own, "width_error"), name)
        for label, (name, _, _) in LABELS.items()
        for own in [lookup(row, "halves", "morph", label)]
    ]


def repeats(row: Any) -> list[Judged | None]:
    """Widths of pulls between spectra of the same star; too small a width is no fault."""
    found: list[Judged | None] = []
    for label, (name, _, _) in LABELS.items():
        value, error = (measured(row, "repeats", label, key) for key in ("width", "width_error"))
        found.append(None if value is None else (value, error or 0.0, name))
    return found


def _either_way(width: float | None, error: float | None, what: str) -> Judged | None:
    if not width:
        return None
    return (width, error or 0.0, what) if width >= 1 else (1.0 / width, (error or 0.0) / width**2, what)


def in_sentences(row: Any) -> str:
    """What a headline says in place of residuals and biases against the literature."""
    stars = measured(row, "n_test")
    who = "None of the test stars" if stars is None else f"None of the {stars:.0f} test stars"
    parts = [
        f"{who} has literature labels inside the grid: nobody knows whether fitted labels are right. Not checked "
        f"are {NOT_CHECKED}.",
        *_chi2(row),
        *_halves(row),
        *_repeats(row),
    ]
    return " ".join(parts)


def _chi2(row: Any) -> Iterator[str]:
    before, after = (_chi2_text(row, method) for method in ("theory", "morph"))
    value, error = (measured(row, "free_chi2_ratio", "theory", key) for key in ("value", "error"))
    if value is None:
        return
    change = better(value - 1.0, error)
    verb = {True: "falls", False: "rises", None: "does not change beyond its error"}[change]
    yield (
        f"With labels fitted, χ² per pixel {verb}: {before} by theory, {after} by the morph, in the median star "
        f"{with_error(value, error)} times as much. Labels that are free may hide a gap, so that this is no proof that "
        "it is closed."
    )


def _chi2_text(row: Any, method: str) -> str:
    return with_error(measured(row, "free_chi2", method), measured(row, "free_chi2_error", method))


def _halves(row: Any) -> Iterator[str]:
    texts = _widths(row, "halves", "morph")
    if texts:
        yield (
            f"Labels from two halves of the same spectra differ by {listed(texts)} of their quoted errors (1 if "
            "these are right; an error that all lines share does not show)."
        )


def _repeats(row: Any) -> Iterator[str]:
    texts = _widths(row, "repeats")
    if texts:
        yield f"Labels of the same star from several spectra differ by {listed(texts)} of their quoted errors."


def _widths(row: Any, *keys: str) -> list[str]:
    texts = []
    for label, (name, _, _) in LABELS.items():
        value, error = (measured(row, *keys, label, key) for key in ("width", "width_error"))
        if value is not None:
            texts.append(f"{with_error(value, error)} ({name})")
    return texts


COMPARED = "χ²: theory → morph. Labels of two halves of spectra: theory, pixels weighted → morph, 1 is ideal."
"""What `own_tiles` compare, for their caption."""


def own_tiles(row: Any) -> list[Tile]:
    """The numbers at the top of a page, theory → morph, of a survey without labels."""
    value, error = (measured(row, "free_chi2_ratio", "theory", key) for key in ("value", "error"))
    change = better(None if value is None else value - 1.0, error)
    shown = [
        Tile("χ², labels fitted", _chi2_text(row, "theory"), _chi2_text(row, "morph"), "per pixel", change)
    ]
    return [*shown, *(tile for label in LABELS for tile in _half_tile(row, label))]


def _half_tile(row: Any, label: str) -> Iterator[Tile]:
    """How far labels of two halves are apart, in their errors; none where that was not measured."""
    (before, unsure), (after, error) = (
        (
            measured(row, "halves", method, label, "width"),
            measured(row, "halves", method, label, "width_error"),
        )
        for method in (BEFORE, "morph")
    )
    if before is None or after is None:
        return
    nearer = abs(after - 1.0) - abs(before - 1.0)
    change = better(nearer, hypot(unsure or 0.0, error or 0.0))
    old, new = with_error(before, unsure), with_error(after, error)
    yield Tile(f"{LABELS[label][0]} of two halves", old, new, "of its error", change)
