"""An instrument on a coarser rest grid, for functions that many stars share."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv1d, pad

from synth2obs.core.shapes import shaped
from synth2obs.physics.instrument import Instrument
from synth2obs.physics.lsf import REACH, applied_variance

SMOOTH, LEFT = 1.6, 0.7
"""Coarse samples per σ of smoothed theory, and of the line spread left to apply, that `coarser` keeps."""


@shaped
class Coarser(NamedTuple):
    """An instrument on a coarser rest grid, and how theory gets there.

    Args:
        instrument: For theory on the coarser grid.
        factor: Rest samples per coarse sample.
        sigma: Gaussian to be applied first, in rest samples.
    """

    instrument: Instrument
    factor: int
    sigma: float

    def sharp(
        self, basis: Float[Tensor, "cells functions"], bands: list[slice]
    ) -> Float[Tensor, "averaged functions"]:
        """Functions (L, K) that the line spread acts on, on the coarser grid."""
        if not self.sigma:
            return self.seen(basis, bands)
        half = math.ceil(REACH * self.sigma)
        steps = torch.arange(-half, half + 1, dtype=basis.dtype)
        kernel = torch.exp(-0.5 * (steps / self.sigma) ** 2)
        kernel = (kernel / kernel.sum())[None, None]
        parts = [pad(basis[band].T[:, None], (half, half), mode="replicate") for band in bands]
        return torch.cat([conv1d(part, kernel, stride=self.factor)[:, 0].T for part in parts])

    def seen(
        self, basis: Float[Tensor, "cells functions"], bands: list[slice]
    ) -> Float[Tensor, "averaged functions"]:
        """Functions (L, K) that are at the survey's resolution already, on the coarser grid."""
        return torch.cat([basis[band][:: self.factor] for band in bands])


def coarser(instrument: Instrument, width_scale: float = 1.0) -> Coarser:
    """The same instrument for theory that part of the line spread was applied to, on a coarser rest grid.

    What is applied is a Gaussian of one width in ln λ, which commutes with the shift: as wide as leaves the rest of
    the line spread resolved. Worth it for functions that many stars share.

    Args:
        instrument: On the rest grid.
        width_scale: Factor on the survey's σ.
    """
    variance = applied_variance(instrument.survey_variance, instrument.rest_variance, width_scale)
    own = float(instrument.rest_variance.min())
    factor = int(((float(variance.min()) + own) / (SMOOTH**2 + LEFT**2)) ** 0.5)
    if factor < 2 or instrument.table is not None:
        return Coarser(instrument, 1, 0.0)
    sigma = max((SMOOTH * factor) ** 2 - own, 0.0) ** 0.5
    return Coarser(_coarsened(instrument, factor, sigma), factor, sigma)


def _coarsened(fine: Instrument, factor: int, sigma: float) -> Instrument:
    starts, stops = fine.band.flatten(1).unique(dim=1)
    counts = (stops - starts) // factor + 1
    firsts = counts.cumsum(0) - counts
    which = torch.searchsorted(starts, fine.band[0], right=True) - 1
    position = (fine.nearest - starts[which] + fine.remainder) / factor + firsts[which]
    edge = math.ceil(REACH * sigma / factor)
    return fine.on_grid(
        int(counts.sum()),
        fine.step * factor,
        nearest=position.round().long(),
        remainder=position - position.round(),
        band=torch.stack([firsts[which] + edge, firsts[which] + counts[which] - 1 - edge]),
        half_width=fine.half_width / factor,
        survey_variance=fine.survey_variance / factor**2,
        rest_variance=(fine.rest_variance + sigma**2) / factor**2,
    )
