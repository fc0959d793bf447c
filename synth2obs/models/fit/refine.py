"""One round of the gap: labels through the morph and the gap so far, then the gap's posterior given these labels."""

import torch
from torch import Tensor

from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.models.bridge import Bridge
from synth2obs.models.contracts import GapPosterior
from synth2obs.models.fit.noise import learn_noise
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.restframe import to_rest
from synth2obs.models.fit.result import Fit, LabelFit
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.survey import SurveyModel

FLOOR, UNKNOWN = 2e-3, 5e-2
"""Smallest scatter in units of the continuum, and that where no star has a pixel."""

QUIET, LEAST = 1 / 3, 30
"""Share of the stars, those with the least noise, whose residuals say what theory leaves, and how many at least."""


def update_scatter(model: SurveyModel, seen: Observation, fit: Fit, rest_wavelength: Tensor) -> None:
    """Set the survey's scatter to the robust width of the residuals beyond their noise, on the rest grid."""
    residual, ivar = to_rest(seen, fit, rest_wavelength)
    variance = float(model.noise.white) / ivar.where(ivar > 0, torch.nan)
    share = min(1.0, max(QUIET, LEAST / max(len(seen), 1)))
    quiet = variance <= variance.nanquantile(share, dim=0)
    width = MAD_TO_SIGMA * residual.where(quiet, torch.nan).abs().nanmedian(0).values
    noise = variance.where(quiet, torch.nan).nanmedian(0).values
    extra = (width.square() - noise).clamp(min=FLOOR**2)
    model.gap.scatter.copy_(extra.nan_to_num(UNKNOWN**2))


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
    weight = _beyond_theory(bridge, model, fit.x[kept], ivar[kept])
    posterior = model.gap.posterior(residual[kept].double(), weight.double(), features[kept])
    model.gap.update(posterior)
    learn_noise(model, seen, fit, kept.nonzero()[:, 0])
    return fit, posterior


def _beyond_theory(bridge: Bridge, model: SurveyModel, x: Tensor, ivar: Tensor) -> Tensor:
    """Inverse variance of rest-frame residuals, noise as it is and theory's own error at scaled labels in it, (N, L)."""
    known = bridge.theory_variance(x)
    variance = float(model.noise.white) / ivar.clamp(min=1e-20) + (0.0 if known is None else known)
    return torch.where(ivar > 0, 1.0 / variance, 0.0)


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
