"""Native pixels of stars of which each rotates in its own way."""

import torch
from torch import Tensor

from synth2obs.models.projection.shared import Functions, covered
from synth2obs.physics.broadening import Broadening
from synth2obs.physics.instrument import Instrument


def native_of_rotating(
    instrument: Instrument,
    functions: Functions,
    width: float,
    coefficients: Tensor,
    rv: Tensor,
    broadening: Broadening,
) -> Tensor:
    """Spectra broadened in the rest frame, star by star, and then seen through an instrument.

    Args:
        instrument: With pixels that all stars share, on the rest grid.
        functions: Of theory and gap. The gap is part of the star, so that it rotates, too.
        width: Factor on the survey's σ; the gap is at the survey's resolution already.
        coefficients: Of the functions, shape (B, M).
        rv: km/s, shape (B,).
        broadening: Of these stars.

    Returns:
        Shape (B, P), float32, NaN where the grid, or what the broadening needs of it, does not reach.
    """
    sharp, seen = coefficients.float().split([functions.sharp.shape[1], functions.seen.shape[1]], dim=1)

    def through(weights: Tensor, basis: Tensor, scale: float) -> Tensor:
        rest = broadening.apply(weights @ basis.float().T, instrument.step, functions.bands)
        return instrument(rest, rv, scale)

    flux = through(sharp, functions.sharp, width)
    if bool(seen.any()):
        flux = flux + through(seen, functions.seen, 0.0)
    known = covered(instrument, rv, width, None, broadening.margin(instrument.step))
    return flux.masked_fill(~known, torch.nan)
