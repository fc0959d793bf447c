"""Which pixels of an instrument can be seen: where something is known, and at least as sharp as the instrument."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import bands, coarsest
from synth2obs.io.instruments.described import InstrumentDescription
from synth2obs.models.bridge import Bridge
from synth2obs.physics.geometry import ROUNDING
from synth2obs.physics.instrument import Instrument

Array = NDArray[np.float64]

MARGIN = 0.01
"""Relative distance beyond the ends of what is known from which a star's velocity may bring a pixel into it."""


@dataclass(frozen=True)
class Known:
    """Something in the rest frame that an instrument is to see.

    Args:
        what: Theory, or a survey's gap, in words.
        wavelength: Vacuum Å, increasing, shape (L,).
        sigma: σ in Å that it has already, shape (L,).
        reach: First and last wavelength in vacuum Å.
        remedy: What to do where it is not as sharp as the instrument.
        layer: Of the rest frame.
    """

    what: str
    wavelength: Array
    sigma: Array
    reach: tuple[float, float]
    remedy: str
    layer: str = ""


@dataclass(frozen=True)
class ServedPixels:
    """Pixels of an instrument that can be seen, and how.

    Args:
        rows: Among all pixels of the instrument, shape (Q,).
        operator: Rest frame to these pixels.
    """

    rows: NDArray[np.intp]
    operator: Instrument

    def spread_out(self, values: NDArray[np.float32], pixels: int) -> NDArray[np.float32]:
        """Values of these pixels (N, Q) among all of them, NaN elsewhere, (N, P)."""
        whole = np.full((len(values), pixels), np.nan, np.float32)
        whole[:, self.rows] = values
        return whole


def theory_of(bridge: Bridge, layer: str = "") -> Known:
    """Theory in the rest frame, at the resolving power of a layer's grid."""
    decoder = bridge.layers[layer]
    wavelength = decoder.rest_wavelength.numpy()
    ends = float(wavelength[0]), float(wavelength[-1])
    remedy = "use a bridge whose grid has a higher resolving power"
    return Known("theory", wavelength, decoder.rest_sigma.numpy(), ends, remedy, layer)


def best_theory(bridge: Bridge, instrument: InstrumentDescription) -> Known:
    """Theory on the layer that serves most pixels of an instrument; of those that serve about as many, the coarsest."""
    found = {layer: theory_of(bridge, layer) for layer in bridge.layers}
    served = {layer: int(_sharp(instrument, known)[1].sum()) for layer, known in found.items()}
    width = {layer: float(np.median(known.sigma / known.wavelength)) for layer, known in found.items()}
    return found[coarsest(served, width)]


def gap_of(bridge: Bridge, survey: str) -> Known:
    """A survey's gap, at the survey's resolving power and where the survey has pixels.

    Raises:
        ModelError: For an unknown survey.
    """
    model = bridge.survey(survey)
    theory = theory_of(bridge, model.config.layer)
    place = model.true_wavelength.numpy()
    order = np.argsort(place)
    own = float(model.width_scale) * model.lsf_sigma.numpy()
    sigma = np.interp(theory.wavelength, place[order], own[order])
    ends = float(place.min()), float(place.max())
    remedy = "a gap cannot be sharpened: leave survey out for theory alone"
    sharpest = np.maximum(sigma, theory.sigma)
    return Known(f"the gap of {survey}", theory.wavelength, sharpest, ends, remedy, theory.layer)


def serve(bridge: Bridge, instrument: InstrumentDescription, known: Known) -> ServedPixels:
    """The pixels of an instrument in which something can be seen.

    Args:
        bridge: Trained.
        instrument: Whose pixels.
        known: What is to be seen.

    Raises:
        DataError: If the instrument does not reach it, or is sharper than it everywhere that it does.
    """
    low, high = known.reach
    reached, usable = _sharp(instrument, known)
    if not reached.any():
        raise DataError(
            f"{instrument.name} covers {', '.join(instrument.ranges)} Å, {known.what} {low:.0f}–{high:.0f} Å",
            field="instrument",
            remedy="choose an instrument, or a bridge, of the other's wavelengths",
        )
    rows, segment = _runs(usable, instrument.segment)
    if not reached[rows].any():
        _refuse_sharper(instrument, known, reached)
    pixels, spread = instrument.wavelength[rows], instrument.line_spread.cut(rows)
    operator = bridge.native.on_pixels(pixels, segment, spread, known.sigma, known.layer)
    return ServedPixels(rows, operator)


def _sharp(instrument: InstrumentDescription, known: Known) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels that something known reaches, and those near it in which it is as sharp as the instrument, (P,) each."""
    wavelength, sigma = instrument.wavelength, instrument.line_spread.sigma[0]
    low, high = known.reach
    inside = np.zeros(wavelength.shape, bool)
    near = inside.copy()
    for band in bands(known.wavelength):
        first = max(low, float(known.wavelength[band.start]))
        last = min(high, float(known.wavelength[band.stop - 1]))
        inside |= (wavelength >= first) & (wavelength <= last)
        near |= (wavelength >= first * (1.0 - MARGIN)) & (wavelength <= last * (1.0 + MARGIN))
    own = np.interp(wavelength, known.wavelength, known.sigma)
    return inside, near & (sigma >= (1.0 - ROUNDING) * own)


def _refuse_sharper(instrument: InstrumentDescription, known: Known, reached: NDArray[np.bool_]) -> None:
    """Raises DataError with the resolving powers of both."""
    here = instrument.wavelength[reached]
    own = np.interp(instrument.wavelength, known.wavelength, known.sigma)
    powers = (here / sigma[reached] / FWHM_PER_SIGMA for sigma in (instrument.line_spread.sigma[0], own))
    theirs, ours = (_in_words(power) for power in powers)
    raise DataError(
        f"{instrument.name} has R = {theirs} without its pixels' width, sharper than {known.what} (R = {ours}) "
        "wherever it reaches it",
        field="instrument",
        remedy=known.remedy,
    )


def _in_words(power: Array) -> str:
    low, high = (f"{end:.0f}" for end in (power.min(), power.max()))
    return low if low == high else f"{low}–{high}"


def _runs(keep: NDArray[np.bool_], segment: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Kept pixels and a number for each stretch of neighbours; a pixel alone has no width, and is not kept."""
    (rows,) = keep.nonzero()
    breaks = (np.diff(rows) > 1) | (np.diff(segment[rows]) != 0)
    run = np.cumsum(np.concatenate([[0], breaks]), dtype=np.int64)[: len(rows)]
    together = np.bincount(run)[run] > 1
    return rows[together], run[together]
