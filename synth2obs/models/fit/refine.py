"""One round of the gap: labels through the morph and the gap so far, then the gap's posterior given these labels."""

from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.labels import STELLAR
from synth2obs.models.bridge import Bridge
from synth2obs.models.contracts import GapPosterior
from synth2obs.models.fit.label_slopes import label_slopes, shift_widths, shifted_columns
from synth2obs.models.fit.noise import CLIP, CLIPPED, learn_noise
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.restframe import to_rest
from synth2obs.models.fit.result import Fit, LabelFit
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.survey import SHIFTED, SurveyModel

FLOOR, UNKNOWN = 2e-3, 5e-2
"""Smallest scatter in units of the continuum, and that where no star has a pixel."""

ROUND = Options(steps=6, refresh=1)
"""How labels are fitted between two gaps."""

ROUNDS = 15
"""Steps of the scatter."""

FEWEST = 8
"""Stars below which those outside the grid teach, too: a survey of such stars has no others."""


def learn_weights(
    bridge: Bridge, seen: Observation, fit: LabelFit, rows: Tensor | None = None
) -> dict[str, float]:
    """Set a survey's scatter, weights and noise to what theory and the emulator's error leave unexplained.

    Args:
        bridge: Its model of the survey is changed in place.
        seen: The spectra.
        fit: Their fit.
        rows: Stars that take part; all by default.

    Returns:
        The numbers of the noise by name.
    """
    theory = bridge.theory_variance(seen.survey, fit.x)
    model = bridge.survey(seen.survey)
    update_scatter(bridge, seen, fit, rows, theory)
    model.unexplained.copy_(model.gap.scatter)
    return learn_noise(model, seen, fit, rows, theory)


def update_scatter(
    bridge: Bridge, seen: Observation, fit: Fit, rows: Tensor | None = None, theory: Tensor | None = None
) -> None:
    """Set a survey's scatter to the width of the residuals beyond what is known, on the rest grid; robust.

    Args:
        bridge, seen, fit, rows: As for `learn_weights`.
        theory: Variance of the emulator's error, shape (N, L).
    """
    model = bridge.survey(seen.survey)
    grid = bridge.decoder_of(seen.survey).rest_wavelength
    residual, ivar = to_rest(seen, fit, grid)
    noise = model.noise.variance(ivar, grid.log()).where(ivar > 0, torch.nan)
    if theory is not None:
        noise = noise + theory
    if rows is not None:
        residual, ivar, noise = residual[rows], ivar[rows], noise[rows]
    width = MAD_TO_SIGMA * residual.where(ivar > 0, torch.nan).abs().nanmedian(0).values
    start = (width.square() - noise.nanmedian(0).values).clamp(min=FLOOR**2)
    _set_scatter(bridge, model, _scored(residual, noise, start).nan_to_num(UNKNOWN**2))


def _set_scatter(bridge: Bridge, model: SurveyModel, variance: Tensor) -> None:
    """At least what the decoder leaves of spectra of the grid, which no star need tell."""
    model.gap.scatter.copy_(torch.maximum(variance, bridge.theory_error_on(model.config.layer).remainder))


def _scored(residual: Tensor, noise: Tensor, start: Tensor) -> Tensor:
    """Variance beyond the noise in every cell, by Fisher scoring: stars count with what their noise leaves to see.

    Args:
        residual: Shape (N, L); those beyond some σ count as no more.
        noise: Variance of the noise, shape (N, L); NaN where masked.
        start: Shape (L,); cells that are NaN stay so.
    """
    found = start
    for _ in range(ROUNDS):
        weight = (1.0 / (noise + found)).nan_to_num(0.0)
        excess = (residual.square() * weight).clamp(max=CLIP**2) / CLIPPED - 1.0
        change = (weight * excess).sum(0) / weight.square().sum(0).clamp(min=1e-30)
        found = (found + change).clamp(min=FLOOR**2)
    return found


def rms(fit: Fit) -> Tensor:
    """Root mean square residual of each star in units of the continuum, shape (N,)."""
    return (fit.residual.square().sum(1) / fit.pixels.clamp(min=1)).sqrt()


def refine_gap(bridge: Bridge, seen: Observation, x: Tensor, rv: Tensor) -> tuple[LabelFit, GapPosterior]:
    """Fit labels, then replace the survey's gap and scatter by the posterior given these labels.

    Args:
        bridge: Its model of the survey is changed in place.
        seen: Training stars.
        x, rv: Where their scaled labels and velocities stand.

    Returns:
        The fit, and the posterior.
    """
    fit = fit_labels(bridge, seen, ROUND, x, rv)
    return fit, learn_gap(bridge, seen, fit)


