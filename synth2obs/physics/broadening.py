"""What a star's rotation and macroturbulence do to its rest-frame spectrum, band by band."""

from dataclasses import dataclass

import torch
from torch import Tensor

from synth2obs.core.constants import C_KMS
from synth2obs.physics.doppler import log_doppler, velocity_of_shift
from synth2obs.physics.fourier import GUARD, column, convolve, frequencies
from synth2obs.physics.macroturbulence import REACH, macroturbulence_transform
from synth2obs.physics.rotation import rotation_transform


@dataclass(frozen=True)
class Broadening:
    """Rotation and macroturbulence of N stars, or with scalars of what all stars share.

    Args:
        vsini: Projected equatorial velocity in km/s, at least 0, shape (N,) or ().
        vmac: ζ_RT of the radial–tangential model in km/s, at least 0, of the same shape.
    """

    vsini: Tensor
    vmac: Tensor

    @classmethod
    def shared(cls, vsini: float, vmac: float = 0.0) -> "Broadening | None":
        """The same for all stars, km/s; None where there is nothing to do."""
        if vsini == 0 and vmac == 0:
            return None
        return cls(*(torch.tensor(value, dtype=torch.float64) for value in (vsini, vmac)))

    @property
    def present(self) -> Tensor:
        """Whether a star is broadened at all, bool."""
        return (self.vsini > 0) | (self.vmac > 0)

    def take(self, rows: Tensor) -> "Broadening":
        """That of some of the N stars."""
        return Broadening(self.vsini[rows], self.vmac[rows])

    def apply(self, flux: Tensor, step: float, bands: list[slice]) -> Tensor:
        """Broadened spectra; every band is continued by its mirror image, see `fourier.convolve`.

        Args:
            flux: Shape (N, L), or (B, L) for a shared broadening, on the rest grid.
            step: Its spacing in ln λ.
            bands: Its stretches without a hole.

        Returns:
            The same shape.

        Raises:
            ValueError: If a velocity is negative or not finite.
        """
        return torch.cat([self._band(flux[:, band], step) for band in bands], dim=1)

    def _band(self, flux: Tensor, step: float) -> Tensor:
        """One band; the two kernels commute, so their transforms are multiplied and the flux is transformed once."""
        frequency = frequencies(flux, step)
        vsini = column("vsini in km/s", self.vsini, flux, "use 0 for a star that does not rotate")
        vmac = column("vmac in km/s", self.vmac, flux, "use 0 for a star without macroturbulence")
        transform = rotation_transform(frequency, vsini) * macroturbulence_transform(frequency, vmac)
        return convolve(flux, transform)

    def margin(self, step: float) -> Tensor:
        """How far in ln λ the unknown flux beyond a band's end is felt, 0 without broadening; shape (N,) or ()."""
        reach = (self.vsini + REACH * self.vmac) / C_KMS + GUARD * step
        return torch.where(self.present, reach, 0.0)


def moved(rv: Tensor, shift: Tensor) -> Tensor:
    """Velocities in km/s after another shift in ln λ."""
    return velocity_of_shift(log_doppler(rv) + shift)
