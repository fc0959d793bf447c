"""The scores of a method: what they are called, and what would be perfect."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A column of the tables.

    Args:
        title: What a reader sees.
        unit: Of the value; ``%`` shows a share in percent.
        digits: Decimals.
        ideal: The value of a perfect method; None where there is none.
        meaning: A sentence.
    """

    title: str
    unit: str
    digits: int
    ideal: float | None
    meaning: str


def _label(name: str, title: str, unit: str, digits: int) -> dict[str, Measure]:
    return {
        f"{name}_bias": Measure(f"{title} bias", unit, digits, 0.0, "median of fitted minus true"),
        f"{name}_scatter": Measure(f"{title} scatter", unit, digits, 0.0, "1.4826 MAD of fitted minus true"),
        f"{name}_pull": Measure(
            f"{title} within 1 σ", "%", 0, 0.683, "share of stars whose error bar has the truth"
        ),
    }


MEASURES: dict[str, Measure] = {
    "gap_explained": Measure(
        "gap explained",
        "%",
        1,
        1.0,
        "share of theory's χ² beyond the noise that is gone, all labels held at truth",
    ),
    "held_wavelengths": Measure(
        "explained where labels did not look",
        "%",
        1,
        1.0,
        "the same in each third of the range, at labels that were fitted to the other two; theory's at its own",
    ),
    "c2st": Measure(
        "told from stars (AUC)",
        "",
        3,
        0.5,
        "of a cross-validated classifier of residuals, stars against what the method predicts with fresh noise; "
        "plain theory's is its power",
    ),
    "cycle_error": Measure(
        "there and back",
        "%",
        2,
        0.0,
        "rms of theory's spectra after the way to the survey and back, minus themselves",
    ),
    **_label("teff", "Teff", "K", 0),
    **_label("logg", "log g", "dex", 3),
    **_label("fe_h", "[Fe/H]", "dex", 3),
    "auprc_cells": Measure(
        "AUPRC, cells", "", 3, 1.0, "of |gap| / σ in cells of missing lines against all others"
    ),
    "auprc_lines": Measure("AUPRC, lines", "", 3, 1.0, "of the same over the grid's lines"),
    "depth_ratio": Measure(
        "gap / true depth", "", 2, 1.0, "slope in cells of missing lines, the gap's own term"
    ),
    "depth_ratio_whole": Measure(
        "difference / true depth", "", 2, 1.0, "the same with morph and gap together"
    ),
    "gap_pull": Measure(
        "gap within 1 σ", "%", 0, 0.683, "share of cells whose true gap is within the posterior's σ"
    ),
    "lines_found": Measure("missing lines found", "%", 0, 1.0, "share above the threshold of the library"),
    "element_top1": Measure(
        "right element", "%", 0, 1.0, "share of the found whose best element is the true one"
    ),
    "element_top1_deep": Measure(
        "right element, deep lines", "%", 0, 1.0, "the same among lines that are deeper than 5 % in the mean"
    ),
    "element_top3": Measure(
        "right element among three",
        "%",
        0,
        1.0,
        "share of the found whose true element is one of the best three",
    ),
    "element_stated": Measure(
        "probability stated", "%", 0, None, "mean of the best element's; as large as the share of right ones"
    ),
    "element_brier": Measure(
        "Brier score", "", 3, 0.0, "mean square of the best element's probability minus whether it is right"
    ),
    "false_lines": Measure(
        "false lines per 1000 px", "", 1, 0.0, "lines above the threshold where theory lacks none"
    ),
    "lines_elsewhere": Measure(
        "other survey's lines given to it",
        "%",
        0,
        0.0,
        "share above the threshold of missing lines that only the other survey has",
    ),
    "depth_elsewhere": Measure(
        "difference / other survey's depth", "", 3, 0.0, "slope in the cells of these, morph and gap together"
    ),
    "seconds": Measure(
        "seconds",
        "",
        0,
        None,
        "to make the method from the trained bridge and to fit the held-out stars twice",
    ),
}
"""Every score by its key, in the order of the tables."""
