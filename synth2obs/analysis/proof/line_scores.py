"""Scores of a gap: whether it is where lines are missing, as deep as they are, and whose they are."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.attribution import AttributedLine
from synth2obs.analysis.bootstrap import Score, Statistic, bootstrap
from synth2obs.analysis.proof.element_scores import element_scores
from synth2obs.analysis.proof.statistics import average_precision, share
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.star_lines import StarLines
from synth2obs.analysis.survey_gap import Arrays, gap_lines, survey_gap
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.models.bridge import Bridge

Floats = NDArray[np.float64]

CHUNKS = 30
"""Pieces of the wavelength range that the bootstrap of cells draws."""

MANY = 100_000
"""More lines than there are."""


@dataclass(frozen=True)
class Change:
    """What a method adds to theory, mean over the held-out stars at their true labels, without a posterior.

    Args:
        wavelength: Of the cells in vacuum Å, shape (L,).
        mean: As pixels see it, at the cells, shape (L,); NaN beyond the survey's pixels.
        scatter: Its standard deviation between stars, shape (L,).
        fwhm: Of the survey's lines in Å.
    """

    wavelength: Floats
    mean: Floats
    scatter: Floats
    fwhm: float

    @property
    def significance(self) -> Floats:
        """|mean| over the scatter between stars, which is taken to be at least its median; 0 where it is not known."""
        floor = np.nanmedian(self.scatter)
        spread = np.maximum(np.nan_to_num(self.scatter), max(float(floor), 1e-12))
        return np.asarray(np.abs(np.nan_to_num(self.mean)) / spread)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Cells that the survey's pixels cover."""
        return np.isfinite(self.mean)


@dataclass(frozen=True)
class Found:
    """What a method says of a survey's gap, mean over the held-out stars at their true labels.

    Args:
        wavelength: Of the cells in vacuum Å, shape (L,).
        gap: `survey_gap`'s arrays, (L,) each.
        seen: The gap as pixels see it, at the cells, shape (L,): Δ itself is what pixels have yet to integrate.
        lines: All that are above the library's threshold.
        fwhm: Of the survey's lines in Å.
        pixels: Native pixels that the gap covers.
    """

    wavelength: Floats
    gap: Arrays
    seen: Floats
    lines: list[AttributedLine]
    fwhm: float
    pixels: int

    @property
    def significance(self) -> Floats:
        """|gap| over its posterior σ; 0 where it is not known."""
        mean, error = np.nan_to_num(self.gap["gap_mean"]), np.nan_to_num(self.gap["gap_error"])
        return np.divide(np.abs(mean), error, out=np.zeros_like(mean, float), where=error > 0)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Cells that the survey's pixels cover."""
        return np.isfinite(self.gap["gap_mean"])


@torch.no_grad()
def find(bridge: Bridge, survey: str, truth: Truth, stars: StarLines | None = None) -> Found:
    """The gap of a bridge, and its lines with their elements at the median held-out star.

    Args:
        bridge: A method's.
        survey: Whose gap.
        truth: Labels of the held-out stars.
        stars: In which lines are followed.
    """
    names = list(truth.label_names)
    labels = truth.held_labels[:, [names.index(name) for name in bridge.labels.names]]
    model, gap = bridge.survey(survey), survey_gap(bridge, survey, labels)
    lines = gap_lines(bridge, survey, np.median(labels, axis=0, keepdims=True), gap, MANY, stars)
    fwhm = FWHM_PER_SIGMA * float(model.lsf_sigma.median())
    wavelength = np.asarray(bridge.decoder_of(survey).rest_wavelength.numpy(), float)
    seen = _through_pixels(bridge, survey, gap["gap_mean"])
    return Found(wavelength, gap, seen, lines, fwhm, len(model.wavelength))


def mean_change(bridge: Bridge, survey: str, added: Tensor) -> Change:
    """Mean over stars of what a method adds to theory, at the cells of the rest grid.

    Args:
        bridge: Whose grid and pixels.
        survey: In whose pixels.
        added: Shape (N, P), NaN where theory has no pixels.
    """
    model, grid = bridge.survey(survey), np.asarray(bridge.decoder_of(survey).rest_wavelength.numpy(), float)
    rows = added.double().numpy()
    covered = np.isfinite(rows).all(0)
    pixels = model.true_wavelength.numpy()[covered]
    mean, scatter = (
        np.interp(grid, pixels, part[covered], np.nan, np.nan) for part in (rows.mean(0), rows.std(0))
    )
    return Change(grid, mean, scatter, FWHM_PER_SIGMA * float(model.lsf_sigma.median()))


