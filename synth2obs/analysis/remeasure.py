"""The gap between a trained bridge's theory and any spectra, measured anew."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.attribution import AttributedLine
from synth2obs.analysis.bare import bare, with_survey
from synth2obs.analysis.star_lines import star_lines
from synth2obs.analysis.survey_gap import (
    LINE_SIGMA,
    gap_floor,
    gap_lines,
    gap_size,
    line_width,
    survey_gap,
    typical_labels,
)
from synth2obs.analysis.systematic import believable
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.shown import Shown, Summary, with_error
from synth2obs.core.spectra import Spectra
from synth2obs.io.strong_lines import STRONG_LINES, read_strong_lines
from synth2obs.io.tables import as_table
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import refine_gap, teachers
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synth2obs.analysis.line_overlay.listed import Listed
    from synth2obs.synthesis.overlay import Overlay

ALL = 100_000
"""More lines than a gap has."""

FEWEST = 8
"""Stars below which a gap cannot be told from the stars' own peculiarities."""

LINE_COLUMNS = {
    "wavelength": float,
    "depth": float,
    "depth_error": float,
    "equivalent_width": float,
    "equivalent_width_error": float,
    "significance": float,
    "element": str,
    "probability": float,
    "runner_up": str,
    "alternatives": str,
    "change": float,
    "unexplained": float,
    "note": str,
}
"""Fields of a line that its table has, and what they are."""

LINE_UNITS = {
    "wavelength": "Angstrom",
    "equivalent_width": "mAngstrom",
    "equivalent_width_error": "mAngstrom",
    "change": "dex",
}


SHOWN = 5
"""Lines that a measurement shows of itself."""


@dataclass(frozen=True, repr=False)
class GapMeasurement(Shown):
    """The gap at the median star of a sample. L wavelengths.

    Args:
        wavelength: Vacuum Å, rest frame, shape (L,).
        gap, error: What the survey sees minus theory, in units of the continuum, and its posterior σ.
        lines: The deepest lines, deepest first; errors hold those of emulator and continuum.
        rms, rms_error: Over wavelengths.
        stars: Spectra used.
        overlay: Corrections of the line lists that were given, or None.
        listed: What the embedded grid's line list has at every line, a text each.
    """

    wavelength: NDArray[np.float64]
    gap: NDArray[np.float64]
    error: NDArray[np.float64]
    lines: list[AttributedLine]
    rms: float
    rms_error: float
    stars: int
    overlay: "Overlay | None" = None
    listed: list[str] = field(default_factory=list)

    def summary(self) -> Summary:
        """What is shown of it."""
        found = self.lines[:SHOWN]
        rows = {
            "rms": f"{with_error(100.0 * self.rms, 100.0 * self.rms_error)} % of the continuum",
            "wavelength": f"{self.wavelength[0]:.1f} to {self.wavelength[-1]:.1f} Å, vacuum, rest frame",
            "lines": f"{len(self.lines)}; depth above 0: stars absorb more than theory",
        }
        rows |= {f"{line.wavelength:.2f} Å": _briefly(line) for line in found}
        if self.overlay is not None:
            rows["overlay"] = f"{len(self.overlay.rows)} corrections of log gf"
        return Summary(f"Gap of {self.stars} stars", rows, ".plot(wave=(low, high)), .lines, .gap, .error")

    def plot(self, wave: tuple[float, float] | None = None) -> "Figure":
        """The gap with its posterior σ and the elements of its strongest lines.

        Args:
            wave: First and last wavelength in vacuum Å; all if left out.

        Raises:
            DataError: For a range without wavelengths.
        """
        from synth2obs.analysis.plots import plot_gap

        return plot_gap(self, wave)


def _briefly(line: AttributedLine) -> str:
    named = f"{line.element} ({line.probability:.2f})" if line.probability > 0.5 else line.note or "unnamed"
    return f"depth {with_error(line.depth, line.depth_error)}, {named}"


@torch.no_grad()
def remeasure(
    bridge: Bridge, spectra: Spectra, survey: str, lines: int = 30, listed: "Listed | None" = None
) -> GapMeasurement:
    """Posterior of the gap from the given spectra, at the labels that the bridge's own gap gives them.

    Args:
        bridge: Trained.
        spectra: Of the survey.
        survey: Its name.
        lines: Most lines that are named.
        listed: Lines of line lists, which say what elements have lines where, and are corrected.

    Raises:
        DataError: If there are fewer than 8 spectra with good pixels, or none that the bridge explains.
    """
    spectra = spectra.take(np.flatnonzero((np.asarray(spectra.ivar) > 0).any(axis=1)))
    if len(spectra) < FEWEST:
        raise DataError(
            f"{len(spectra)} spectra are too few for a gap",
            field="spectra",
            remedy=f"give at least {FEWEST} with good pixels",
        )
    seen = prepare(bridge, survey, spectra)
    fit = fit_labels(bridge, seen, Options(refresh=2))
    model = bare(bridge.survey(survey), alignment="")
    model.morph.load_state_dict(bridge.survey(survey).morph.state_dict())
    model.gap.load_state_dict(bridge.survey(survey).gap.state_dict())
    fresh = with_survey(bridge, survey, model)
    refine_gap(fresh, seen, fit.x, fit.rv)
    labels, grid = typical_labels(fresh, fit), bridge.decoder_of(survey).rest_wavelength.numpy()
    found = survey_gap(fresh, survey, labels)
    followed = star_lines(bridge, seen, fit)
    floor, overlay = gap_floor(fresh, survey, labels, found), None
    if listed is None:
        named = gap_lines(fresh, survey, labels, found, lines, followed, floor=floor)
    else:
        from synth2obs.analysis.line_overlay.overlay import survey_overlay

        named = gap_lines(fresh, survey, labels, found, ALL, followed, listed)
        overlay = survey_overlay(fresh, survey, _teachers(fresh, survey, fit), named, listed)
        named = believable(named, floor, grid, LINE_SIGMA)[:lines]
    sigma, names = line_width(fresh, survey) / FWHM_PER_SIGMA, read_strong_lines(STRONG_LINES)
    return GapMeasurement(
        grid,
        found["gap_mean"],
        found["gap_error"],
        named,
        *gap_size(found),
        len(spectra),
        overlay,
        [names.near(line.wavelength, sigma) for line in named],
    )


def _teachers(bridge: Bridge, survey: str, fit: LabelFit) -> NDArray[np.float64]:
    """Labels, in their units, of the stars that shape a gap, shape (N, K)."""
    kept = teachers(bridge, fit, bridge.survey(survey).gap.config.outlier)
    return np.asarray(bridge.scale.inverse(fit.x[kept]).numpy(), float)


def gap_table(measured: GapMeasurement) -> Any:
    """The gap's spectrum as an `astropy.table.Table`, one row a wavelength."""
    columns = {"wavelength": measured.wavelength, "gap": measured.gap, "gap_error": measured.error}
    return as_table(columns, {"wavelength": "Angstrom"}, medium="vacuum")


def line_table(measured: GapMeasurement) -> Any:
    """The gap's lines as an `astropy.table.Table`, one row a line, deepest first."""
    columns: dict[str, NDArray[Any]] = {
        name: np.array([getattr(line, name) for line in measured.lines], kind)
        for name, kind in LINE_COLUMNS.items()
    }
    columns["listed"] = np.array(measured.listed, str)
    return as_table(columns, LINE_UNITS, medium="vacuum")
