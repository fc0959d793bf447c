"""Spectra of `specutils` in the forms that people have, and in those that cannot be used."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty, UnknownUncertainty, VarianceUncertainty
from specutils import Spectrum, SpectrumCollection, SpectrumList

import synth2obs

pytestmark = pytest.mark.slow

CGS = u.Unit("erg / (s cm2 Hz)")


def one(s, row=0, unit=u.Jy, scale=1.0, kind=StdDevUncertainty, error_unit=None, factor=1.0, **extra):
    """A star as a spectrum; its flux times ``scale`` in ``unit``, its errors times ``factor`` in ``error_unit``."""
    flux, sigma = s.stars.flux[row].astype(float) * scale, s.stars.ivar[row].astype(float) ** -0.5 * scale
    power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2, UnknownUncertainty: 1}[kind]
    given = {
        "spectral_axis": s.stars.wavelength * u.AA,
        "flux": flux * unit,
        "uncertainty": kind(sigma**power * factor, unit=error_unit),
        **extra,
    }
    return Spectrum(**given)


def seen(s, spectra, **options):
    return synth2obs.encode(s.bridge, spectra, "miles", **{"medium": "vacuum", **options})


def axis(s, unit):
    return (s.stars.wavelength * u.AA).to(unit, u.spectral())


def falling(s):
    star = one(s)
    return Spectrum(
        spectral_axis=star.spectral_axis[::-1],
        flux=star.flux[::-1],
        uncertainty=StdDevUncertainty(star.uncertainty.array[::-1]),
    )


def table(s, rows=3):
    """Flux and errors of several stars."""
    sigma = s.stars.ivar[:rows].astype(float) ** -0.5
    return {"flux": s.stars.flux[:rows] * u.Jy, "uncertainty": StdDevUncertainty(sigma)}


RIGHT = {
    "plain": lambda s: one(s),
    "a variance": lambda s: one(s, kind=VarianceUncertainty),
    "an inverse variance": lambda s: one(s, kind=InverseVariance),
    "errors in mJy": lambda s: one(s, error_unit=u.mJy, factor=1e3),
    "variances in mJy²": lambda s: one(s, kind=VarianceUncertainty, error_unit=u.mJy**2, factor=1e6),
    "inverse variances in mJy⁻²": lambda s: one(s, kind=InverseVariance, error_unit=u.mJy**-2, factor=1e-6),
    "errors in percent": lambda s: one(s, unit=u.one, error_unit=u.percent, factor=100.0),
    "tiny, in cgs": lambda s: one(s, unit=CGS, scale=1e-26),
    "tiny inverse variances": lambda s: one(s, unit=CGS, scale=1e-26, kind=InverseVariance),
    "tiniest": lambda s: one(s, unit=CGS, scale=1e-60),
    "huge": lambda s: one(s, unit=u.ct, scale=1e15),
    "nm": lambda s: one(s, spectral_axis=axis(s, u.nm)),
    "Hz": lambda s: one(s, spectral_axis=axis(s, u.Hz)),
    "eV": lambda s: one(s, spectral_axis=axis(s, u.eV)),
    "wave numbers": lambda s: one(s, spectral_axis=axis(s, 1 / u.cm)),
    "falling": falling,
    "a list": lambda s: [one(s)],
    "a tuple": lambda s: (one(s),),
    "an iterator": lambda s: iter([one(s)]),
    "a SpectrumList": lambda s: SpectrumList([one(s)]),
    "a list of which one falls": lambda s: [one(s), falling(s)],
    "several rows": lambda s: Spectrum(spectral_axis=s.stars.wavelength * u.AA, **table(s)),
    "a collection": lambda s: SpectrumCollection(
        spectral_axis=np.tile(s.stars.wavelength, (3, 1)) * u.AA, **table(s)
    ),
    "a redshift": lambda s: one(s, redshift=1e-4),
}


@pytest.mark.parametrize("name", RIGHT)
def test_every_form_gives_the_same(scene, expected, name):
    found = seen(scene, RIGHT[name](scene))
    np.testing.assert_allclose(found.mean[0], expected[0], atol=0.03)


@pytest.mark.parametrize("scale", [1.0, 1e-26, 1e4, 1e12])
@pytest.mark.parametrize("mark", [1e10, 1e30, np.inf, np.nan, 0.0, -1.0])
def test_errors_that_mark_bad_pixels(scene, scale, mark):
    bad = np.arange(len(scene.stars.wavelength)) % 5 > 0
    star = one(scene, scale=scale, unit=u.one)
    marks = mark * max(scale, 1.0) if np.isfinite(mark) else mark
    error = np.where(bad, marks, star.uncertainty.array)
    spectrum = one(
        scene, flux=np.where(bad, 0.0, star.flux.value) * u.one, uncertainty=StdDevUncertainty(error)
    )
    assert seen(scene, spectrum).pixels[0] == (~bad & (scene.stars.ivar[0] > 0)).sum()


def with_errors(spectrum, uncertainty):
    """A spectrum whose errors came later, which nobody checked."""
    spectrum.uncertainty = uncertainty
    return spectrum


def with_mask(spectrum, mask):
    spectrum.mask = mask
    return spectrum


WRONG = {
    "magnitudes": (lambda s: one(s, unit=u.mag), "flux.*mag"),
    "magnitudes per Å": (lambda s: one(s, unit=u.mag / u.AA), "flux.*mag"),
    "dex": (lambda s: one(s, unit=u.dex), "flux.*dex"),
    "decibel": (lambda s: one(s, unit=u.dB), "flux.*dB"),
    "complex flux": (lambda s: one(s, flux=s.stars.flux[0] * (1 + 1j) * u.Jy), "flux"),
    "no errors": (lambda s: one(s, uncertainty=None), "uncertainty.*no errors"),
    "errors in an array": (
        lambda s: one(s, uncertainty=np.ones(len(s.stars.wavelength))),
        "uncertainty.*StdDev",
    ),
    "errors of no kind": (lambda s: one(s, kind=UnknownUncertainty), "uncertainty.*StdDev"),
    "errors of text": (
        lambda s: one(s, uncertainty=StdDevUncertainty(np.full(len(s.stars.wavelength), "a"))),
        "uncertainty",
    ),
    "errors of another length": (
        lambda s: with_errors(one(s), StdDevUncertainty(np.ones(5))),
        "uncertainty.*shape",
    ),
    "a mask of words": (lambda s: with_mask(one(s), np.full(len(s.stars.wavelength), "bad")), "mask"),
    "pixels": (
        lambda s: one(s, spectral_axis=np.arange(len(s.stars.wavelength)) * u.pix),
        "spectral_axis.*pix",
    ),
    "velocities": (lambda s: one(s, spectral_axis=s.stars.wavelength * u.km / u.s), "spectral_axis"),
    "nm that say Å": (lambda s: one(s, spectral_axis=s.stars.wavelength / 10 * u.AA), "wavelength.*nm"),
    "elsewhere": (lambda s: one(s, spectral_axis=(s.stars.wavelength + 3000) * u.AA), "wavelength"),
    "faster than light": (lambda s: one(s, radial_velocity=1e6 * u.km / u.s), "rv"),
    "other lengths": (
        lambda s: [
            one(s),
            Spectrum(
                spectral_axis=s.stars.wavelength[:50] * u.AA,
                flux=np.ones(50) * u.Jy,
                uncertainty=StdDevUncertainty(np.ones(50)),
            ),
        ],
        "spectral_axis.*different numbers",
    ),
    "a cube": (
        lambda s: Spectrum(
            spectral_axis=s.stars.wavelength * u.AA,
            flux=np.ones((2, 2, len(s.stars.wavelength))) * u.Jy,
            uncertainty=StdDevUncertainty(np.ones((2, 2, len(s.stars.wavelength)))),
        ),
        "flux.*shape",
    ),
    "an empty list": (lambda s: [], "spectra.*empty"),
    "an empty SpectrumList": (lambda s: SpectrumList([]), "spectra.*empty"),
    "a list of arrays": (lambda s: [s.stars.flux[0]], "spectra.*ndarray"),
    "a spectrum and a word": (lambda s: [one(s), "miles"], "spectra.*str"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_named(scene, refused, name):
    make, words = WRONG[name]
    refused(lambda: seen(scene, make(scene)), words)


@pytest.mark.parametrize("medium", ["", "water", None, 5])
def test_the_medium_is_said(scene, refused, medium):
    refused(lambda: seen(scene, one(scene), medium=medium), "medium")


def test_a_spectrum_without_a_good_pixel(scene):
    dark = replace(scene.stars, ivar=0 * scene.stars.ivar)
    spectrum = one(scene, mask=np.ones(len(dark.wavelength), bool))
    assert seen(scene, spectrum).pixels[0] == 0
