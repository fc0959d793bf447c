"""The layers against PyAstronomy and specutils; every tolerance is the size of an approximation of theirs."""

import math
import warnings
from collections.abc import Callable

import astropy.units as u
import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline
from specutils import Spectrum
from specutils.manipulation import FluxConservingResampler

from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.wavelengths import log_grid
from synth2obs.physics import Instrument, broaden_by_rotation

CENTRES = np.array([5005.0, 5009.3, 5010.1, 5014.9])
DEPTHS = np.array([0.5, 0.3, 0.6, 0.2])
LINE = 1.2e-5
"""σ of the theory's lines in ln λ: 3.6 km/s."""

STEEPEST = 0.6 * math.exp(-0.5) / LINE
"""Largest slope of the theory, per unit of ln λ."""


def theory(wavelength: np.ndarray) -> np.ndarray:
    """Normalised flux with a few Gaussian lines, at any wavelength in Å."""
    distance = np.log(wavelength[:, None] / CENTRES) / LINE
    return 1.0 - (DEPTHS * np.exp(-0.5 * distance**2)).sum(1)


def rest_grid(samples_per_line: float) -> np.ndarray:
    return log_grid(4998.0, 5022.0, LINE / samples_per_line)


def ours(wavelength: np.ndarray, spread: Callable[[torch.Tensor, float], torch.Tensor]) -> np.ndarray:
    """A layer on a rest grid with 10 samples per line σ, read off at wavelengths in Å by a spline good to 1e-6."""
    rest = rest_grid(10.0)
    flux = spread(torch.from_numpy(theory(rest))[None], LINE / 10.0)[0]
    return CubicSpline(np.log(rest), flux.numpy())(np.log(wavelength))


@pytest.fixture(scope="module")
def pyasl():
    """PyAstronomy leaves out half of itself, silently, when a warning of its imports is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("PyAstronomy.pyasl", reason="comes with the extra [bench]")


def at_points(rest: np.ndarray, pixels: np.ndarray, sigma: float | np.ndarray) -> np.ndarray:
    """Our instrument for a star at rest, on a rest grid of infinite resolution; σ in Å."""
    segment = np.zeros(len(pixels))
    instrument = Instrument(
        rest, pixels, segment, LineSpread.gaussian(np.broadcast_to(sigma, pixels.shape)), 0.0
    )
    flux = torch.from_numpy(theory(rest))[None]
    return instrument(flux, torch.zeros(1, dtype=torch.float64))[0].numpy()


@pytest.mark.parametrize("epsilon", [0.0, 0.6, 1.0])
def test_rotation_is_that_of_rotbroad(pyasl, epsilon):
    """`rotBroad` samples the profile at the points of a uniform grid in Å, as a function of y = Δλ / λ.

    Δx = y + y²/2 + …, so that it differs by half the profile's second moment (β²/4 for ε = 0) times the slope of
    the theory. Points at a distance d miss the profile's square-root ends by c (d / β λ)^1.5: a grid four
    times finer leaves an eighth.
    """
    vsini = 30.0
    nonlinear = (vsini / C_KMS) ** 2 / 8.0 * STEEPEST
    for spacing, sampling in ((0.02, 1.6e-4), (0.005, 2e-5)):
        wave = np.arange(5003.0, 5017.0, spacing)
        theirs = pyasl.rotBroad(wave, theory(wave), epsilon, vsini)
        same = ours(wave, lambda flux, step: broaden_by_rotation(flux, step, vsini, epsilon))
        assert np.abs(theirs - same).max() < sampling + nonlinear


def test_rotation_is_that_of_fastrotbroad_at_the_velocity_it_uses(pyasl):
    """`fastRotBroad` uses one kernel in Å, that of `effWvl`: at another wavelength λ it is that of vsini effWvl / λ.

    Inside ±1 Å of a line the velocity that fits varies by 2e-4 of itself; the rest is as for `rotBroad`.
    """
    vsini, effective, wave = 30.0, 5100.0, np.arange(5000.0, 5020.0, 0.005)
    theirs = pyasl.fastRotBroad(wave, theory(wave), 0.6, vsini, effWvl=effective)
    for centre in CENTRES:
        near = np.abs(wave - centre) < 1.0
        errors = []
        for used in (vsini, vsini * effective / centre):
            same = ours(wave[near], lambda flux, step, used=used: broaden_by_rotation(flux, step, used))
            errors.append(np.abs(theirs[near] - same).max())
        assert errors[1] < 6e-5 < 10 * 6e-5 < errors[0], (centre, errors)


def test_line_spread_is_that_of_instrbroadgaussfast(pyasl):
    """`instrBroadGaussFast` gives values at points, the instrument means over pixels: f + p² f″ / 24.

    It uses one σ in Å for the whole range, which a `LineSpread` can too. What is left is the next order of the mean and
    σ²/2 (in x) times the slope, since a Gaussian in Å is not quite one in ln λ.
    """
    wave = np.arange(5000.0, 5020.0, 0.02)
    theirs, fwhm = pyasl.instrBroadGaussFast(wave, theory(wave), 20_000, fullout=True, maxsig=8)
    means = theirs[1:-1] + np.diff(theirs, 2) / 24.0
    inner = slice(150, -150)
    pixels = wave[1:-1][inner]
    got = at_points(rest_grid(3.0), pixels, fwhm / FWHM_PER_SIGMA)
    assert np.abs(got - theirs[1:-1][inner]).max() > 1e-4
    assert np.abs(got - means[inner]).max() < 4e-6


@pytest.mark.parametrize("samples_per_line", [4.0, 16.0])
def test_pixels_are_those_of_specutils_where_the_line_spread_is_negligible(samples_per_line):
    """`FluxConservingResampler` takes the theory as constant in bins of width h around its samples.

    Where a pixel of width P cuts a bin, it errs by up to slope · h²/8, at either end. The mean over λ instead of
    x is a shift by P²/12; a line of the depth D has at most the slope D / P after the mean.
    """
    pixels = np.arange(5003.0, 5017.0, 0.25)
    rest, step, width = rest_grid(samples_per_line), LINE / samples_per_line, 0.25 / 5010.0
    spectrum = Spectrum(flux=theory(rest) * u.one, spectral_axis=rest * u.AA)
    theirs = FluxConservingResampler()(spectrum, pixels * u.AA).flux.value
    difference = np.abs(at_points(rest, pixels, 1e-6 * pixels * step) - theirs).max()
    assert theirs.min() < 0.8
    assert difference < STEEPEST * step**2 / (4.0 * width) + 0.6 * width / 12.0