class GapLesson(NamedTuple):
    """What stars teach of a survey's gap, on its rest grid."""

    residual: Tensor  # (N, L) without a gap, in units of the continuum
    ivar: Tensor  # (N, L) of noise and the emulator's error
    features: Tensor  # (N, F)
    kept: Tensor  # (N,) stars that may teach

    def kept_stars(self) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals, inverse variances and features of these."""
        return self.residual[self.kept].double(), self.ivar[self.kept].double(), self.features[self.kept]


def gap_lesson(bridge: Bridge, seen: Observation, fit: LabelFit) -> GapLesson:
    """What these stars teach, given a fit with the survey's gap as it is; arguments as for `refine_gap`.

    Raises:
        DataError: If no star can teach it.
    """
    model = bridge.survey(seen.survey)
    features = bridge.gap_features(seen.survey, fit.x)
    grid = bridge.decoder_of(seen.survey).rest_wavelength
    residual, ivar = to_rest(seen, fit, grid)
    kept = teachers(bridge, fit, model.gap.config.outlier)
    if not bool(kept.any()):
        raise DataError(
            f"none of {len(fit.x)} stars is explained, inside the grid",
            field="spectra",
            remedy="check that they are this survey's, and their errors",
        )
    theory = bridge.theory_variance(seen.survey, fit.x)
    variance = model.noise.variance(ivar, grid.log()) + theory
    weight = torch.where(ivar > 0, 1.0 / variance, 0.0)
    return GapLesson(residual + model.gap(features.float()), weight, features, kept)


def learn_gap(bridge: Bridge, seen: Observation, fit: LabelFit) -> GapPosterior:
    """Replace the survey's gap and scatter by the posterior given labels; arguments as for `refine_gap`.

    Raises:
        DataError: If no star can teach it.
    """
    return taught_gap(bridge, seen, fit, gap_lesson(bridge, seen, fit))


def taught_gap(bridge: Bridge, seen: Observation, fit: LabelFit, lesson: GapLesson) -> GapPosterior:
    """`learn_gap` by what `gap_lesson` made of the same stars."""
    model = bridge.survey(seen.survey)
    slopes = (
        label_slopes(bridge, seen, fit, lesson.ivar, lesson.kept) if model.gap.config.learn_shift else None
    )
    posterior = model.gap.posterior(*lesson.kept_stars(), slopes)
    model.gap.update(posterior)
    _keep_shift(bridge, model, posterior)
    _set_scatter(bridge, model, model.gap.scatter)
    return posterior


def _keep_shift(bridge: Bridge, model: SurveyModel, posterior: GapPosterior) -> None:
    """The shift of a star of the grid's mean labels, in the labels' units."""
    columns = shifted_columns(bridge)
    places = [list(SHIFTED).index(name) for name in columns]
    if not posterior.shift.numel():
        return
    slope = bridge.scale.slope(torch.zeros(len(bridge.labels), dtype=torch.float64))[list(columns.values())]
    unit = shift_widths(bridge) * slope
    error = posterior.shift_covariance.diagonal().view_as(posterior.shift)[:, 0].sqrt()
    model.shift[places] = posterior.shift[:, 0] * unit
    model.shift_error[places] = error * unit.abs()


def refine(bridge: Bridge, seen: Observation, fit: LabelFit) -> LabelFit:
    """All rounds of gap and labels, as many as the gap's settings say.

    Args:
        bridge: Its model of the survey is changed in place.
        seen: Training stars.
        fit: Of these, before the first round.

    Returns:
        The labels of which the last gap is learned.
    """
    learn_gap(bridge, seen, fit)
    for _ in range(bridge.survey(seen.survey).gap.config.iterations - 1):
        fit, _ = refine_gap(bridge, seen, fit.x, fit.rv)
    return fit


def typical(fit: Fit, limit: float) -> Tensor:
    """Stars whose χ² per pixel is below a multiple of the median: binaries and errors must not shape a gap."""
    chi2 = fit.chi2_per_pixel
    return (chi2 < limit * chi2.nanmedian()) & torch.isfinite(chi2)


def inside(bridge: Bridge, x: Tensor) -> Tensor:
    """Scaled labels (N, K) with Teff, log g and [Fe/H] in the grid's range, shape (N,)."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    return torch.from_numpy(~bridge.labels.outside(bridge.scale.inverse(x).numpy())[:, columns].any(1))


def teachers(bridge: Bridge, fit: LabelFit, limit: float) -> Tensor:
    """Stars that may shape a gap, its scatter and the noise, shape (N,): `typical`, and fitted `inside` the grid.

    A star that theory cannot reach ends at the grid's edge, and what is left of it is no error of theory: hot stars
    would widen the scatter in Balmer lines until these lines have no weight.
    """
    usual = typical(fit, limit)
    chosen = usual & inside(bridge, fit.x)
    return chosen if int(chosen.sum()) >= FEWEST else usual
