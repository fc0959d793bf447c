"""What a survey's spectra leave of a model: learned numbers, from which each star's covariance follows."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth2obs.models.noise.covariance import Noise, joined_pixels

NUMBERS = ("white", "narrow", "wide", "length")
"""What is learned of a survey's noise beside its scatter s(λ)."""


NODES = 16
"""Wavelengths at which a factor on quoted errors is known: some 250 Å apart over 4000 Å."""


class ErrorScale(NamedTuple):
    """What repeats say of a survey's errors (`models.noise.repeats`). K nodes.

    Args:
        log_wave: ln λ of the nodes, increasing, shape (K,).
        scale: e, factor on quoted σ, shape (K,).
        scale_error: Shape (K,); NaN from fewer than two stars.
        floor: φ, the error that goes with the flux, as a fraction of it.
        floor_error: Likewise.
        stars: How many took part.
    """

    log_wave: NDArray[np.float64]
    scale: NDArray[np.float64]
    scale_error: NDArray[np.float64]
    floor: float
    floor_error: float
    stars: int

    def at(self, log_wave: NDArray[np.float64]) -> NDArray[np.float64]:
        """Factor on quoted σ at ln λ, any shape; linear in its logarithm between nodes."""
        return np.asarray(np.exp(np.interp(log_wave, self.log_wave, np.log(self.scale))))


class TheoryErrors(NamedTuple):
    """σ of theory's error in units of the flux, shape (B, P) each: as a fit weighs it, and as χ² counts it."""

    weighed: Tensor
    left: Tensor


class SurveyNoise(nn.Module):
    r"""Covariance of residuals in units of the continuum, :math:`C = k\,e^2 \sigma^2 + a\,s^2 + b\,s K s`.

    The error of theory has two parts. One is as narrow as a line: at the frequencies at which spectra tell labels it is
    white, and counts ``narrow`` times its variance because that many pixels err together. The other is wider than a
    line, with an exponential correlation K.

    Buffers, each with its ``…_error``:
        white: k, factor on the variance that the survey quotes, times e².
        narrow: a, share of s² that is narrow, times the pixels that err together.
        wide: b, share of s² that is wide.
        length: ℓ in ln λ, over which K falls by e.
        scale: e, factor on quoted σ by repeats, at the nodes ``scale_at`` in ln λ, shape (K,); 1 without repeats.
        floor: What repeats show beside it, as a fraction of the flux. It is part of s, which is learned with it.
        repeated: Stars that taught these two.
    """

    white: Tensor
    white_error: Tensor
    narrow: Tensor
    wide: Tensor
    length: Tensor
    scale_at: Tensor
    scale: Tensor
    scale_error: Tensor
    floor: Tensor
    floor_error: Tensor
    repeated: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, value in zip(NUMBERS, (1.0, 1.0, 0.0, 0.0), strict=True):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))
            self.register_buffer(f"{name}_error", torch.tensor(torch.nan, dtype=torch.float64))
        for name, start in _as_quoted().items():
            self.register_buffer(name, start)

    def believe(self, found: ErrorScale) -> None:
        """Take errors for what repeats say; ``found`` has `NODES` nodes."""
        arrays = (found.log_wave, found.scale, found.scale_error, found.floor, found.floor_error, found.stars)
        for name, value in zip(_as_quoted(), arrays, strict=True):
            getattr(self, name).copy_(torch.as_tensor(value))

    def error_scale(self, log_wave: Tensor) -> Tensor:
        """Factor e on quoted σ at ln λ, any shape; linear in its logarithm between nodes."""
        if not float(self.repeated):
            return torch.ones_like(log_wave)
        nodes, values = self.scale_at, self.scale.log()
        at = log_wave.double().clamp(nodes[0], nodes[-1])
        right = torch.searchsorted(nodes, at.contiguous()).clamp(1, len(nodes) - 1)
        share = (at - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
        return torch.exp((1.0 - share) * values[right - 1] + share * values[right]).to(log_wave)

    def variance(self, ivar: Tensor, log_wave: Tensor, least: float = 1e-20) -> Tensor:
        """Of the noise, k e² σ².

        Args:
            ivar: As the survey quotes it, shape (B, P), at least ``least``.
            log_wave: ln λ, shape (P,) or (B, P); that of the rest frame is near enough, e being smooth.
        """
        return float(self.white) * self.error_scale(log_wave).square().to(ivar) / ivar.clamp(min=least)

    @property
    def correlated(self) -> bool:
        """Whether there is a wide part."""
        return float(self.wide) > 0 and float(self.length) > 0

    @property
    def factor(self) -> tuple[float, float]:
        """Noise over what the survey quotes, √k times the typical e, and its error given e."""
        root, typical = float(self.white.sqrt()), float(self.scale.log().mean().exp())
        return root * typical, 0.5 * typical * float(self.white_error) / root

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
        variance = self.variance(ivar, log_wave, 1e-30)
        if error is None:
            return Noise(torch.where(ivar > 0, 1.0 / variance, 0.0))
        narrow = variance + float(self.narrow) * error.weighed.square()
        white = torch.where(ivar > 0, 1.0 / narrow, 0.0)
        single = torch.where(ivar > 0, 1.0 / (variance + error.left.square()), 0.0)
        if not self.correlated:
            return Noise(white, single=single)
        joined = joined_pixels(log_wave, segment, float(self.length))
        return Noise(white, float(self.wide) ** 0.5 * error.weighed, joined, single)


def _as_quoted() -> dict[str, Tensor]:
    """Errors as a survey quotes them, of which no repeat has told otherwise."""
    ones, unknown = torch.ones(NODES, dtype=torch.float64), torch.tensor(torch.nan, dtype=torch.float64)
    return {
        "scale_at": torch.arange(NODES, dtype=torch.float64),
        "scale": ones,
        "scale_error": unknown.repeat(NODES),
        "floor": torch.zeros((), dtype=torch.float64),
        "floor_error": unknown,
        "repeated": torch.zeros((), dtype=torch.float64),
    }
