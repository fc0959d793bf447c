"""From the samples of a grid to the pixels of a shard."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import vstack

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import bands, log_grid, log_step, sigma_of_resolving_power
from synth2obs.io.grids import REACH, broadening_matrix
from synth2obs.io.own_grids.description import Description, Output

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Pixels of a shard, and how flux gets there. P pixels.

    Args:
        wavelength: Vacuum Å, uniform in ln λ inside every segment, shape (P,).
        segment: Number of the band of each pixel, shape (P,).
        resolving_power: λ / FWHM, pixels included.
        samples: Which samples of the grid are needed, S of them.
        apply: Turns their flux, (B, S), into that of the pixels, (B, P).
        meaning: What was done, for the provenance.
    """

    wavelength: Array
    segment: NDArray[np.int16]
    resolving_power: float
    samples: slice
    apply: Callable[[Array], Array]
    meaning: str

    @property
    def sigma(self) -> Array:
        """Line spread in Å, shape (P,)."""
        return sigma_of_resolving_power(self.wavelength, self.resolving_power)


def make_sampling(one: Description, wavelength: Array, path: Path) -> Sampling:
    """The sampling that a description asks for: its output, or the grid's own.

    Args:
        one: The description.
        wavelength: Of the grid's samples, vacuum Å, shape (L,).
        path: For messages.

    Raises:
        DataError: If the grid is too coarse, too narrow or too blurred for it.
    """
    try:
        return _kept(one, wavelength) if one.output is None else _broadened(one, one.output, wavelength)
    except DataError as error:
        raise DataError(str(error), path=path) from error


def _kept(one: Description, wavelength: Array) -> Sampling:
    """The grid's own samples; `Description` has made sure that their resolving power is a number."""
    try:
        step = log_step(wavelength)
    except DataError as error:
        remedy = "add a section [output], whose pixels are uniform in ln λ"
        raise DataError(
            "the grid's own (vacuum) are not uniform in ln λ", field="wavelength", remedy=remedy
        ) from error
    return Sampling(
        wavelength=wavelength,
        segment=_numbers([len(wavelength[band]) for band in bands(wavelength)]),
        resolving_power=float(one.resolving_power),
        samples=slice(0, len(wavelength)),
        apply=lambda flux: flux,
        meaning=f"none: R = {one.resolving_power:g} and pixels of {step:.6g} in ln wavelength are the grid's own",
    )


def _broadened(one: Description, output: Output, wavelength: Array) -> Sampling:
    power, step = output.resolving_power, output.spacing
    remaining = remaining_power(one.resolving_power, power, step)
    pixels = [log_grid(start, stop, step) for start, stop in output.bands]
    spans = [_needed(wavelength, band, remaining) for band in pixels]
    samples = slice(spans[0].start, spans[-1].stop)
    used = wavelength[samples]
    matrix = vstack([broadening_matrix(used, band, remaining, step) for band in pixels]).T.tocsc()
    given = "raw spectra" if one.resolving_power == "raw" else f"R = {one.resolving_power:g}"
    return Sampling(
        wavelength=np.concatenate(pixels),
        segment=_numbers([len(band) for band in pixels]),
        resolving_power=power,
        samples=samples,
        apply=lambda flux: flux @ matrix,
        meaning=f"Gaussian in ln wavelength from {given} to R = {power:g}, the pixels' width included; "
        f"exact integration over pixels of {step:.6g} in ln wavelength",
    )


def remaining_power(given: float | str, wanted: float, step: float) -> float:
    r"""Resolving power of what takes a grid from one resolving power to a lower one, pixels included.

    .. math:: R^{-2} = R_\mathrm{out}^{-2} - R_\mathrm{in}^{-2}.

    Args:
        given: R of the grid, or ``raw``.
        wanted: R of the result.
        step: Spacing of its pixels in ln λ.

    Raises:
        DataError: If the grid is not sharper than the result, or so little that its pixels are too wide.
    """
    blur = 0.0 if isinstance(given, str) else 1.0 / given
    variance = wanted**-2 - blur**2
    pixel = step**2 / 12.0 * FWHM_PER_SIGMA**2
    if variance <= pixel:
        least = (blur**2 + pixel) ** -0.5
        raise DataError(
            f"R = {wanted:g} with pixels of {step:.3g} in ln λ cannot be reached from R = {given}",
            field="output.resolving_power",
            remedy=f"ask for less than {least:.0f}, or leave [output] out to keep the grid's own samples",
        )
    return float(variance**-0.5)


def _needed(wavelength: Array, band: Array, power: float) -> slice:
    """The samples that a band's pixels need, dense against the line spread that is applied.

    Raises:
        DataError: If two neighbours are farther apart than one σ of it: a hole, or a grid that is too coarse.
    """
    sigma = 1.0 / power / FWHM_PER_SIGMA
    margin = 1.0 + (REACH + 1.0) * sigma + 1.0 / power
    first = max(0, int(np.searchsorted(wavelength, band[0] / margin)) - 1)
    last = min(len(wavelength), int(np.searchsorted(wavelength, band[-1] * margin)) + 1)
    if last - first < 2:
        raise DataError(
            f"band {band[0]:.1f} to {band[-1]:.1f} Å lies outside the grid's {wavelength[0]:.1f} to "
            f"{wavelength[-1]:.1f} Å (vacuum)",
            field="output.bands",
            remedy="check unit and bands",
        )
    _refuse_coarse(wavelength[first:last], sigma)
    return slice(first, last)


def _refuse_coarse(wavelength: Array, sigma: float) -> None:
    steps = np.diff(np.log(wavelength))
    widest = int(np.argmax(steps))
    if steps[widest] > sigma:
        at = wavelength[widest]
        raise DataError(
            f"samples are {at * steps[widest]:.3g} Å apart at {at:.2f} Å, the line spread that remains has "
            f"σ = {at * sigma:.3g} Å",
            field="output",
            remedy="leave the hole out of the bands, lower resolving_power, or compute the grid more finely",
        )


def _numbers(lengths: list[int]) -> NDArray[np.int16]:
    """Segment of each pixel, bands counted from 0."""
    return np.repeat(np.arange(len(lengths)), lengths).astype(np.int16)


def in_order(sampling: Sampling, shift: int) -> Sampling:
    """The same sampling for a file that has so many samples more in front."""
    samples = slice(sampling.samples.start + shift, sampling.samples.stop + shift)
    return replace(sampling, samples=samples)
