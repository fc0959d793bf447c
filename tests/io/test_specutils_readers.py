"""specutils reads some of these files, too: where its numbers are ours, and where it is wrong."""

import warnings

import numpy as np
import pytest

from synth2obs.io.air import air_to_vacuum
from synth2obs.io.surveys import read_survey


@pytest.fixture
def specutils():
    """The module, whose readers warn of much."""
    module = pytest.importorskip("specutils")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield module


def test_apstar(native, specutils, tmp_path):
    """specutils gives row 0 without the mask; numbers and wavelengths are ours."""
    path = native.apstar(tmp_path / "apStar-dr17-2M00000001+0000001.fits")
    own, theirs = read_survey("apogee", [path]), specutils.Spectrum.read(path, format="APOGEE apStar")
    good = own.ivar[0] > 0
    np.testing.assert_allclose(own.wavelength, theirs.spectral_axis.to_value("Angstrom"), rtol=1e-9)
    np.testing.assert_allclose(own.flux[0, good], theirs.flux.value[good], rtol=1e-6)
    np.testing.assert_allclose(own.ivar[0, good] ** -0.5, theirs.uncertainty.array[good], rtol=1e-6)


def test_desi(native, specutils, tmp_path):
    path = native.desi(tmp_path / "coadd-sv3-dark-1.fits")
    own = read_survey("desi", [path])
    theirs = specutils.SpectrumList.read(path, format="DESI coadd")
    assert len(theirs) == 3
    for number, arm in enumerate(theirs):
        part = own.segment == number
        np.testing.assert_allclose(own.wavelength[part], arm.spectral_axis.to_value("Angstrom"), rtol=1e-9)
        good = own.ivar[0, part] > 0
        np.testing.assert_allclose(own.flux[0, part][good], arm.flux.value[0, good], rtol=1e-6)


def test_galah_dr3_errors_are_relative_and_specutils_takes_them_for_absolute(native, specutils, tmp_path):
    (path,) = native.galah_dr3(tmp_path, ccds=(2,))
    own = read_survey("galah", [path], flux="counts")
    spectra = specutils.SpectrumList.read(path, format="GALAH")
    (theirs,) = [one for one in spectra if one.meta["purpose"] == "reduced"]
    part = own.segment == 1
    good = own.ivar[0, part] > 0
    axis = theirs.spectral_axis.to_value("Angstrom")
    np.testing.assert_allclose(own.wavelength[part][: len(axis)], air_to_vacuum(axis), rtol=1e-9)
    flux, error = theirs.flux.value, theirs.uncertainty.array
    inside = good[: len(axis)]
    np.testing.assert_allclose(own.flux[0, part][: len(axis)][inside], flux[inside], rtol=1e-6)
    ours = own.ivar[0, part][: len(axis)][inside] ** -0.5
    np.testing.assert_allclose(ours, error[inside] * flux[inside], rtol=1e-5)
    assert np.median(ours / error[inside]) > 1000
