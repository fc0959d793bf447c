"""What a survey's spectra leave of a model: learned numbers, from which each star's covariance follows."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from synth2obs.models.noise.covariance import Noise, joined_pixels

NUMBERS = ("white", "narrow", "wide", "length")
"""What is learned of a survey's noise beside its scatter s(λ)."""


class TheoryErrors(NamedTuple):
    """σ of theory's error in units of the flux, shape (B, P) each: as a fit weighs it, and as χ² counts it."""

    weighed: Tensor
    left: Tensor


class SurveyNoise(nn.Module):
    r"""Covariance of residuals in units of the continuum, :math:`C = k\,\sigma^2 + a\,s^2 + b\,s K s`.

    The error of theory has two parts. One is as narrow as a line: at the frequencies at which spectra tell labels it is
    white, and counts ``narrow`` times its variance because that many pixels err together. The other is wider than a
    line, with an exponential correlation K.

    Buffers, each with its ``…_error``:
        white: k, factor on the variance that the survey quotes.
        narrow: a, share of s² that is narrow, times the pixels that err together.
        wide: b, share of s² that is wide.
        length: ℓ in ln λ, over which K falls by e.
    """

    white: Tensor
    white_error: Tensor
    narrow: Tensor
    wide: Tensor
    length: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, value in zip(NUMBERS, (1.0, 1.0, 0.0, 0.0), strict=True):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))
            self.register_buffer(f"{name}_error", torch.tensor(torch.nan, dtype=torch.float64))

    @property
    def correlated(self) -> bool:
        """Whether there is a wide part."""
        return float(self.wide) > 0 and float(self.length) > 0

    @property
    def factor(self) -> tuple[float, float]:
        """Noise over what the survey quotes, √k, and its error."""
        value = float(self.white.sqrt())
        return value, 0.5 * float(self.white_error) / value

    def pixels(self, step: float) -> float:
        """Neighbouring pixels, ``step`` apart in ln λ, that carry one pixel's information about a broad feature."""
        if not self.correlated:
            return float(self.narrow)
        rho = float(torch.exp(-step / self.length))
        return float(self.narrow + self.wide * (1.0 + rho) / (1.0 - rho))

    def of(self, ivar: Tensor, error: TheoryErrors | None, log_wave: Tensor, segment: Tensor) -> Noise:
        """Covariance of spectra.

        Args:
            ivar: As the survey quotes it, shape (B, P); 0 where masked.
            error: Theory's; None: there is none.
            log_wave: ln λ of the pixels, shape (P,) or (B, P).
            segment: Detector of each pixel, shape (P,).
        """
        variance = float(self.white) / ivar.clamp(min=1e-30)
        if error is None:
            return Noise(torch.where(ivar > 0, 1.0 / variance, 0.0))
        narrow = variance + float(self.narrow) * error.weighed.square()
        white = torch.where(ivar > 0, 1.0 / narrow, 0.0)
        single = torch.where(ivar > 0, 1.0 / (variance + error.left.square()), 0.0)
        if not self.correlated:
            return Noise(white, single=single)
        joined = joined_pixels(log_wave, segment, float(self.length))
        return Noise(white, float(self.wide) ** 0.5 * error.weighed, joined, single)
