"""Spectra of nature as a survey would show them: velocity, line spread, pixels, continuum, masks, noise."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.physics.instrument import Instrument

GOOD_PIXELS = 0.7
"""Share of a template's star below which it lends no mask: a training would leave such a star out."""


@dataclass(frozen=True, kw_only=True)
class Defects:
    """How an instrument differs from what its files say; without arguments, in nothing.

    Args:
        line_spread: Width of lines over the width that is stated.
        zero_point: Offset of wavelengths in km/s, the same everywhere.
        stretch: Offset in km/s at the red end; the blue end has the opposite, and between it is linear in ln λ.
        noise: Noise over the noise that is stated.
    """

    line_spread: float = 1.0
    zero_point: float = 0.0
    stretch: float = 0.0
    noise: float = 1.0

    def wavelength(self, stated: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where pixels really are, in Å, given where they are said to be."""
        x = np.log(stated)
        along = (2.0 * x - x[0] - x[-1]) / max(x[-1] - x[0], 1e-12)
        return np.asarray(stated * np.exp((self.zero_point + self.stretch * along) / C_KMS))

    def distortion(self, stated: NDArray[np.float64]) -> NDArray[np.float64]:
        """Velocity in km/s by which lines lie too far to the red, given where pixels are said to be."""
        return np.asarray(C_KMS * np.tanh(np.log(stated / self.wavelength(stated))))


@dataclass(frozen=True, kw_only=True)
class Seeing:
    """How stars are seen.

    Args:
        snr: Median signal to noise of a star's good pixels.
        rv_spread: Standard deviation of velocities in km/s.
        continuum: Standard deviation of tilt and bend of ln continuum, from the middle to an end.
        defects: Of the instrument.
    """

    snr: float
    rv_spread: float
    continuum: float
    defects: Defects = Defects()


@dataclass(frozen=True)
class Observed:
    """Spectra without any label, and what is true of them.

    Args:
        spectra: As a survey would deliver them: barycentric, of unknown velocity.
        rv: True velocities in km/s, shape (N,).
        clean: Normalised flux without noise, 0 where the grid does not reach, shape (N, P).
    """

    spectra: Spectra
    rv: NDArray[np.float64]
    clean: NDArray[np.float32]


def usable_template(survey: Spectra) -> Spectra:
    """Stars of a survey that show most of the range, all on the pixels of the first; masks stay as they are.

    Raises:
        DataError: If there is none.
    """
    assert survey.ivar is not None
    stars = survey.take((np.asarray(survey.ivar) > 0).mean(1) >= GOOD_PIXELS)
    if not len(stars):
        raise DataError(
            f"no star of {survey.domain} has {GOOD_PIXELS:.0%} good pixels",
            field="simulation.template",
            remedy="choose simulation.start and simulation.stop within its range",
        )
    if stars.shared_wavelength:
        return stars
    return replace(stars, wavelength=np.asarray(stars.wavelength)[0])


def instrument_of(nature: Spectra, template: Spectra, defects: Defects) -> Instrument:
    """The real operator from nature's grid to the template's pixels, which all of its stars share."""
    spread = template.line_spread.usual
    return Instrument(
        nature.wavelength,
        defects.wavelength(np.asarray(template.wavelength, float)),
        template.segment,
        spread if defects.line_spread == 1.0 else spread.scaled(defects.line_spread),
        nature.line_spread.sigma[0],
    )


@torch.no_grad()
def observe(
    nature: Spectra,
    template: Spectra,
    seeing: Seeing,
    name: str,
    seed: int,
    rv: NDArray[np.float64] | None = None,
) -> Observed:
    """Nature's spectra, one star each, through the template's instrument.

    Every star has the good pixels and the pattern of inverse variances of a real star of the template, scaled to the
    wanted S/N, a velocity, a smooth continuum and noise of its own.

    Args:
        nature: One spectrum a star, normalised, in the rest frame, (N, L).
        template: A survey of real stars.
        seeing: How.
        name: Of the survey; stars are numbered after it.
        seed: Of all that is drawn.
        rv: Velocities in km/s, shape (N,); drawn if None.
    """
    assert template.ivar is not None
    random, count = np.random.default_rng(seed), len(nature)
    instrument = instrument_of(nature, template, seeing.defects)
    rv = random.normal(0.0, seeing.rv_spread, count) if rv is None else rv
    velocity = torch.from_numpy(rv)
    clean = instrument(torch.from_numpy(np.asarray(nature.flux, np.float32)), velocity).numpy()
    covered = instrument.valid(velocity).numpy()
    level = _continuum(count, clean.shape[1], seeing.continuum, random)
    flux = np.where(covered, clean * level, 0.0)
    ivar = _pattern(template, flux, covered, seeing.snr, random)
    good = ivar > 0
    sigma = np.where(good, 1.0 / np.sqrt(np.where(good, ivar, 1.0)), 0.0)
    noisy = flux + seeing.defects.noise * sigma * random.normal(size=flux.shape)
    missing = np.full(count, np.nan)
    spectra = Spectra(
        domain=name,
        kind="survey",
        wavelength=template.wavelength,
        segment=template.segment,
        flux=np.where(good, noisy, 0.0).astype(np.float32),
        ivar=ivar.astype(np.float32),
        id=np.array([f"{name}_{row:05d}" for row in range(count)]),
        line_spread=_shared(template, count),
        rv=missing,
        rv_error=missing,
        snr=np.full(count, seeing.snr),
        frame="barycentric",
        flux_kind="relative",
        provenance={"title": f"simulated through the instrument of {template.domain}"},
    )
    return Observed(spectra, rv, np.where(covered, clean, 0.0).astype(np.float32))


def _shared(template: Spectra, count: int) -> LineSpread:
    usual = template.line_spread.usual
    return usual.take(np.zeros(count, int))


def _continuum(count: int, pixels: int, spread: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Smooth and positive, shape (N, P)."""
    x = np.linspace(-1.0, 1.0, pixels)
    tilt, bend = spread * random.normal(size=(2, count, 1))
    return np.asarray(np.exp(tilt * x + bend * x**2))


def _pattern(
    template: Spectra,
    flux: NDArray[np.float64],
    covered: NDArray[np.bool_],
    snr: float,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Inverse variances as those of real stars drawn at random, scaled to a median S/N, shape (N, P)."""
    assert template.ivar is not None
    chosen = random.integers(len(template), size=len(flux))
    ivar = np.where(covered, np.asarray(template.ivar, float)[chosen], 0.0)
    ratio = np.where(ivar > 0, flux * np.sqrt(ivar), np.nan)
    if np.isnan(ratio).all(1).any():
        raise DataError(
            "no pixel of a star is good and covered by the grid",
            field="simulation.template",
            remedy="choose simulation.start and simulation.stop within both",
        )
    return np.asarray(ivar * (snr / np.nanmedian(ratio, axis=1, keepdims=True)) ** 2)
