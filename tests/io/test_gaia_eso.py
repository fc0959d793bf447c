"""No native file was at hand: the fixture is written by ESO's Phase 3 standard for one-dimensional spectra."""

import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.surveys import read_survey


def read(*paths, **options):
    return read_survey("gaia_eso", paths, **options)


@pytest.mark.parametrize(("medium", "formula"), [("air", "Morton2000"), ("vacuum", "")])
def test_medium_by_ucd(native, tmp_path, medium, formula):
    spectra = read(native.eso_phase3(tmp_path / "a.fits", medium))
    start = air_to_vacuum(4800.0) if medium == "air" else 4800.0
    assert spectra.wavelength[0] == pytest.approx(float(start), abs=1e-6) and spectra.air_formula == formula


def test_columns_by_ucd_detectors_by_gap_and_quality(native, tmp_path):
    spectra = read(native.eso_phase3(tmp_path / "a.fits"))
    assert np.bincount(spectra.segment).tolist() == [4000, 6000]
    assert np.median(spectra.flux) == pytest.approx(1, abs=0.01)
    assert np.nonzero(spectra.ivar[0] == 0)[0].tolist() == [3, 4] and spectra.flags[0, 3] == 2
    np.testing.assert_allclose(spectra.wavelength / spectra.line_spread.sigma[0] / FWHM_PER_SIGMA, 21500)
    assert spectra.id.tolist() == ["ADP.2020-01-01T00:00:00.000"] and spectra.native["object"] == ["GES J1"]


@pytest.mark.parametrize(
    ("cards", "kind"),
    [
        ({}, "normalized"),
        ({"CONTNORM": False}, "relative"),
        ({"CONTNORM": False, "FLUXCAL": "ABSOLUTE"}, "absolute"),
    ],
)
def test_kind_of_flux(native, tmp_path, cards, kind):
    spectra = read(native.eso_phase3(tmp_path / "a.fits", **cards))
    assert spectra.flux_kind == kind
    assert np.median(spectra.flux) == pytest.approx(1e16 if kind == "absolute" else 1.0, rel=0.01)


@pytest.mark.parametrize(
    ("system", "frame"), [("BARYCENT", "barycentric"), ("HELIOCEN", "barycentric"), ("SOURCE", "rest")]
)
def test_frame(native, tmp_path, system, frame):
    assert read(native.eso_phase3(tmp_path / "a.fits", SPECSYS=system)).frame == frame


@pytest.mark.parametrize(
    ("medium", "cards", "words"),
    [
        ("unknown", {}, "WAVE: has UCD '', which says neither air nor vacuum; say medium=air"),
        ("air", {"SPECSYS": "TOPOCENT"}, "SPECSYS: is 'TOPOCENT'"),
        ("air", {"SPECSYS": None}, "SPECSYS: is ''"),
        ("air", {"CONTNORM": None}, "CONTNORM: must be T or F"),
        ("air", {"SPEC_RES": None}, "SPEC_RES: .*resolving_power"),
    ],
)
def test_what_a_file_leaves_open_is_asked_for(native, tmp_path, medium, cards, words):
    with pytest.raises(DataError, match=rf"a\.fits: {words}"):
        read(native.eso_phase3(tmp_path / "a.fits", medium, **cards))


def test_what_is_asked_for_can_be_said(native, tmp_path):
    path = native.eso_phase3(tmp_path / "a.fits", "unknown", SPEC_RES=None)
    spectra = read(path, medium="vacuum", resolving_power=47000, pixels=10100)
    assert spectra.wavelength[0] == pytest.approx(4800.0) and spectra.flux.shape == (1, 10100)
    assert (spectra.ivar[0, 10000:] == 0).all()


def test_another_product_is_refused(native, tmp_path):
    words = "has no table SPECTRUM, nor another with wavelength, flux and error, but PRIMARY"
    with pytest.raises(DataError, match=words):
        read(native.apstar(tmp_path / "a.fits"))


@pytest.mark.parametrize("name", ["phase3spectrum", "Extension 1", ""])
def test_a_table_by_its_columns_whatever_its_name(native, tmp_path, name):
    path = native.eso_phase3(tmp_path / "a.fits")
    expected = read(path)
    with fits.open(path, mode="update") as hdus:
        hdus[1].header["EXTNAME"] = name
        hdus.insert(1, fits.BinTableHDU.from_columns([fits.Column("WAVE", "D", array=[1.0])], name="OTHER"))
    np.testing.assert_array_equal(read(path).flux, expected.flux)


@pytest.mark.parametrize(
    ("ucd", "first"),
    [
        ("em.wl;meta.main", 4800.0),
        ("EM.WL; META.MAIN", 4800.0),
        ("em.wl", 4800.0),
        ("em.wl;meta.main;obs.atmos", 4801.34),
        ("em.wl;obs.atmos;meta.main", 4801.34),
    ],
)
def test_air_is_a_word_of_the_ucd(native, tmp_path, ucd, first):
    path = native.eso_phase3(tmp_path / "a.fits")
    fits.setval(path, "TUCD1", value=ucd, ext=1)
    assert read(path).wavelength[0] == pytest.approx(first, abs=0.01)


def test_ids_are_whole_names(native, tmp_path):
    paths = [
        native.eso_phase3(tmp_path / f"ADP.2015-09-10T12:34:56.{n}.fits", ARCFILE=None) for n in (123, 456)
    ]
    spectra = read_survey("gaia_eso", paths)
    assert spectra.id.tolist() == [path.name.removesuffix(".fits") for path in paths]


@pytest.mark.parametrize("value", [1e-3, 1.0, 1e9])
def test_a_resolution_of_no_instrument(native, tmp_path, value):
    with pytest.raises(DataError, match="SPEC_RES: is .*not within"):
        read(native.eso_phase3(tmp_path / "a.fits", SPEC_RES=value))
