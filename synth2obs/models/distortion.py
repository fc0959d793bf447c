"""The wavelength distortion of a survey: how far its wavelength scale is stretched, as a velocity."""

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from numpy.typing import ArrayLike
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.physics.doppler import log_doppler

TERMS = 7
"""Chebyshev polynomials on each detector, of degree 0 and up, for which a survey has room."""

WINDOWS, MOST, FEWEST = 24, 72, 4
"""Windows of a detector in which velocities are measured; of all detectors together; and of each at least."""

NUMBERS = ("degree", "log_odds", "scatter", "zero_point", "zero_point_error")
"""What is known of a distortion beside its shape."""


@shaped
class WavelengthDistortion(nn.Module):
    r"""A velocity v(λ) by which the lines of all stars of a survey lie too far to the red; zero until it is learned.

    .. math:: \ln\lambda_\mathrm{stated} = \ln\lambda_\mathrm{true} + \operatorname{atanh}\frac{v}{c} , \qquad
              v(\lambda) = \sum_k w_{sk}\, T_k(x_s) ,

    with Chebyshev polynomials of :math:`x_s \in [-1, 1]`, linear in ln λ along detector s, and level beyond its ends.
    A constant cannot be told from the velocities of the stars: the mean of v, weighted with what each wavelength says
    of a velocity, is zero.

    Args:
        wavelength: The survey's usual pixels in vacuum Å, shape (P,).
        segment: Detector of each pixel, shape (P,).

    Buffers (S detectors, W windows on each; km/s):
        weight: Shape (S, TERMS).
        covariance: Of the weights, detector by detector, shape (S · TERMS, S · TERMS).
        degree: Of the polynomials; -1: no distortion.
        log_odds: Of this degree against no distortion.
        scatter: Of single windows about the polynomials, beyond their errors: lines of theory in a wrong place.
        zero_point, zero_point_error: Median of fitted minus given velocities; reported, never applied.
        window_velocity, window_error: Shape (S, W); NaN where no star says anything.
    """

    weight: Tensor
    covariance: Tensor
    degree: Tensor
    log_odds: Tensor
    scatter: Tensor
    zero_point: Tensor
    zero_point_error: Tensor
    window_velocity: Tensor
    window_error: Tensor
    number: Tensor
    middle: Tensor
    reach: Tensor

    def __init__(self, wavelength: Float64[Tensor, " pixels"], segment: Shaped[Tensor, " pixels"]) -> None:
        super().__init__()
        number = segment.unique()
        ends = torch.stack([_ends(wavelength[segment == one].log()) for one in number])
        self.register_buffer("number", number, persistent=False)
        self.register_buffer("middle", ends.mean(1), persistent=False)
        self.register_buffer("reach", 0.5 * ends.diff(dim=1)[:, 0], persistent=False)
        detectors = len(number)
        windows = min(WINDOWS, max(FEWEST, MOST // detectors))
        nothing = torch.full((detectors, windows), torch.nan, dtype=torch.float64)
        size = detectors * TERMS
        self.register_buffer("weight", torch.zeros(detectors, TERMS, dtype=torch.float64))
        self.register_buffer("covariance", torch.zeros(size, size, dtype=torch.float64))
        for name in NUMBERS:
            self.register_buffer(name, torch.tensor(torch.nan, dtype=torch.float64))
        self.degree.fill_(-1.0)
        self.register_buffer("window_velocity", nothing.clone())
        self.register_buffer("window_error", nothing.clone())

    @property
    def known(self) -> bool:
        """Whether there is any."""
        return bool(self.weight.any())

    @property
    def windows(self) -> int:
        """W."""
        return self.window_velocity.shape[1]

    def corrected(self, wavelength: ArrayLike, segment: ArrayLike) -> Tensor:
        """Where pixels really are: stated to true vacuum wavelengths in Å, shape (P,) or (N, P), float64."""
        stated = torch.as_tensor(np.asarray(wavelength, float))
        if not self.known:
            return stated
        return stated * torch.exp(-log_doppler(self.velocity(stated, segment)))

    def velocity(self, wavelength: ArrayLike, segment: ArrayLike) -> Tensor:
        """V in km/s at stated wavelengths in Å, (P,) or (N, P), of pixels on detectors (P,).

        Detectors that the survey does not have count as the nearest that it has.
        """
        place, x = self._placed(wavelength, segment)
        return (self.weight[place] * polynomials(x)).sum(-1)

    def error(self, wavelength: ArrayLike, segment: ArrayLike) -> Tensor:
        """Its standard deviation in km/s; of what may be there, where no distortion was found."""
        place, x = self._placed(wavelength, segment)
        parts = self.covariance.unflatten(1, (-1, TERMS)).unflatten(0, (-1, TERMS))
        own, phi = parts[place, :, place, :], polynomials(x)
        return torch.einsum("...i,...ij,...j->...", phi, own, phi).clamp(min=0.0).sqrt()

    def window_centres(self) -> Tensor:
        """Wavelengths in Å of the middles of the windows, shape (S, W)."""
        step = (torch.arange(self.windows, dtype=torch.float64) + 0.5) / self.windows
        return (self.middle[:, None] + self.reach[:, None] * (2.0 * step - 1.0)).exp()

    def at_windows(self) -> Tensor:
        """V at the middles of the windows in km/s, detector by detector, shape (S · W,)."""
        return self.at_windows_basis() @ self.weight.flatten()

    def at_windows_error(self) -> Tensor:
        """Its standard deviation, see `error`."""
        basis = self.at_windows_basis()
        return torch.einsum("wi,ij,wj->w", basis, self.covariance, basis).clamp(min=0.0).sqrt()

    def at_windows_basis(self) -> Tensor:
        """Change of `at_windows` with the weights, shape (S · W, S · TERMS)."""
        each = polynomials((2.0 * torch.arange(self.windows, dtype=torch.float64) + 1.0) / self.windows - 1.0)
        return torch.block_diag(*[each] * len(self.number))

    def window_of(self, wavelength: ArrayLike, segment: ArrayLike) -> Tensor:
        """The window of each pixel, counted over all detectors, (P,) or (N, P)."""
        place, x = self._placed(wavelength, segment)
        inside = (0.5 * (x + 1.0) * self.windows).long().clamp(max=self.windows - 1)
        return place * self.windows + inside

    def _placed(self, wavelength: ArrayLike, segment: ArrayLike) -> tuple[Tensor, Tensor]:
        """Detector, as a row of the weights, and x of every pixel."""
        log_wave = torch.as_tensor(np.asarray(wavelength, float)).log()
        own = torch.as_tensor(np.asarray(segment))[:, None] == self.number
        every = (log_wave[..., None] - self.middle) / self.reach
        place = torch.where(own.any(1), own.int().argmax(1), every.abs().argmin(-1))
        return place, every.gather(-1, place[..., None])[..., 0].clamp(-1.0, 1.0)


def polynomials(x: Tensor) -> Tensor:
    """Chebyshev polynomials T_0 … of x in [-1, 1], TERMS of them on a new last axis."""
    return torch.cos(torch.arange(TERMS, dtype=x.dtype) * x.acos()[..., None])


def _ends(log_wave: Tensor) -> Tensor:
    """First and last, apart even where there is one pixel."""
    low, high = log_wave.min(), log_wave.max()
    return torch.stack([low, high if high > low else low + 1e-6])
