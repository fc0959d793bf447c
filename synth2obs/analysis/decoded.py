"""Flux of latents: of theory in the rest frame, or of a survey in its native pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from synth2obs.analysis.per_star import velocities
from synth2obs.core.errors import DataError
from synth2obs.core.given import floats
from synth2obs.core.shown import Shown, Summary
from synth2obs.models.bridge import Bridge


@dataclass(frozen=True, repr=False)
class Decoded(Shown):
    """Spectra of N latents on P wavelengths.

    Args:
        survey: On whose native pixels; empty for theory in the rest frame at the grid's resolution.
        wavelength: Vacuum Å, shape (P,).
        flux: In units of the continuum, shape (N, P), NaN where the grid does not reach.
        latent: Shape (N, D): theory's, or the survey's.
    """

    survey: str
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float32]
    latent: NDArray[np.float64]

    def summary(self) -> Summary:
        """What is shown of it."""
        where = f"native pixels of {self.survey}" if self.survey else "rest frame, theory"
        stars, pixels = self.flux.shape
        rows = {
            "wavelength": f"{self.wavelength[0]:.1f} to {self.wavelength[-1]:.1f} Å, vacuum; {where}",
            "flux": f"({stars}, {pixels}) in units of the continuum",
        }
        return Summary(f"Spectra of {stars} latent{'s' * (stars != 1)}", rows, ".wavelength, .flux")


@torch.no_grad()
def decoded(bridge: Bridge, latent: Any, survey: str | None = None, rv: ArrayLike | None = None) -> Decoded:
    """Flux of latents.

    Args:
        bridge: Trained.
        latent: Shape (N, D) or (D,), or `Latents`, whose means and velocities are taken. Of the survey's latent
            space, as `latents_of` gives them, if a survey is named; else of theory's, as ``Morphed.latent``.
        survey: On whose native pixels, gap included; None: theory in the rest frame.
        rv: km/s, positive receding, one value or one per latent; 0, or that of `Latents`, if left out.

    Raises:
        DataError: For latents of another length or that are not finite, or a velocity in the rest frame.
        ModelError: For an unknown survey.
    """
    u = _latents(bridge, getattr(latent, "mean", latent) if hasattr(latent, "covariance") else latent)
    if survey is None:
        if rv is not None:
            raise DataError("is for a survey's pixels", field="rv", remedy="name a survey, or leave it out")
        wavelength = bridge.decoder.rest_wavelength.numpy()
        return Decoded("", wavelength, bridge.decoder(u.float()).numpy(), u.numpy())
    model = bridge.survey(survey)
    velocity = velocities(getattr(latent, "rv", 0.0) if rv is None else rv, len(u))
    flux = bridge.native.flux(model.value(bridge.decoder_of(survey), u), survey, velocity)
    return Decoded(survey, model.wavelength.numpy(), flux, u.numpy())


def _latents(bridge: Bridge, latent: ArrayLike) -> Tensor:
    size = bridge.decoder.latent
    found, masked = floats("latent", latent)
    values = np.atleast_2d(found).astype(np.float64)
    fits = values.ndim == 2 and values.shape[1] == size and len(values)
    if not fits or masked is not None or not np.isfinite(values).all():
        raise DataError(
            f"must be finite numbers of shape (N, {size}), got shape {np.shape(latent)}",
            field="latent",
            remedy="use those of synth2obs.encode or Morphed.latent",
        )
    return torch.as_tensor(values)
