"""Theory as a giant's spectrograph sees it: velocity, macroturbulence, line spread, pixels, continuum."""

from dataclasses import dataclass

import numpy as np
import torch
from giants import Giant
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.physics.continuum import chebyshev_basis, profile_continuum
from synth2obs.physics.instrument import Instrument
from synth2obs.physics.macroturbulence import broaden_by_macroturbulence

Array = NDArray[np.float64]
ORDER = 8
"""Degree of the continuum on each detector."""

FLOOR = 0.005
"""Of the continuum, added to the errors in quadrature, so that no pixel outweighs what theory can say."""


@dataclass(frozen=True)
class Seen:
    """A giant and the operator that takes rest-frame flux on a grid to its pixels.

    Args:
        giant: Observed.
        rest: Vacuum Å of the grid.
        resolving_power: Of the grid.
    """

    giant: Giant
    rest: Array
    resolving_power: float

    def __post_init__(self) -> None:
        star, sigma = self.giant, self.rest / (self.resolving_power * FWHM_PER_SIGMA)
        instrument = Instrument(self.rest, star.wavelength, star.segment, star.line_spread, sigma)
        wave = torch.from_numpy(star.wavelength)
        object.__setattr__(self, "instrument", instrument)
        object.__setattr__(self, "basis", chebyshev_basis(wave, torch.from_numpy(star.segment), ORDER))
        object.__setattr__(self, "flux", torch.from_numpy(star.flux))
        object.__setattr__(self, "ivar", torch.from_numpy(star.ivar))
        object.__setattr__(self, "step", float(np.log(self.rest[1] / self.rest[0])))

    def __call__(self, flux: Tensor, rv: float, vmac: float) -> Tensor:
        """Native pixels (B, P) of rest-frame spectra (B, L); km/s."""
        broadened = broaden_by_macroturbulence(flux, self.step, vmac)
        return self.instrument(broadened, torch.full((len(flux),), rv, dtype=torch.float64))

    def weight(self) -> Tensor:
        """Inverse variance relative to the star's level, with `FLOOR`, (P,)."""
        level = self.flux[self.ivar > 0].median()
        ivar = self.ivar * level**2
        return torch.where(ivar > 0, 1.0 / (1.0 / ivar.clamp(min=1e-12) + FLOOR**2), 0.0)

    def normalized(self, model: Tensor, weight: Tensor) -> Tensor:
        """Observed flux (P,) over the continuum that goes best with a model (P,)."""
        level = self.flux[self.ivar > 0].median()
        flux = (self.flux / level)[None]
        _, continuum = profile_continuum(model[None], flux, weight[None], self.basis)
        return (flux / continuum)[0]
