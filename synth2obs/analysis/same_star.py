"""One star in two telescopes: the spectrum of one predicted from the latent of the other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.noise_floor import noise_variance
from synth2obs.analysis.recovery import fitted_labels
from synth2obs.analysis.twins import latent_difference, translation_chi2
from synth2obs.core.labels import STELLAR
from synth2obs.core.robust import scatter
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import rms
from synth2obs.models.fit.task import encode, evaluate_at, fit_labels


@dataclass(frozen=True)
class Pairs:
    """The same stars, row by row, in two surveys."""

    first: str
    first_spectra: Spectra
    second: str
    second_spectra: Spectra


@torch.no_grad()
def same_star(bridge: Bridge, pairs: Pairs) -> dict[str, Any]:
    """Predict the second survey's spectra from the first's latents; compare labels.

    The latent goes back through the first survey's morph to theory's latent and on through the second's:
    u₂ = T₂(T₁⁻¹(u₁)). Only velocity and continuum of the second spectrum are fitted.

    Returns:
        ``rms`` of the residual (median over stars) and ``noise_rms``, what the noise of both telescopes lets expect
        (the second's own, and the first's as its latent covariance carries it over), in units of the continuum;
        ``chi2`` per pixel with the second survey's noise and scatter, and what `twins.translation_chi2` gives;
        ``latent``, see `twins.latent_difference`; label differences second minus first, by the
        morph and by theory with weighted pixels.
    """
    source, target = bridge.survey(pairs.first), bridge.survey(pairs.second)
    one = prepare(bridge, pairs.first, pairs.first_spectra)
    two = prepare(bridge, pairs.second, pairs.second_spectra)
    latent = encode(bridge, one)
    carried = target.morph(source.morph.inverse(latent.u)[0])[0]
    fit = evaluate_at(bridge, two, carried)
    names, own = (pairs.first, pairs.second), encode(bridge, two)
    brought = _carried_variance(bridge, pairs.second, carried, latent.covariance)
    return {
        "with": pairs.first,
        "n": len(one),
        "rms": float(rms(fit).median()),
        "noise_rms": float((noise_variance(two, fit) + brought).sqrt().median()),
        "chi2": float(fit.chi2_per_pixel.median()),
        **translation_chi2(bridge, latent, names, two, fit, own),
        "latent": latent_difference(bridge, names, latent, own),
        "label_difference": _label_difference(bridge, one, two, morphed=True),
        "label_difference_theory": _label_difference(bridge, one, two, morphed=False),
    }


def _label_difference(
    bridge: Bridge, one: Observation, two: Observation, *, morphed: bool
) -> dict[str, dict[str, float]]:
    """Labels of the second survey's spectra minus the first's, by the morph or by theory with weighted pixels."""
    options = Options(refresh=2, steps=7, morphed=morphed)
    first, second = (fitted_labels(bridge, fit_labels(bridge, seen, options)) for seen in (one, two))
    return _difference(second - first)


def _carried_variance(bridge: Bridge, survey: str, u: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Mean variance of each predicted spectrum that the first latent's covariance implies, shape (N,)."""
    model, decoder = bridge.survey(survey), bridge.decoder_of(survey)
    slope = model.coefficients(decoder, u).jacobian[:, 1 : 1 + decoder.rank]
    spread = slope @ covariance @ slope.mT
    table = decoder.trunk.table().double()
    gram = table.T @ table / len(table)
    return (spread * gram).sum((1, 2))


def _difference(difference: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    result = {}
    for name, column in zip(STELLAR, difference.T, strict=True):
        result[name] = {"bias": float(np.median(column)), "scatter": float(scatter(column))}
    return result
