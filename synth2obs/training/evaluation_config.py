"""Settings of an evaluation and of what is asked of its numbers."""

from typing import Annotated

from pydantic import AfterValidator, Field

from synth2obs.core.config import Section
from synth2obs.core.constants import LITERATURE_ERRORS
from synth2obs.io.strong_lines import STRONG_LINES


class LiteratureErrors(Section):
    """Errors of literature labels of a shard that gives none; defaults of FGK stars (Prugniel et al. 2011)."""

    teff: float = Field(default=LITERATURE_ERRORS["teff"], ge=0, description="K")
    logg: float = Field(default=LITERATURE_ERRORS["logg"], ge=0, description="dex")
    fe_h: float = Field(default=LITERATURE_ERRORS["fe_h"], ge=0, description="dex")


class EvaluationConfig(Section):
    """Stage F: held-out stars, baselines, placebo."""

    examples: int = Field(default=4, ge=1, description="stars shown one by one")
    stars: int = Field(
        default=1000,
        ge=1,
        description="most test stars whose spectra are kept for the report, those of the worst χ² first",
    )
    lines: int = Field(default=15, ge=1, description="lines of the gap that are listed")
    placebo_scale: float = Field(default=250.0, gt=0, description="signal to noise per pixel of the placebo")
    strong_lines: str = Field(
        default=STRONG_LINES,
        description="table of lines (wavelength in vacuum Å, species, log_strength) named beside those of the gap",
    )
    literature_errors: LiteratureErrors = LiteratureErrors()


def _in_order(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] <= pair[1]:
        raise ValueError(f"the first number warns and the second fails, and must not be smaller: got {pair}")
    return pair


Limits = Annotated[tuple[float, float], AfterValidator(_in_order)]
"""What warns, and what fails."""


class ThresholdsConfig(Section):
    """Numbers beyond which a survey's verdict is WARN and FAIL; one standard error is forgiven."""

    residual: Limits = Field(default=(0.95, 1.0), description="morph's anchored rms over theory's")
    baseline: Limits = Field(default=(1.05, 1.2), description="morph's anchored rms over the best baseline's")
    teff_bias: Limits = Field(default=(100.0, 200.0), description="size of the morph's bias in Teff, K")
    logg_bias: Limits = Field(default=(0.2, 0.4), description="size of the morph's bias in log g, dex")
    fe_h_bias: Limits = Field(default=(0.15, 0.3), description="size of the morph's bias in [Fe/H], dex")
    bias_growth: Limits = Field(
        default=(0.25, 0.5),
        description="growth of any label's bias over theory's with weighted pixels, in units of the labels' scatter",
    )
    scatter_growth: Limits = Field(
        default=(1.15, 1.5), description="any label's scatter over that by theory with weighted pixels"
    )
    pull_width: Limits = Field(
        default=(2.0, 4.0), description="robust width of any label's pulls, the literature's errors included"
    )
    placebo_gap: Limits = Field(default=(0.25, 0.5), description="gap of the placebo over the survey's")
    placebo_bias: Limits = Field(
        default=(0.1, 0.3), description="any label's bias on placebo, in units of the labels' scatter"
    )
    chi2: Limits = Field(
        default=(2.0, 4.0), description="χ² per pixel with the fitted noise, or its inverse if that is larger"
    )
    flagged: Limits = Field(
        default=(0.15, 0.4), description="share of test stars with a poor fit or few good pixels"
    )
    free_chi2: Limits = Field(
        default=(1.0, 1.1),
        description="morph's χ² over theory's, labels fitted, with the same variance of every pixel",
    )
    halves: Limits = Field(
        default=(1.25, 2.5),
        description="width of any label's differences between two halves of spectra over their errors, or its inverse "
        "if that is larger",
    )
    repeats: Limits = Field(
        default=(1.25, 2.5),
        description="width of any label's differences between spectra of the same star over their errors",
    )
    unlabelled: Limits = Field(
        default=(0.0, 1.0),
        description="1 where no test star has literature labels inside the grid, else 0; [1, 1] lets it pass",
    )
