"""The pixels of a grid, and how synthesised spectra become them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_array

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import log_grid
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.grids import REACH, broadening_matrix
from synth2obs.synthesis.engine import band_wavelengths
from synth2obs.synthesis.recipe import Recipe

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pixels:
    """The pixels of a grid and how synthesised spectra become them.

    Args:
        wavelength: Vacuum Å, shape (P,).
        segment: Band of each pixel, shape (P,).
        matrix: Broadening, shape (P, L).
    """

    wavelength: Array
    segment: NDArray[np.int16]
    matrix: csr_array

    @classmethod
    def of(cls, recipe: Recipe) -> "Pixels":
        """The pixels of a recipe: of each band all that its line spread does not reach beyond.

        Raises:
            DataError: If a band is too narrow.
        """
        output, vacuum = recipe.output, recipe.spectrum.medium == "vacuum"
        parts = [
            wave if vacuum else air_to_vacuum(wave)
            for wave in band_wavelengths(recipe.spectrum.bands, recipe.spectrum.step)
        ]
        waves = [_pixels(wave, output.resolving_power, output.step) for wave in parts]
        blocks = [
            broadening_matrix(raw, wave, output.resolving_power, output.step)
            for raw, wave in zip(parts, waves, strict=True)
        ]
        segment = np.repeat(np.arange(len(waves)), [len(wave) for wave in waves]).astype(np.int16)
        return cls(np.concatenate(waves), segment, _diagonal(blocks))


def _pixels(raw: Array, resolving_power: float, step: float) -> Array:
    reach = REACH / resolving_power / FWHM_PER_SIGMA + step
    start, stop = raw[0] * np.exp(reach), raw[-1] * np.exp(-reach)
    if stop <= start * np.exp(2.0 * step):
        raise DataError(
            f"{raw[0]:.1f} to {raw[-1]:.1f} Å leaves no pixel at R = {resolving_power:g}",
            field="spectrum.bands",
            remedy="widen the band: its ends are lost to the line spread",
        )
    return log_grid(float(start), float(stop), step)


def _diagonal(blocks: Sequence[csr_array]) -> csr_array:
    return csr_array(block_diag(blocks, format="csr"))
