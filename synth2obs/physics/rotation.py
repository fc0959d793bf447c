"""Rotational broadening of a rest-frame spectrum."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from synth2obs.core.constants import C_KMS
from synth2obs.core.shapes import shaped
from synth2obs.physics.fourier import column, convolve, frequencies, samples_reached
from synth2obs.physics.special import reduced_bessel

LIMB_DARKENING = 0.6
"""Coefficient ε that is usual for solar-type stars in visible light; in the H band about half of it."""


@shaped
def rotation_transform(
    frequency: Float[Tensor, " frequencies"],
    vsini: Float[Tensor, "..."],
    epsilon: Float[Tensor, "..."] | float = LIMB_DARKENING,
) -> Float[Tensor, "... frequencies"]:
    r"""Fourier transform of Gray's rotation profile.

    With t = Δx / (vsini / c) and s = k vsini / c the profile (Gray 2005, eq. 18.14) and its transform are

    .. math::
        G(t) = \frac{2 (1 - \epsilon) \sqrt{1 - t^2} + \frac{\pi \epsilon}{2} (1 - t^2)}
                    {\pi (1 - \epsilon / 3)} ,\quad |t| \le 1

        \hat G(s) = \frac{(1 - \epsilon)\, 2 J_1(s) / s + 2 \epsilon\, (\sin s - s \cos s) / s^3}
                         {1 - \epsilon / 3}

    an even, entire function of vsini that is 1 at 0.

    Args:
        frequency: k in radians per unit of ln λ, shape (K,).
        vsini: Projected equatorial velocity in km/s, broadcastable to the result.
        epsilon: Coefficient of linear limb darkening, I(μ) = 1 − ε + ε μ, no unit, broadcastable.

    Returns:
        Shape (..., K), differentiable any number of times.
    """
    square = (frequency * (vsini / C_KMS)) ** 2
    darkened = 2.0 * epsilon / (3.0 - epsilon)
    uniform, parabola = reduced_bessel(square, 1.0), reduced_bessel(square, 1.5)
    return uniform + darkened * (parabola - uniform)


@shaped
def broaden_by_rotation(
    flux: Float[Tensor, "stars cells"],
    log_step: float,
    vsini: Float[Tensor, "..."] | float,
    epsilon: Float[Tensor, "..."] | float = LIMB_DARKENING,
) -> Float[Tensor, "stars cells"]:
    """Rest-frame spectra of stars that rotate as rigid bodies, seen as unresolved disks.

    Every line has the same profile all over the disk, apart from limb darkening; the shift in ln λ is v / c,
    which differs from `log_doppler` by 3e-7 of itself at 300 km/s. Kernel and ends: `rotation_transform`,
    `fourier.convolve`.

    Args:
        flux: Finite, shape (B, L) on a uniform grid in ln λ without holes.
        log_step: Spacing of the grid in ln λ.
        vsini: Projected equatorial velocity in km/s, at least 0; shape (B,), or a scalar for all stars.
        epsilon: Coefficient of linear limb darkening, 0 to 1; shape (B,) or a scalar.

    Returns:
        Shape (B, L). At vsini = 0 the flux to rounding, with a gradient in vsini of exactly 0.

    Raises:
        ValueError: If a velocity is negative or not finite, ε is outside 0 to 1, or shapes disagree.
    """
    frequency = frequencies(flux, log_step)
    velocity = column("vsini in km/s", vsini, flux, "use 0 for a star that does not rotate")
    darkening = column("epsilon (no unit)", epsilon, flux, "use 0 for a uniformly bright disk", upper=1.0)
    return convolve(flux, rotation_transform(frequency, velocity, darkening))


@shaped
def rotation_reach(log_step: float, vsini: Float[Tensor, " stars"]) -> Int[Tensor, " stars"]:
    """Samples at each end that depend on flux beyond the grid: flag them.

    Args:
        log_step: Spacing of the grid in ln λ.
        vsini: km/s, shape (B,).

    Returns:
        Shape (B,), int64; 0 where vsini is 0.
    """
    return samples_reached(vsini / C_KMS, log_step)


@shaped
class Rotation(nn.Module):
    """Rotational broadening on one rest grid; a grid of several bands is broadened band by band.

    Args:
        log_step: Spacing of the grid in ln λ.
    """

    def __init__(self, log_step: float) -> None:
        super().__init__()
        self.log_step = log_step

    def forward(
        self,
        flux: Float[Tensor, "stars cells"],
        vsini: Float[Tensor, "..."] | float,
        epsilon: Float[Tensor, "..."] | float = LIMB_DARKENING,
    ) -> Float[Tensor, "stars cells"]:
        """Rotating stars, shape (B, L); arguments and errors as for `broaden_by_rotation`."""
        return broaden_by_rotation(flux, self.log_step, vsini, epsilon)

    def reach(self, vsini: Float[Tensor, " stars"]) -> Int[Tensor, " stars"]:
        """Samples at each end to be flagged, shape (B,); see `rotation_reach`."""
        return rotation_reach(self.log_step, vsini)
