"""Sections of single stars: every one of them with its spectrum, and those that were not described."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from synth2obs.core.constants import FLUX_BAD, FLUX_UNIT
from synth2obs.reports.assets import EACH, base64_of, has_spectra, key_of
from synth2obs.reports.checks import Arrays
from synth2obs.reports.content import Block, Cell, Embedded, Note, PageTable, Paragraph, cell
from synth2obs.reports.material import Material
from synth2obs.reports.results import LABELS
from synth2obs.reports.star_rows import MOST, StarRow, star_rows
from synth2obs.reports.templating import template

LISTED = 60
"""Most stars in the table of those to beware of; all of them are in the table of every star."""

DRAWN = (
    "Held-out star with its labels fitted, in the rest frame and divided by the morph's continuum: observed (black), "
    "theory with its own best labels (orange), morph (blue); below, observed minus model. Drag to zoom, double-click "
    "to reset; the zoom stays when another star is chosen, the legend hides curves."
)


def every_star(m: Material) -> list[Block]:
    """A table that can be searched, and the spectrum of the star that is chosen."""
    rows = star_rows(m.arrays)
    if not rows:
        return [m.missing("stars", "Test stars", "the evaluation kept no stars")]
    columns = [(name, unit) for name, unit, _ in LABELS.values()]
    drawn = DRAWN if has_spectra(m.arrays) else ""
    table = template("stars.html").render(
        labels=columns,
        rows=[_shown(row) for row in rows[:MOST]],
        caption=_caption(m.arrays, rows),
        drawn=drawn,
    )
    return [Paragraph(LEAD), Embedded(table)]


LEAD = (
    "Every held-out star, the worst fit first. Labels are fitted with the morph; χ² is per pixel, with labels "
    "fitted by theory and by the morph. Choose a star to see its spectrum; several words are searched together, in "
    "ids and in the column of warnings."
)


def star_data(arrays: Arrays, page: str) -> dict[str, Any] | None:
    """What the page's script must know to find and read spectra; None if there are none."""
    if not has_spectra(arrays):
        return None
    return {
        "key": key_of(arrays),
        "folder": page,
        "each": EACH,
        "unit": FLUX_UNIT,
        "bad": FLUX_BAD,
        "wavelength": base64_of(arrays["wavelength"], "<f4"),
    }


def not_described(m: Material) -> list[Block]:
    """Stars with a flag and why, the worst first."""
    rows = star_rows(m.arrays)
    if not rows or "test_flags" not in m.arrays or not np.isfinite(m.arrays["test_flags"]).any():
        return [m.missing("flagged", "Stars to beware of", "the evaluation kept no flags")]
    failed = [row for row in rows if row.flags]
    lead = Paragraph(f"{_counted(rows, failed)} {_without_literature(rows)}")
    if not failed:
        return [lead, Note("No test star has a flag.")]
    return [lead, _table(failed)]


def _shown(row: StarRow) -> dict[str, Any]:
    pairs = zip(row.fitted, row.literature, strict=True)
    facts = (
        f"{name} {value} {unit}".strip()
        for (name, unit, _), value in zip(LABELS.values(), row.fitted, strict=True)
    )
    warned = f" · {row.flags}" if row.flags else ""
    told = f"{' · '.join(facts)} · S/N {row.snr} · χ² {row.chi2_theory} → {row.chi2}{warned}"
    return {"star": row, "labels": [value for pair in pairs for value in pair], "facts": told}


def _caption(arrays: Arrays, rows: Sequence[StarRow]) -> str:
    left = f" Of {len(rows)} stars the {MOST} of the largest χ² are listed." if len(rows) > MOST else ""
    kept = arrays["spectra_star"].size if has_spectra(arrays) else 0
    few = f" Spectra of the {kept} stars of the largest χ² were kept." if 0 < kept < len(rows) else ""
    return f"A dash means not known. All stars are in evaluation/*.npz.{left}{few}"


def _counted(rows: Sequence[StarRow], failed: Sequence[StarRow]) -> str:
    kinds: dict[str, int] = {}
    for row in failed:
        for flag in row.flags.split("; "):
            kind = flag.partition(":")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
    words = ", ".join(f"{count} × {kind}" for kind, count in kinds.items())
    return f"{len(failed)} of {len(rows)} test stars carry a warning{f': {words}' if words else ''}."


def _without_literature(rows: Sequence[StarRow]) -> str:
    unknown = sum(not row.known for row in rows)
    if not unknown:
        return "Every test star has literature labels."
    return f"{unknown} have no literature labels: they count in no bias and in no anchored residual."


def _table(failed: Sequence[StarRow]) -> PageTable:
    columns = [
        "star",
        "why",
        "χ² morph",
        "good pixels (%)",
        "S/N",
        *(f"{n} ({u})" for n, u, _ in LABELS.values()),
    ]
    body = [
        [Cell(row.id), Cell(row.flags), *map(cell, (row.chi2, row.good, row.snr)), *map(cell, row.fitted)]
        for row in failed[:LISTED]
    ]
    more = "" if len(failed) <= LISTED else f" The {LISTED} of the largest χ² of {len(failed)}."
    caption = (
        "Poor fit: χ² per pixel above 2 with the fitted noise. Few good pixels: less than half. Outside the grid: a "
        "fitted label is beyond the range of theory, which is extrapolated. Far: inside the range, but where the "
        f"grid has hardly a spectrum.{more}"
    )
    return PageTable(columns, body, caption, words=(1,))