def _through_pixels(bridge: Bridge, survey: str, gap: Floats) -> Floats:
    """A gap on the rest grid (L,) integrated over the survey's pixels, at the cells of the grid again."""
    rest = torch.from_numpy(np.nan_to_num(gap)[None]).float()
    still = torch.zeros(1, dtype=torch.float64)
    native = bridge.instrument(survey)(rest, still, 0.0)[0].numpy()
    pixels = bridge.survey(survey).true_wavelength.numpy()
    return np.interp(bridge.decoder_of(survey).rest_wavelength.numpy(), pixels, native)


def windows(truth: Truth, fwhm: float) -> tuple[Floats, Floats]:
    """First and last wavelength of the grid's lines, widened by the survey's line spread, shape (W,) each."""
    middle = 0.5 * (truth.line_start + truth.line_stop)
    half = 0.5 * np.hypot(truth.line_stop - truth.line_start, fwhm)
    return middle - half, middle + half


def line_scores(found: Found, truth: Truth, draws: int) -> dict[str, Score]:
    """Everything about lines.

    Returns:
        ``false_lines`` per 1000 native pixels, without those beside a missing line, unless theory may lack more than
        is listed; ``depth_ratio`` and ``depth_ratio_whole`` (found over true) and ``gap_pull`` where the true gap is
        known; where lines are missing, ``auprc_cells``, ``auprc_lines``, and all of `element_scores`; and where another
        survey has lines that this one has not, ``lines_elsewhere`` and ``depth_elsewhere``.
    """
    start, stop = (ends[truth.line_removed] for ends in windows(truth, found.fwhm))
    place = np.array([line.wavelength for line in found.lines])
    scores = {}
    if truth.listed:
        false = float((~_within(place, start - found.fwhm, stop + found.fwhm)).sum())
        rate = 1000.0 / found.pixels
        scores["false_lines"] = Score(rate * false, rate * max(1.0, false) ** 0.5)
    if truth.gap.size:
        inside = _within(found.wavelength, start, stop) if len(start) else np.ones_like(found.known)
        scores |= _depth(found, truth, inside & found.known, draws) | _coverage(found, truth, draws)
    if truth.line_elsewhere.any():
        scores |= _elsewhere(found, truth, place, draws)
    if len(start):
        hit = (place[:, None] >= start) & (place[:, None] <= stop)
        removed = truth.line_removed
        depth = truth.line_depth[:, removed].mean(0)
        scores |= _precision(found, truth, draws)
        scores |= element_scores(found.lines, truth.line_element[removed], depth, hit, draws)
    return scores


def change_scores(found: Change, truth: Truth, draws: int) -> dict[str, Score]:
    """Scores of lines that ask for no posterior: ``depth_ratio_whole``, ``auprc_cells``, ``auprc_lines``.

    Args:
        found: What a method adds to theory.
        truth: With the true gap; without one there is no score.
        draws: Bootstrap samples.
    """
    if not truth.gap.size:
        return {}
    start, stop = (ends[truth.line_removed] for ends in windows(truth, found.fwhm))
    inside = _within(found.wavelength, start, stop) if len(start) else np.ones_like(found.known)
    scores = {"depth_ratio_whole": _ratio(found, found.mean, truth, inside & found.known, draws)}
    if truth.line_elsewhere.any():
        scores["depth_elsewhere"] = _depth_elsewhere(found, found.mean, truth, draws)
    return scores | (_precision(found, truth, draws) if len(start) else {})


def _elsewhere(found: Found, truth: Truth, place: Floats, draws: int) -> dict[str, Score]:
    """What is found of the lines that another survey has in this one's place, those beside its own left out."""
    start, stop = alone_elsewhere(truth, found.fwhm)
    given = np.asarray(((place[:, None] >= start) & (place[:, None] <= stop)).any(0))
    depth = _depth_elsewhere(found, found.gap["difference_mean"], truth, draws)
    return {"lines_elsewhere": share(given, np.arange(len(given)), draws), "depth_elsewhere": depth}


