"""The sections of a survey's report, in order: what each shows, and what a reader should look for in it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from synth2obs.reports import lines_table, tables
from synth2obs.reports.across import surveys_compared
from synth2obs.reports.checks import Arrays
from synth2obs.reports.consistency_tables import consistency_section
from synth2obs.reports.content import Block, Note, PageSection, Paragraph, fixed, percent
from synth2obs.reports.figures import has_examples
from synth2obs.reports.group_table import groups_table
from synth2obs.reports.latent_sections import meaning
from synth2obs.reports.material import Material
from synth2obs.reports.pulls_table import pulls_table
from synth2obs.reports.results import LABELS, has, lookup, measured
from synth2obs.reports.spectrum_figures import EXAMPLES_DRAWN
from synth2obs.reports.star_sections import every_star, not_described
from synth2obs.reports.trend_table import trend_groups_table, trends_table
from synth2obs.reports.verdict_table import verdict_table


def sections(material: Material) -> list[PageSection]:
    """Every section of the page below the headline."""
    return [PageSection(anchor, title, build(material)) for anchor, title, build in SECTIONS]


def _baselines(m: Material) -> list[Block]:
    lead = (
        "A morph earns its place only if it beats simpler corrections measured on the same held-out stars, by more "
        "than the error. Theory is the grid through the instrument's model, with no correction; pixels weighted is "
        "theory again, with every pixel weighted by what theory leaves there, which mends labels by itself; a "
        "constant residual is one spectrum added to every star; a residual linear in labels is the hardest to beat; "
        "marginal alignment matches distributions without regard to labels."
    )
    caption = (
        "Residual at literature labels, per method, with its error (bar). Grey: what noise alone would leave, by "
        "the quoted errors (dark) and by those fitted to the spectra (light); no method can come below the true "
        "noise. Look for the distance between blue (morph) and green (linear)."
    )
    picture = m.picture("baselines", "Anchored rms per method", caption)
    return [Paragraph(lead), picture, tables.methods_table(m.row, m.reasons)]


def _consistency(m: Material) -> list[Block]:
    return consistency_section(m.row, m.reasons)


def _spectra(m: Material) -> list[Block]:
    if not has_examples(m.arrays):
        return [m.missing("examples", "Example stars", "the evaluation kept no spectra of examples")]
    stars = min(EXAMPLES_DRAWN, len(m.arrays["example_id"]))
    blocks: list[Block] = [
        Paragraph(
            "Held-out stars, in the rest frame and divided by the fitted continuum. Theory and morph have "
            "the same labels, taken from the literature; neither has seen the star."
        )
    ]
    blocks += [
        m.picture(f"spectrum_{k + 1}", _star(m.arrays, k), _star_caption(m.arrays, k)) for k in range(stars)
    ]
    close = (
        f"{_star(m.arrays, 0)} in its strong lines; dotted lines mark their vacuum wavelengths. Look at the "
        "depth and the wings: a morph that only scales the continuum would leave the orange shape in place."
    )
    return [*blocks, m.picture("strong_lines", "Strong lines", close)]


def _star(arrays: Arrays, star: int) -> str:
    return str(arrays["example_id"][star])


def _star_caption(arrays: Arrays, star: int) -> str:
    labels = ""
    if has(arrays, "example_labels"):
        pairs = zip(LABELS.values(), arrays["example_labels"][star], strict=True)
        shown = [f"{name} {_value(value, unit, digits)}" for (name, unit, digits), value in pairs]
        labels = f"{', '.join(shown)} (literature). "
    rms = [
        _rms(arrays["example_observed"][star] - arrays[f"example_{model}"][star])
        for model in ("theory", "morph")
    ]
    return (
        f"{labels}Residual rms {percent(rms[0])} % with theory, {percent(rms[1])} % with the morph. Top: "
        "observed (black), theory (orange), morph (blue). Bottom: observed minus model; the grey band is ±1 "
        "σ of the noise. Look for orange features that repeat from star to star and are absent in blue."
    )


def _value(value: float, unit: str, digits: int) -> str:
    return f"{fixed(float(value) if np.isfinite(value) else None, digits)} {unit}"


def _rms(residual: Any) -> float | None:
    finite = residual[np.isfinite(residual)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else None


def _by_wavelength(m: Material) -> list[Block]:
    residual = (
        "Anchored residual over all test stars. Bold curves are medians in 90 bins, thin ones single "
        "pixels; the dashed line at χ² = 1 is what noise alone would give. Look for wavelengths where blue "
        "does not leave orange: there the morph has learnt nothing."
    )
    stars = (
        "χ² per pixel of each test star. Left: a star below the diagonal is fitted better after the morph. "
        "Right: χ² that grows with signal to noise betrays an error of the model, not of the noise."
    )
    return [
        m.picture("by_wavelength", "Residual by wavelength", residual),
        m.picture("chi2_of_stars", "χ² of the test stars", stars),
    ]


GAP_CAPTION = (
    "Gap at the survey's median star (blue) with its ±2 σ posterior band; morph and gap together (orange). "
    "Negative: the stars are darker than theory. Letters name the deepest lines: the element that best explains one, "
    "the strong line or band it lies in (IS: interstellar, ⊕: the Earth's atmosphere), or ?. Look for narrow features "
    "well outside the band: these are lines; broad waves are continuum."
)
SLOPES_CAPTION = (
    "How the gap changes along each quantity it depends on. Look for lines that occur in one panel only."
)


def _gap(m: Material) -> list[Block]:
    rms, error = measured(m.row, "gap", "rms"), measured(m.row, "gap", "rms_error")
    within = "" if error is None else f" ± {percent(error)}"
    size = "" if rms is None else f" Its rms is {percent(rms)}{within} %."
    both = measured(m.row, "gap", "difference_rms")
    more = "" if both is None else f" Morph and gap together change theory by {percent(both)} % rms."
    lead = (
        "The gap is what the survey's stars show and the theory, even morphed, cannot say: missing or wrong "
        f"lines, broad features, artefacts of the pipeline.{size}{more}{_features(m.row)}"
    )
    blocks: list[Block] = [Paragraph(lead), m.picture("gap", "The gap", GAP_CAPTION)]
    if "gap_slopes" in m.pictures:
        blocks.append(m.picture("gap_slopes", "Slopes of the gap", SLOPES_CAPTION))
    telluric = lines_table.telluric_table(m.row)
    return [*blocks, _lines(m), *([] if telluric is None else [telluric])]


def _features(row: Any) -> str:
    """With how many functions of labels it makes do."""
    used, most = (measured(row, "gap", key) for key in ("features", "most_features"))
    if used is None or most is None or used == most:
        return ""
    kind = "It is the same for all stars" if used == 1 else f"It makes do with {used:.0f} functions of labels"
    return (
        f" {kind}, though {most:.0f} were allowed: held-out spectra do not ask for more, or so few stars would know "
        "them so badly that labels scatter by it."
    )


def _lines(m: Material) -> Block:
    if lookup(m.row, "gap", "lines") == []:
        return Note("No line of the gap is significant.")
    return lines_table.lines_table(m.row) or m.missing("gap.lines", "Lines of the gap")


def _latents(m: Material) -> list[Block]:
    caption = (
        "First two principal components of the stars' latents, coloured by literature label (hollow: "
        "unknown), over the theoretical grid in grey. Look for smooth colour gradients, which mean that the "
        "latents carry labels, and for stars off the grey cloud, which lie where theory has no spectrum."
    )
    shift, jacobian = measured(m.row, "morph", "latent_shift_rms"), measured(m.row, "morph", "jacobian_rms")
    text = (
        f"The morph moves latents by {fixed(shift, 3)} rms in units of the grid's own spread and departs "
        f"from the identity by {fixed(jacobian, 3)} rms in its Jacobian; both are 0 for a morph that does "
        "nothing."
    )
    if shift == 0.0 and jacobian == 0.0:
        text = "Latents are not morphed: what theory does not say is the gap's alone."
    known = shift is not None or jacobian is not None
    return [Paragraph(text)] * known + [m.picture("latents", "Latents", caption)]


def _labels(m: Material) -> list[Block]:
    caption = (
        "Labels fitted with theory (orange, open) and with the morph (blue) against the literature, on "
        "held-out stars. The lower rows are differences; dashed lines are biases. Look for trends: a slope "
        "in a lower row is a bias that depends on the star, which a single number hides. The literature's "
        "own errors are part of every scatter."
    )
    blocks: list[Block] = [m.picture("label_recovery", "Labels before and after", caption)]
    if "kiel" in m.pictures:
        blocks.insert(0, m.picture("kiel", "Kiel diagram", KIEL_CAPTION))
    if "pulls" in m.pictures:
        blocks.append(m.picture("pulls", "Quoted errors", PULLS_CAPTION))
    found = (pulls_table(m.row), groups_table(m.row), trends_table(m.row), trend_groups_table(m.row))
    return [*blocks, *(table for table in found if table is not None)]


KIEL_CAPTION = (
    "Test stars by the literature (left, where known) and fitted with the morph (right), coloured by [Fe/H]; thin "
    "lines lead from the literature to the fit, crosses are stars with a poor fit or few good pixels. Look for lines "
    "that all lead the same way, and for fits that leave the sequences of dwarfs and giants."
)
PULLS_CAPTION = (
    "Fitted minus literature over the errors of both, by the morph (blue) and by theory with weighted pixels (orange), "
    "and the normal distribution that right errors give (black). Wider: errors are too small. Aside: a bias."
)


def _verdict(m: Material) -> list[Block]:
    found = lookup(m.metrics, "verdict")
    if found is None:
        return [m.missing("verdict", "Verdict", "thresholds are those of a training; this page has none")]
    lead = (
        "Every number against its threshold in the run's configuration; one standard error is forgiven. Only a run "
        "that passes becomes the registry's champion by itself. A verdict is no more than its checks: it does not "
        "know what is not identified."
    )
    return [Paragraph(lead), verdict_table(found, m.survey)]


def _surveys(m: Material) -> list[Block]:
    return surveys_compared(m.metrics, m.survey) or [Note("There is no other survey in this run.")]


def _instrument(m: Material) -> list[Block]:
    caption = (
        "Extra scatter: what the quoted errors do not explain, fitted per pixel. Line spread: its width, "
        "fitted (solid, ±1 σ) and as catalogued (dashed). Wavelength distortion: by how much lines lie too far "
        "to the red, without a constant, which is the stars' own (blue, ±1 σ; level at 0 where none is probable), "
        "and the windows that say so (black). Fitted velocities: those of the test stars. Look "
        "for scatter that rises in strong lines (theory), at the ends (flux calibration) or in telluric "
        "bands. A panel without numbers is left out."
    )
    return [
        m.picture("instrument", "Noise, line spread and wavelengths", caption),
        tables.instrument_table(m.row),
    ]


def _same_star(m: Material) -> list[Block]:
    other = lookup(m.row, "same_star", "with")
    if not measured(m.row, "same_star", "n"):
        return [
            m.missing(
                "same_star", "Same star in two telescopes", "no star was observed by two of the surveys"
            )
        ]
    text = (
        f"Stars observed by both {m.survey} and {other or 'another survey'}: the spectrum of one, carried "
        "through the shared latent into the other's pixels, against what the other observed. If the "
        "telescope is truly taken out, only noise remains and both give the same labels."
    )
    return [Paragraph(text), tables.same_star_table(m.row)]


def _placebo(m: Material) -> list[Block]:
    if lookup(m.metrics, "placebo") is None:
        return [m.missing("placebo", "Placebo")]
    n = measured(m.metrics, "placebo", "n")
    count = "Grid spectra" if n is None else f"{int(n)} grid spectra"
    text = (
        f"{count} with this kind of noise and another distribution of labels, treated as if they were a "
        "survey. There is no gap to find; what is found nevertheless is the method's own error, and a real "
        "result must exceed it."
    )
    return [Paragraph(text), tables.placebo_table(m.metrics, m.row)]


def _decoder(m: Material) -> list[Block]:
    if lookup(m.metrics, "decoder") is None:
        return [m.missing("decoder", "Decoder")]
    text = (
        "How closely the shared decoder reproduces theoretical spectra that it was not trained on. A gap "
        "smaller than this cannot be claimed."
    )
    return [Paragraph(text), tables.decoder_table(m.metrics)]


SECTIONS: list[tuple[str, str, Callable[[Material], list[Block]]]] = [
    ("verdict", "Verdict", _verdict),
    ("surveys", "The surveys of the run", _surveys),
    ("baselines", "Against the baselines", _baselines),
    ("consistency", "Without literature labels", _consistency),
    ("spectra", "Spectra of example stars", _spectra),
    ("stars", "Every test star", every_star),
    ("flagged", "Stars to beware of", not_described),
    ("wavelength", "Residual and χ² by wavelength", _by_wavelength),
    ("gap", "The gap", _gap),
    ("latents", "Latent space", _latents),
    ("meaning", "What the latents mean", meaning),
    ("labels", "Label recovery", _labels),
    ("instrument", "Noise, line spread and wavelengths", _instrument),
    ("same-star", "Same star in two telescopes", _same_star),
    ("placebo", "Placebo", _placebo),
    ("decoder", "Decoder", _decoder),
]
"""Anchor, title and content of every section, in order."""
