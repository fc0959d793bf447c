"""What held-out spectra say without any literature labels, as tables of a survey's report."""

from typing import Any

from synth2obs.reports.content import Block, Cell, Note, PageTable, Paragraph, cell, count, fixed, with_error
from synth2obs.reports.results import LABELS, METHODS, lookup, measured
from synth2obs.reports.style import COLOURS
from synth2obs.reports.without_labels import NOT_CHECKED, unlabelled

LEAD = (
    "No literature label enters this section: χ² with labels fitted, labels from two halves of the same spectra, and "
    "from several spectra of the same star. An error that all lines of a star share shows in none of them."
)
WITHOUT = "No test star has literature labels inside the grid. Not checked are "

CHI2_CAPTION = (
    "χ² per pixel of held-out stars, labels fitted, median and its error by bootstrap over stars. All methods "
    "count with the same variance of every pixel: the survey's noise and what the morph leaves. The last column is the "
    "median of the morph's χ² over the method's, of the same stars; beside theory it must not be above 1."
)
HALVES_CAPTION = (
    "Labels from every other block of wavelengths minus those from the other blocks, without the stellar-evolution "
    "prior, of stars inside the grid that the morph describes. Quoted: median error that the fits expect of the "
    "difference. Real: its scatter about 0. Width: of the differences in units of their errors; 1 if errors are right, "
    "more if they are too small, less if they are larger than anything in these spectra asks for."
)
REPEATS_CAPTION = (
    "Differences of labels between spectra of the same star over their quoted errors. These hold what theory lacks, "
    "which both spectra share: a width below 1 is no fault."
)


def consistency_section(row: Any, reasons: Any) -> list[Block]:
    """The section of a page: a note where that is all there is, and the tables that were measured."""
    blocks: list[Block] = [Paragraph(LEAD)]
    if unlabelled(row):
        blocks.insert(0, Note(f"{WITHOUT}{NOT_CHECKED}.", warning=True))
    tables = [
        table for table in (chi2_table(row), halves_table(row), repeats_table(row)) if table is not None
    ]
    if tables:
        return [*blocks, *tables]
    reason = reasons.get("consistency", "the evaluation holds no numbers for it")
    return [*blocks, Note(f"Consistency without labels: not measured ({reason}).")]


def chi2_table(row: Any) -> PageTable | None:
    """χ² per pixel with labels fitted by method; None where it was not measured."""
    rows = [
        [Cell(title, colour=COLOURS[method]), cell(_pair(row, method)), cell(_ratio(row, method))]
        for method, title in METHODS.items()
        if measured(row, "free_chi2", method) is not None
    ]
    columns = ["labels fitted", "χ² per pixel", "morph's over it"]
    return PageTable(columns, rows, CHI2_CAPTION) if rows else None


def _pair(row: Any, method: str) -> str:
    return with_error(measured(row, "free_chi2", method), measured(row, "free_chi2_error", method))


def _ratio(row: Any, method: str) -> str:
    if method == "morph":
        return "1"
    value, error = (measured(row, "free_chi2_ratio", method, key) for key in ("value", "error"))
    return with_error(value, error)


def halves_table(row: Any) -> PageTable | None:
    """How labels from two halves of spectra agree, by label and method; None where it was not measured."""
    rows = [
        [Cell(f"{name} ({unit})", colour=COLOURS[method]), cell(METHODS[method]), *_half(own, digits)]
        for label, (name, unit, digits) in LABELS.items()
        for method in ("theory_weighted", "morph")
        for own in [lookup(row, "halves", method, label)]
        if measured(own, "width") is not None
    ]
    columns = ["label", "by", "stars", "quoted", "real", "width"]
    return PageTable(columns, rows, HALVES_CAPTION) if rows else None


def _half(own: Any, digits: int) -> list[Cell]:
    return [
        cell(count(measured(own, "n"))),
        *(cell(fixed(measured(own, key), digits + (digits > 0))) for key in ("quoted", "real")),
        cell(with_error(measured(own, "width"), measured(own, "width_error"))),
    ]


def repeats_table(row: Any) -> PageTable | None:
    """How labels from several spectra of a star agree; None where no star has enough."""
    rows = [
        [
            Cell(name),
            cell(count(measured(own, "n"))),
            cell(with_error(measured(own, "width"), measured(own, "width_error"))),
        ]
        for label, (name, _, _) in LABELS.items()
        for own in [lookup(row, "repeats", label)]
        if measured(own, "width") is not None
    ]
    return PageTable(["label", "pairs", "width"], rows, REPEATS_CAPTION) if rows else None