def _depth_elsewhere(found: Found | Change, values: Floats, truth: Truth, draws: int) -> Score:
    """Slope of values (L,) against the other survey's true gap where only that one has lines."""
    inside = _within(found.wavelength, *alone_elsewhere(truth, found.fwhm)) & found.known
    return _ratio(found, values, replace(truth, gap=truth.gap_elsewhere), inside, draws)


def alone_elsewhere(truth: Truth, fwhm: float) -> tuple[Floats, Floats]:
    """Windows of lines that another survey has, without those beside a line that this one has, shape (W,) each."""
    start, stop = windows(truth, fwhm)
    own = truth.line_removed
    beside = (start[:, None] < stop[own] + fwhm) & (stop[:, None] > start[own] - fwhm)
    chosen = truth.line_elsewhere & ~beside.any(1)
    return start[chosen], stop[chosen]


def _precision(found: Found | Change, truth: Truth, draws: int) -> dict[str, Score]:
    """AUPRC over cells, and over the grid's lines with the highest score of their cells.

    Cells and lines beside a missing line, within the survey's line width, count for neither side.
    """
    known, height = found.known, found.significance
    start, stop = windows(truth, found.fwhm)
    inside = (found.wavelength >= start[:, None]) & (found.wavelength <= stop[:, None]) & known
    reach = start[truth.line_removed] - found.fwhm, stop[truth.line_removed] + found.fwhm
    missing = inside[truth.line_removed].any(0)
    counted = known & (missing | ~_within(found.wavelength, *reach))
    cells, chunk, positive = height[counted], _chunks(int(counted.sum())), missing[counted]
    usable = inside.any(1) & (truth.line_removed | ~_within(truth.line_wavelength, *reach))
    highest, removed = np.where(inside, height, 0.0).max(1)[usable], truth.line_removed[usable]
    return {
        "auprc_cells": bootstrap(lambda rows: average_precision(cells[rows], positive[rows]), chunk, draws),
        "auprc_lines": bootstrap(
            lambda rows: average_precision(highest[rows], removed[rows]), np.arange(len(removed)), draws
        ),
    }


def _within(place: Floats, start: Floats, stop: Floats) -> NDArray[np.bool_]:
    """Whether wavelengths (N,) are in any of some windows, shape (N,)."""
    return np.asarray(((place[:, None] >= start) & (place[:, None] <= stop)).any(1))


def _chunks(cells: int) -> NDArray[np.intp]:
    return np.arange(cells) * CHUNKS // max(cells, 1)


def _depth(found: Found, truth: Truth, inside: NDArray[np.bool_], draws: int) -> dict[str, Score]:
    """Found over true gap in some cells, both as pixels see them."""
    both = {"depth_ratio": found.seen, "depth_ratio_whole": found.gap["difference_mean"]}
    return {name: _ratio(found, values, truth, inside, draws) for name, values in both.items()}


def _ratio(
    found: Found | Change, values: Floats, truth: Truth, inside: NDArray[np.bool_], draws: int
) -> Score:
    """Slope of a line through zero of values (L,) against the true gap in some cells."""
    true = np.interp(found.wavelength, truth.gap_wavelength, truth.gap)[inside]
    chunk = _chunks(len(found.wavelength))[inside]
    return bootstrap(_through_zero(np.nan_to_num(values[inside]), true), chunk, draws)


def _coverage(found: Found, truth: Truth, draws: int) -> dict[str, Score]:
    """Share of all cells whose true gap is within one posterior σ of morph and gap together."""
    true = np.interp(found.wavelength, truth.gap_wavelength, truth.gap)
    off = np.abs(found.gap["difference_mean"] - true)
    inside = (off < found.gap["gap_error"])[found.known]
    chunk = _chunks(len(found.wavelength))[found.known]
    return {"gap_pull": bootstrap(lambda rows: float(inside[rows].mean()), chunk, draws)}


def _through_zero(found: Floats, true: Floats) -> Statistic:
    return lambda rows: float((found[rows] * true[rows]).sum() / max((true[rows] ** 2).sum(), 1e-30))
