"""Theory's latents through a survey's morph and gap, some stars at a time."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.morph import Morphed
from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import bands, log_step
from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.physics.broadening import Broadening

STARS = 64
"""Stars that are seen at once: rest-frame spectra of more would fill the memory."""

LARGEST = 32 * 2**30
"""Bytes of spectra that are computed into memory."""


class Views(NamedTuple):
    """What a survey sees of some stars, shape (N, P) each: fields of `Morphed`."""

    flux: NDArray[np.float32]
    flux_theory: NDArray[np.float32]
    gap: NDArray[np.float32]
    gap_error: NDArray[np.float32]


def blocks(count: int) -> Iterator[slice]:
    """Rows of `STARS` stars at a time, as every result is computed, so that none depends on how many were asked for."""
    return (slice(first, min(first + STARS, count)) for first in range(0, count, STARS))


def refuse_too_many(pixels: int, count: int, remedy: str) -> None:
    """Refuse more stars than memory is for.

    Args:
        pixels: Of every spectrum.
        count: Stars.
        remedy: What to do instead.

    Raises:
        DataError: Naming what they would take.
    """
    size = 4 * len(Views._fields) * count * pixels
    if size > LARGEST:
        raise DataError(f"{count} stars take {size / 2**30:.0f} GiB", field="stars", remedy=remedy)


@torch.no_grad()
def seen_by(
    bridge: Bridge,
    survey: str,
    latent: Tensor,
    looks: Tensor,
    rv: Tensor,
    flags: NDArray[np.int64],
    names: tuple[tuple[str, ...], ...],
    broadening: Broadening | None = None,
) -> Morphed:
    """Theory's latents through a survey's morph and gap; theory's own error is that of the decoder alone.

    Args:
        bridge, survey: Trained, and one of its surveys.
        latent: Theory's, shape (N, D).
        looks: Those where theory looks like these stars, `Bridge.theory_latents`; the same where no labels are known.
        rv: km/s, shape (N,).
        flags, names: The result's ``flags`` and ``outside``.
        broadening: Rotation and macroturbulence of every star, of theory and gap alike; None: of no star.
    """
    wavelength = bridge.survey(survey).wavelength.numpy()
    views = Views(*(np.empty((len(rv), len(wavelength)), np.float32) for _ in Views._fields))
    for rows in blocks(len(rv)):
        own = None if broadening is None else broadening.take(torch.arange(rows.start, rows.stop))
        for whole, part in zip(
            views, _views(bridge, survey, latent[rows], looks[rows], rv[rows], own), strict=True
        ):
            whole[rows] = part
    return Morphed(
        survey=survey,
        wavelength=wavelength,
        **views._asdict(),
        distance=np.full(len(rv), np.nan),
        latent=latent.numpy(),
        flags=flags,
        outside=names,
        emulator_variance=partial(_remainder, bridge, survey, rv),
    )


def _views(
    bridge: Bridge, survey: str, latent: Tensor, looks: Tensor, rv: Tensor, broadening: Broadening | None
) -> Views:
    model, decoder = bridge.survey(survey), bridge.decoder_of(survey)
    moved = model.morph(looks)[0]
    flux = bridge.native.flux(model.value(decoder, moved), survey, rv, broadening=broadening)
    plain = model.layout(decoder).without_gap(model.value(decoder, latent))
    theory = bridge.native.flux(plain, survey, rv, broadening=broadening)
    features, instrument = model.gap.features(moved).float(), bridge.instrument(survey)
    gap = instrument(_turned(decoder, model.gap(features), broadening), rv, 0.0).numpy()
    variance = _turned(decoder, model.gap.variance(features), broadening)
    error = instrument(variance, rv, 0.0).clamp(min=0).sqrt().numpy()
    unseen = ~np.isfinite(flux)
    return Views(flux, theory, np.where(unseen, np.nan, gap), np.where(unseen, np.nan, error))


@torch.no_grad()
def _remainder(bridge: Bridge, survey: str, rv: Tensor) -> Tensor:
    """Variance of what the decoder leaves, in native pixels, shape (N, P)."""
    instrument, rest = bridge.instrument(survey), bridge.theory_error_of(survey).remainder
    parts = [
        instrument(rest.expand(rows.stop - rows.start, -1), rv[rows], 0.0).clamp(min=0.0)
        for rows in blocks(len(rv))
    ]
    return torch.cat(parts)


def _turned(decoder: Decoder, variance: Tensor, broadening: Broadening | None) -> Tensor:
    """The gap's variance (N, L) where stars rotate: averaged like the gap, which is again an upper limit."""
    if broadening is None or not bool(broadening.present.any()):
        return variance
    grid, rotates = decoder.rest_wavelength.numpy(), broadening.present
    averaged = broadening.take(rotates).apply(variance[rotates], log_step(grid), bands(grid))
    return variance.index_put((rotates,), averaged)
