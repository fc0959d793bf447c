r"""A velocity to start from, by cross-correlation with theory at every shift at once.

With ŷ the flux divided by its own continuum, minus 1, w its inverse variance and t a template treated alike, the best
amplitude of the template at shift s lowers χ² by

.. math:: \Delta\chi^2(s) = \frac{\big(\sum_x w\hat y(x)\, t(x - s)\big)^2}{\sum_x w(x)\, t^2(x - s)} ,

both sums being correlations (Tonry & Davis 1979, AJ 84, 1511; with errors as in Zucker 2003, MNRAS 342, 1291). Stars
are binned to steps of most of the survey's σ, enough to start a fit from, so that the shifts are few and all
templates at all shifts are one matrix.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from synth2obs.models.fit.continuum import OrthonormalContinuum
from synth2obs.physics.continuum import chebyshev_basis
from synth2obs.physics.doppler import velocity_of_shift

STEP = 0.7
"""Of the survey's σ: the bins in which spectra are correlated."""

COARSE = 8
"""Nodes over which inverse variances are taken as constant where they only scale the gain."""

ORDER = 6
"""Degree of the polynomial that takes the continuum off a template."""


class Templates:
    """Theory at the survey's resolution, ready to be correlated.

    Args:
        flux: Rest-frame spectra, shape (T, L), on a grid uniform in ln λ inside its bands.
        log_wave: ln λ of that grid, shape (L,).
        sigma: The survey's σ in ln λ.
        span: Lowest and highest shift in ln λ.
    """

    def __init__(self, flux: Tensor, log_wave: Tensor, sigma: float, span: tuple[float, float]) -> None:
        self.step, self.start = STEP * sigma, float(log_wave[0])
        self.low, high = math.floor(span[0] / self.step) - 1, math.ceil(span[1] / self.step) + 1
        self.margin = max(-self.low, high, 0) + 1
        self.nodes = round((float(log_wave[-1]) - self.start) / self.step) + 1
        binned = self._binned(_blurred(flux, log_wave, sigma), log_wave)
        self.shifted = self._shifted(binned, high)
        self.power = _coarse(self.shifted.square())

    def _shifted(self, binned: Tensor, high: int) -> Tensor:
        """Every template at every shift, shape (T, shifts, nodes + 2 margin)."""
        reach = self.margin + max(-self.low, high, 0)
        padded = pad(binned, (reach, reach))
        windows = padded.unfold(1, self.nodes + 2 * self.margin, 1)
        first = reach - self.margin - high
        return windows[:, first : first + high - self.low + 1].flip(1).contiguous()

    def _binned(self, flux: Tensor, log_wave: Tensor) -> Tensor:
        """Mean at every node minus 1, its continuum taken off; 0 where the grid has a hole, shape (T, nodes)."""
        place = ((log_wave - self.start) / self.step).round().long()
        count = torch.bincount(place, minlength=self.nodes)
        total = flux.new_zeros(len(flux), self.nodes).index_add_(1, place, flux)
        mean = total / count.clamp(min=1)
        x = torch.arange(1, self.nodes + 1, dtype=torch.float64)
        basis = chebyshev_basis(x, torch.zeros(self.nodes), ORDER)
        weight = (count > 0).float().expand(len(flux), -1)
        fitted = OrthonormalContinuum.over(basis, weight).profile(torch.ones_like(mean), mean, weight)
        return (mean / fitted.values.clamp(min=0.1) - 1.0) * weight

    def velocity(self, contrast: Tensor, weight: Tensor, log_wave: Tensor) -> tuple[Tensor, Tensor]:
        """Velocities with the largest gain in χ².

        Args:
            contrast: Flux over continuum, minus 1, shape (B, P).
            weight: Its inverse variance, 0 where masked, shape (B, P).
            log_wave: ln λ of the pixels, shape (P,) or (B, P).

        Returns:
            km/s, shape (B,), float64, and the gain in χ², shape (B,); 0 for stars without a good pixel.
        """
        place = ((log_wave - self.start) / self.step).round().long() + self.margin
        size = self.nodes + 2 * self.margin
        used = (weight * ((place >= 0) & (place < size))).float()
        place = place.clamp(0, size - 1).expand(weight.shape)
        signal = used.new_zeros(len(weight), size).scatter_add_(1, place, used * contrast.float())
        mass = used.new_zeros(len(weight), size).scatter_add_(1, place, used)
        gain = self._gain(signal, mass)
        best = gain.flatten(1).argmax(1)
        template, shift = best // gain.shape[2], best % gain.shape[2]
        curve = gain[torch.arange(len(gain)), template]
        found = (shift + _vertex(curve, shift) + self.low).double() * self.step
        value = curve.gather(1, shift[:, None])[:, 0]
        return torch.where(value > 0, velocity_of_shift(found), 0.0), value

    def _gain(self, signal: Tensor, mass: Tensor) -> Tensor:
        """Gain in χ² of every template at every shift, shape (B, T, shifts)."""
        kinds = self.shifted.shape[:2]
        amplitude = (signal @ self.shifted.flatten(0, 1).T).unflatten(1, kinds).clamp(min=0.0)
        power = (_coarse(mass) @ self.power.flatten(0, 1).T).unflatten(1, kinds) / COARSE
        floor = 1e-4 * power.amax(-1, keepdim=True).clamp(min=1e-30)
        return amplitude.square() / power.clamp(min=floor)


def _coarse(values: Tensor) -> Tensor:
    """Sums over COARSE nodes."""
    return pad(values, (0, -values.shape[-1] % COARSE)).unflatten(-1, (-1, COARSE)).sum(-1)


def contrast(flux: Tensor, ivar: Tensor, continuum: Tensor) -> tuple[Tensor, Tensor]:
    """Flux over its own continuum minus 1, and the inverse variance of that; all (B, P)."""
    level = (
        OrthonormalContinuum.over(continuum, ivar).profile(torch.ones_like(flux), flux, ivar.float()).values
    )
    good = (ivar > 0) & (level > 0)
    safe = level.where(good, 1.0)
    return (flux / safe - 1.0).clamp(-1.0, 1.0) * good, ivar * safe.square() * good


def _blurred(flux: Tensor, log_wave: Tensor, sigma: float) -> Tensor:
    """Spectra at the survey's resolution, near enough for a template."""
    width = sigma / float(log_wave.diff().median())
    half = math.ceil(4.0 * width)
    kernel = torch.exp(-0.5 * (torch.arange(-half, half + 1) / width) ** 2).to(flux)
    padded = pad(flux[:, None], (half, half), mode="replicate")
    return conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0]


def _vertex(curve: Tensor, place: Tensor) -> Tensor:
    """Offset of the top of a parabola through a maximum and its neighbours, within half a step."""
    inside = place.clamp(1, curve.shape[1] - 2)
    before, here, after = (curve.gather(1, (inside + k)[:, None])[:, 0] for k in (-1, 0, 1))
    bend = (before - 2.0 * here + after).clamp(max=-1e-30)
    return torch.where(inside == place, (0.5 * (before - after) / bend).clamp(-0.5, 0.5), 0.0)
