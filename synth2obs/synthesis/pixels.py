"""The pixels of a grid, and how synthesised spectra become them."""

from dataclasses import dataclass
from functools import cached_property

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
from synth2obs.synthesis.settings import OutputConfig

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pixels:
    """The pixels of a grid and how synthesised spectra become them.

    Args:
        output: Resolving power and step.
        raw: Vacuum Å of what is synthesised, band by band.
        bands: Vacuum Å of the pixels of each band.
    """

    output: OutputConfig
    raw: tuple[Array, ...]
    bands: tuple[Array, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> "Pixels":
        """The pixels of a recipe: of each band all that its line spread does not reach beyond.

        Raises:
            DataError: If a band is too narrow.
        """
        output, vacuum = recipe.output, recipe.spectrum.medium == "vacuum"
        raw = tuple(
            wave if vacuum else air_to_vacuum(wave)
            for wave in band_wavelengths(recipe.spectrum.bands, recipe.spectrum.steps)
        )
        return cls(output, raw, tuple(_pixels(wave, output.resolving_power, output.step) for wave in raw))

    @property
    def wavelength(self) -> Array:
        """Vacuum Å, shape (P,)."""
        return np.concatenate(self.bands)

    @property
    def segment(self) -> NDArray[np.int16]:
        """Band of each pixel, shape (P,)."""
        return np.repeat(np.arange(len(self.bands)), [len(band) for band in self.bands]).astype(np.int16)

    @cached_property
    def matrix(self) -> csr_array:
        """Broadening, shape (P, L); seconds of work, which only spectra that are broadened need."""
        blocks = [
            broadening_matrix(raw, band, self.output.resolving_power, self.output.step)
            for raw, band in zip(self.raw, self.bands, strict=True)
        ]
        return csr_array(block_diag(blocks, format="csr"))


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
