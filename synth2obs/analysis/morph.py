"""From theory to what a survey sees: from labels, or from a spectrum of another telescope."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from synth2obs.analysis.labels import OUTSIDE, quality
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.task import encode


@dataclass(frozen=True)
class Morphed:
    """Spectra on the native pixels of a survey. N stars, P pixels.

    Args:
        survey: Its name.
        wavelength: Vacuum Å, shape (P,).
        flux: What the survey sees, continuum-normalised, shape (N, P), NaN where the grid does not reach.
        flux_theory: What theory predicts for the same star through the same instrument.
        gap: ``flux − flux_theory``.
        gap_error: Standard deviation of the gap's posterior: an upper limit where pixels average over several
            cells, however these are correlated.
        latent: Theory's latents, shape (N, D).
        flags: Bits as in `FLAGS`: 1 for labels, 2 and 4 for spectra.
        outside: Names of the labels that lie outside, for every star.
    """

    survey: str
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float32]
    flux_theory: NDArray[np.float32]
    gap: NDArray[np.float32]
    gap_error: NDArray[np.float32]
    latent: NDArray[np.float64]
    flags: NDArray[np.int64]
    outside: tuple[tuple[str, ...], ...]


@torch.no_grad()
def morph_labels(
    bridge: Bridge, labels: Mapping[str, ArrayLike], survey: str, rv: ArrayLike = 0.0
) -> Morphed:
    """Theory of some labels as a survey sees it; a label outside the grid is answered and flagged.

    Args:
        bridge: Trained.
        labels: Name → value or values, in the grid's units; what is left out is solar or the grid's middle.
        survey: One of the bridge's surveys.
        rv: km/s, positive receding.

    Raises:
        DataError: For an unknown label, one that is not finite, or numbers of values that differ.
        ModelError: For an unknown survey.
    """
    _same_length(labels)
    try:
        table = bridge.labels.table(labels)
    except (KeyError, ValueError) as error:
        raise DataError(str(error).strip('"'), field="labels", remedy="give finite values by name") from error
    bridge.survey(survey)
    velocity = _velocity(rv, len(table))
    latent = bridge.emulator(bridge.scale(torch.as_tensor(table)))
    outside = bridge.labels.outside(table)
    names = tuple(tuple(compress(bridge.labels.names, row)) for row in outside)
    return _morphed(bridge, survey, latent, velocity, np.where(outside.any(1), OUTSIDE, 0), names)


@torch.no_grad()
def morph_spectra(
    bridge: Bridge, spectra: Spectra, source: str, survey: str, rv: ArrayLike | None = None
) -> Morphed:
    """Spectra of one survey as another sees the same stars.

    The latent found in ``source`` goes back to theory's and on through the morph of ``survey``.

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
    latent = bridge.survey(source).morph.inverse(fit.theta)[0]
    velocity = fit.rv if rv is None else _velocity(rv, len(spectra))
    return _morphed(bridge, survey, latent, velocity, quality(fit), ((),) * len(spectra))


def _same_length(labels: Mapping[str, ArrayLike]) -> None:
    sizes = {name: np.size(values) for name, values in labels.items()}
    if len(set(sizes.values()) - {1}) > 1:
        found = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(
            f"numbers of values differ: {found}",
            field="labels",
            remedy="give one value each, or one per star",
        )


def _velocity(rv: ArrayLike, count: int) -> Tensor:
    values = np.asarray(rv, float)
    if values.shape not in ((), (1,), (count,)):
        raise DataError(
            f"has shape {values.shape} for {count} star{'s' * (count != 1)}",
            field="rv",
            remedy="give one velocity in km/s, or one per star",
        )
    values = np.broadcast_to(values, count)
    if not np.isfinite(values).all():
        raise DataError(
            f"rv in km/s must be finite, got {values}", field="rv", remedy="use 0 for the rest frame"
        )
    return torch.as_tensor(values.copy())


def _morphed(
    bridge: Bridge,
    survey: str,
    latent: Tensor,
    rv: Tensor,
    flags: NDArray[np.int64],
    names: tuple[tuple[str, ...], ...],
) -> Morphed:
    model = bridge.survey(survey)
    moved = model.morph(latent)[0]
    flux = bridge.native_flux(model.value(bridge.decoder, moved), survey, rv)
    plain = model.layout(bridge.decoder).without_gap(model.value(bridge.decoder, latent))
    theory = bridge.native_flux(plain, survey, rv)
    variance = model.gap.variance(model.gap.features(moved).float())
    error = bridge.instrument(survey)(variance, rv, 0.0).clamp(min=0).sqrt().numpy()
    return Morphed(
        survey=survey,
        wavelength=model.wavelength.numpy(),
        flux=flux,
        flux_theory=theory,
        gap=flux - theory,
        gap_error=np.where(np.isfinite(flux), error, np.nan),
        latent=latent.numpy(),
        flags=flags,
        outside=names,
    )
