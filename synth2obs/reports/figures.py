"""Every figure of a survey's report, by name."""

from collections.abc import Callable

from matplotlib.figure import Figure

from synth2obs.reports import kiel_figure, label_figures, latent_figures, spectrum_figures, star_figures
from synth2obs.reports.checks import Arrays
from synth2obs.reports.results import Metrics, has
from synth2obs.reports.style import in_house_style

DRAW: dict[str, Callable[[Metrics, Arrays, str], Figure | None]] = {
    "baselines": lambda metrics, arrays, survey: star_figures.baselines(metrics, survey),
    "strong_lines": lambda metrics, arrays, survey: (
        spectrum_figures.strong_lines(arrays) if has_examples(arrays) else None
    ),
    "by_wavelength": lambda metrics, arrays, survey: spectrum_figures.by_wavelength(arrays),
    "chi2_of_stars": lambda metrics, arrays, survey: star_figures.chi2_of_stars(arrays),
    "gap": spectrum_figures.gap_spectrum,
    "gap_slopes": lambda metrics, arrays, survey: spectrum_figures.gap_slopes(arrays),
    "latents": lambda metrics, arrays, survey: label_figures.latents(arrays),
    "latent_elements": lambda metrics, arrays, survey: latent_figures.latent_elements(arrays),
    "kiel": lambda metrics, arrays, survey: kiel_figure.kiel(arrays),
    "label_recovery": label_figures.label_recovery,
    "pulls": lambda metrics, arrays, survey: label_figures.pulls(arrays),
    "instrument": star_figures.noise_and_line_spread,
}
"""How each figure is drawn; a function answers None where the evaluation lacks what it needs."""


def has_examples(arrays: Arrays) -> bool:
    """Whether the evaluation kept example stars: their spectra, names and models."""
    return "example_id" in arrays and has(
        arrays, "wavelength", "example_observed", "example_theory", "example_morph"
    )


def figures(metrics: Metrics, arrays: Arrays, survey: str) -> dict[str, Figure]:
    """Draw what can be drawn for one survey; nothing global is changed.

    Args:
        metrics: Contents of ``metrics.json``.
        arrays: Contents of ``evaluation/<survey>.npz``.
        survey: Name of the survey in ``metrics``.

    Returns:
        Figures by name: ``spectrum_1`` … for the first example stars, then the names in `DRAW`.
        A figure whose numbers were not measured is left out.
    """
    drawn: dict[str, Figure] = {}
    with in_house_style():
        if has_examples(arrays):
            for star in range(min(spectrum_figures.EXAMPLES_DRAWN, len(arrays["example_id"]))):
                drawn[f"spectrum_{star + 1}"] = spectrum_figures.star_spectrum(arrays, star)
        for name, draw in DRAW.items():
            figure = draw(metrics, arrays, survey)
            if figure is not None:
                drawn[name] = figure
    return drawn
