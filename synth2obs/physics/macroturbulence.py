"""Macroturbulent broadening of a rest-frame spectrum."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from synth2obs.core.constants import C_KMS
from synth2obs.core.shapes import shaped
from synth2obs.physics.fourier import column, convolve, frequencies, samples_reached
from synth2obs.physics.special import exponential_moment

REACH = 3.25
"""Half length of the kernel in ζ; the tail outside holds 4e-7."""


@shaped
def macroturbulence_transform(
    frequency: Float[Tensor, " frequencies"], vmac: Float[Tensor, "..."]
) -> Float[Tensor, "... frequencies"]:
    r"""Fourier transform of the radial–tangential profile with equal areas and equal velocities.

    With t = Δx / (ζ / c) and a = (k ζ / 2c)² the profile of the disk (Gray 2005, ch. 17) and its transform are

    .. math::
        M(t) = \frac{2}{\sqrt\pi} \left[ e^{-t^2} - \sqrt\pi\, |t|\, \mathrm{erfc} |t| \right] ,\quad
        \hat M(a) = \frac{1 - e^{-a}}{a}

    an even, entire function of ζ that is 1 at 0.

    Args:
        frequency: k in radians per unit of ln λ, shape (K,).
        vmac: ζ_RT in km/s, broadcastable to the result.

    Returns:
        Shape (..., K), differentiable any number of times.
    """
    return exponential_moment((frequency * (vmac / (2.0 * C_KMS))) ** 2)


@shaped
def broaden_by_macroturbulence(
    flux: Float[Tensor, "stars cells"], log_step: float, vmac: Float[Tensor, "..."] | float
) -> Float[Tensor, "stars cells"]:
    """Rest-frame spectra of stars whose surface moves in large cells, half radially, half tangentially.

    The disk is averaged without limb darkening. Kernel and ends: `macroturbulence_transform`, `fourier.convolve`.

    Args:
        flux: Finite, shape (B, L) on a uniform grid in ln λ without holes.
        log_step: Spacing of the grid in ln λ.
        vmac: ζ_RT in km/s, at least 0; shape (B,), or a scalar for all stars. Cells move
            with a Gaussian exp(−(v/ζ)²) of velocities, so their standard deviation is ζ / √2.

    Returns:
        Shape (B, L). At vmac = 0 the flux to rounding, with a gradient in vmac of exactly 0.

    Raises:
        ValueError: If a velocity is negative or not finite, or shapes disagree.
    """
    frequency = frequencies(flux, log_step)
    velocity = column("vmac in km/s", vmac, flux, "use 0 for a star without macroturbulence")
    return convolve(flux, macroturbulence_transform(frequency, velocity))


@shaped
def macroturbulence_reach(log_step: float, vmac: Float[Tensor, " stars"]) -> Int[Tensor, " stars"]:
    """Samples at each end that depend on flux beyond the grid: flag them.

    Args:
        log_step: Spacing of the grid in ln λ.
        vmac: ζ_RT in km/s, shape (B,).

    Returns:
        Shape (B,), int64; 0 where vmac is 0.
    """
    return samples_reached(REACH * vmac / C_KMS, log_step)


@shaped
class Macroturbulence(nn.Module):
    """Macroturbulent broadening on one rest grid; a grid of several bands is broadened band by band.

    Args:
        log_step: Spacing of the grid in ln λ.
    """

    def __init__(self, log_step: float) -> None:
        super().__init__()
        self.log_step = log_step

    def forward(
        self, flux: Float[Tensor, "stars cells"], vmac: Float[Tensor, "..."] | float
    ) -> Float[Tensor, "stars cells"]:
        """Stars with macroturbulence, shape (B, L); see `broaden_by_macroturbulence`."""
        return broaden_by_macroturbulence(flux, self.log_step, vmac)

    def reach(self, vmac: Float[Tensor, " stars"]) -> Int[Tensor, " stars"]:
        """Samples at each end to be flagged, shape (B,); see `macroturbulence_reach`."""
        return macroturbulence_reach(self.log_step, vmac)
