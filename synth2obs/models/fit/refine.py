"""One round of the gap: labels through the morph and the gap so far, then the gap's posterior given these labels."""

import torch
from torch import Tensor

from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.models.bridge import Bridge
from synth2obs.models.contracts import GapPosterior
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.restframe import to_rest
from synth2obs.models.fit.result import Fit, LabelFit
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.survey import SurveyModel

FLOOR, UNKNOWN = 2e-3, 5e-2
"""Smallest scatter in units of the continuum, and that where no star has a pixel."""

LONGEST, NEGLIGIBLE = 40, 0.05
"""Longest lag in pixels, and autocorrelation at which the sum over lags ends."""


def update_scatter(model: SurveyModel, seen: Observation, fit: Fit, rest_wavelength: Tensor) -> None:
    """Set the survey's scatter to the robust width of the residuals beyond their noise, on the rest grid."""
    residual, ivar = to_rest(seen, fit, rest_wavelength)
    known = residual.where(ivar > 0, torch.nan)
    width = MAD_TO_SIGMA * known.abs().nanmedian(0).values
    noise = (1.0 / ivar.where(ivar > 0, torch.nan)).nanmedian(0).values
    extra = (width.square() - noise).clamp(min=FLOOR**2)
    model.gap.scatter.copy_(extra.nan_to_num(UNKNOWN**2))


def update_correlation(model: SurveyModel, fit: Fit) -> float:
    """Set the number of neighbouring pixels that carry one pixel's information, 1 + 2 Σ ρ_k.

    Model errors are wider than a pixel: without this factor a spectrum would outvote any prior and its errors
    would be too small (the integrated autocorrelation time of Sokal 1997, section 3, over wavelength).
    """
    good = fit.ivar > 0
    whitened = fit.residual * fit.continuum * fit.ivar.sqrt() * good
    power = whitened.square().sum() / good.sum()
    total = 1.0
    for lag in range(1, LONGEST):
        pairs = (good[:, lag:] & good[:, :-lag]).sum()
        share = float((whitened[:, lag:] * whitened[:, :-lag]).sum() / pairs / power)
        if share < NEGLIGIBLE:
            break
        total += 2.0 * share
    model.correlation.fill_(total)
    return total


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
    model = bridge.survey(seen.survey)
    fit = fit_labels(bridge, seen, Options(steps=6, refresh=1), x, rv)
    features = bridge.gap_features(seen.survey, fit.x)
    residual, ivar = to_rest(seen, fit, bridge.decoder.rest_wavelength)
    residual = residual + model.gap(features.float())
    kept = typical(fit, model.gap.config.outlier)
    posterior = model.gap.posterior(residual[kept].double(), ivar[kept].double(), features[kept])
    model.gap.update(posterior)
    update_correlation(model, fit)
    return fit, posterior


def refine(bridge: Bridge, seen: Observation, x: Tensor, rv: Tensor) -> LabelFit:
    """All rounds of labels and gap, as many as the gap's settings say; arguments as for `refine_gap`."""
    for _ in range(bridge.survey(seen.survey).gap.config.iterations):
        fit, _ = refine_gap(bridge, seen, x, rv)
        x, rv = fit.x, fit.rv
    return fit


def typical(fit: Fit, limit: float) -> Tensor:
    """Stars whose χ² per pixel is below a multiple of the median: binaries and errors must not shape a gap."""
    chi2 = fit.chi2_per_pixel
    return (chi2 < limit * chi2.nanmedian()) & torch.isfinite(chi2)
