"""Spectra of one telescope as another sees the same stars."""

from dataclasses import replace
from functools import partial

import torch
from numpy.typing import ArrayLike

from synth2obs.analysis.carried import carried_variance, moved, with_own_noise
from synth2obs.analysis.flags import quality
from synth2obs.analysis.morph import Morphed
from synth2obs.analysis.per_star import velocities
from synth2obs.analysis.seen import seen_by
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.task import encode


@torch.no_grad()
def morph_spectra(
    bridge: Bridge, spectra: Spectra, source: str, survey: str, rv: ArrayLike | None = None
) -> Morphed:
    """Spectra of one survey as another sees the same stars.

    The latent found in ``source`` goes back to theory's and on through the morph of ``survey``; its covariance becomes
    the result's ``source_error``.

    Args:
        bridge: Trained.
        spectra: Observed by ``source``.
        source: By which survey of the bridge.
        survey: The survey that is wanted; may be the same.
        rv: Velocity in km/s of the result; that of each spectrum if None.

    Raises:
        DataError: For a velocity that is not finite.
        ModelError: For an unknown survey.
    """
    bridge.survey(survey)
    fit = encode(bridge, prepare(bridge, source, spectra))
    latent = bridge.survey(source).morph.inverse(fit.u)[0]
    flags = quality(fit, len(bridge.survey(source).wavelength))
    velocity = fit.rv if rv is None else velocities(rv, len(spectra))
    found = seen_by(bridge, survey, latent, latent, velocity, flags, ((),) * len(spectra))
    u, slope = moved(bridge.survey(survey), bridge.survey(source), fit.u)
    noise = slope @ with_own_noise(fit) @ slope.mT
    return replace(found, source_variance=partial(carried_variance, bridge, survey, velocity, u, noise))
