"""Laws of every reader, over every layout of native files."""

import dataclasses
import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.interop import from_specutils, to_specutils
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.io.surveys import READERS, find_survey, read_survey
from synth2obs.io.surveys.survey import make_options, parse_options

SPEC = importlib.util.spec_from_file_location("native_layouts", Path(__file__).with_name("native_files.py"))
NATIVE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(NATIVE)

LINES = {"apogee": 16811.1, "desi": 6564.61, "gaia_rvs": 8544.44, "sdss5_apogee": 16811.1}
"""A line of the made-up stars in vacuum Å; Hα in all others."""


@pytest.fixture(params=NATIVE.LAYOUTS, scope="module")
def layout(request, tmp_path_factory):
    """Survey, files, options and the spectra that were read."""
    folder = tmp_path_factory.mktemp("layout")
    survey, paths, options = NATIVE.LAYOUTS[request.param](folder)
    return survey, paths, options, read_survey(survey, paths, **options)


def domain(survey):
    return Path(survey).stem if survey.endswith(".toml") else survey


def test_every_survey_has_a_layout(tmp_path):
    covered = set()
    for number, make in enumerate(NATIVE.LAYOUTS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        covered.add(make(folder)[0])
    assert set(READERS) <= covered


def test_a_shard_of_it_is_valid_and_the_same(layout, tmp_path):
    *_, spectra = layout
    path = write_shard(spectra, tmp_path / "a.h5")
    assert check_shard(path) == []
    back = read_shard(path)
    np.testing.assert_array_equal(back.flux, spectra.flux.astype(np.float32))
    np.testing.assert_array_equal(back.id, spectra.id)
    assert set(back.native) == set(spectra.native) and back.provenance == spectra.provenance


def test_good_pixels_have_errors_and_bad_ones_no_flux(layout):
    *_, spectra = layout
    good = spectra.ivar > 0
    assert good.any(axis=1).all() and (spectra.flux[~good] == 0).all()
    assert np.isfinite(spectra.flux).all() and np.isfinite(spectra.ivar).all()
    assert (spectra.snr > 20).all()


def test_the_star_s_line_is_where_its_velocity_says_in_vacuum(layout):
    """In air it would be 80 km/s away (H band: 82)."""
    survey, _, _, spectra = layout
    for row in range(len(spectra)):
        axis = spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[row]
        rv = spectra.rv[row]
        centre = LINES.get(survey, 6564.61) * (
            1 + (rv if np.isfinite(rv) else known_velocity(survey)) / C_KMS
        )
        speed = (axis / centre - 1) * C_KMS
        near = (np.abs(speed) < 400) & (spectra.ivar[row] > 0)
        depth = np.clip(np.percentile(spectra.flux[row, near], 90) - spectra.flux[row, near], 0, None) ** 2
        assert abs((speed[near] * depth).sum() / depth.sum()) < 8


def known_velocity(survey):
    """Of made-up stars whose files do not say it."""
    return {"lamost_mrs": 30.0, "desi": 15.0}.get(survey, 25.0 if survey.endswith(".toml") else 0.0)


def test_names_are_unique_and_files_are_known_by_their_digest(layout):
    _, paths, _, spectra = layout
    assert len(set(spectra.id)) == len(spectra)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    for names, values in zip(spectra.native["file"], spectra.native["sha256"], strict=True):
        pairs = dict(zip(names.split(" / "), values.split(" / "), strict=True))
        assert pairs == {name: digests[name] for name in pairs}
    assert spectra.provenance["sources"]["files"] == len(paths)


def test_frame_and_velocity_go_together(layout):
    *_, spectra = layout
    assert spectra.frame in ("rest", "barycentric")
    if spectra.frame == "rest":
        assert (spectra.rv == 0).all()


def test_flags_have_names(layout):
    *_, spectra = layout
    if spectra.flags is not None:
        used = np.bitwise_or.reduce(spectra.flags, axis=None)
        assert used and all(bit in spectra.flag_names for bit in range(32) if used >> bit & 1)


def test_through_specutils_and_back(layout):
    *_, spectra = layout
    for number in np.unique(spectra.segment):
        one = spectra.cut(spectra.segment == number)
        back = from_specutils(
            to_specutils(one), survey="x", medium="vacuum", lsf_sigma=1.0, rv=spectra.rv, frame=spectra.frame
        )
        np.testing.assert_allclose(back.wavelength, np.broadcast_to(one.wavelength, back.wavelength.shape))
        np.testing.assert_array_equal(back.flux, one.flux)
        np.testing.assert_allclose(back.ivar, one.ivar, rtol=1e-6)


def test_reading_twice_gives_the_same(layout):
    survey, paths, options, spectra = layout
    again = read_survey(survey, paths, **options)
    for item in dataclasses.fields(again):
        one, other = getattr(spectra, item.name), getattr(again, item.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)


def test_a_wrong_medium_would_be_noticed(layout):
    """Treating vacuum as air moves a line by 80 km/s, ten times what the test of lines allows."""
    *_, spectra = layout
    moved = air_to_vacuum(spectra.wavelength)
    assert np.min(np.abs(moved / spectra.wavelength - 1)) * C_KMS > 70


@pytest.mark.parametrize("name", READERS)
def test_unknown_options_are_refused_with_the_known_ones(name):
    survey = find_survey(name)
    with pytest.raises(DataError, match=f"{name} takes no colour"):
        make_options(survey, {"colour": "red"})


@pytest.mark.parametrize("name", READERS)
def test_no_files(name):
    with pytest.raises(DataError, match="no files"):
        read_survey(name, [])


def test_compressed_files_are_the_same(tmp_path):
    path = NATIVE.lamost_lrs(tmp_path / "a.fits")
    with fits.open(path) as hdus:
        hdus.writeto(tmp_path / "a.fits.gz")
    plain, zipped = (read_survey("lamost_lrs", [tmp_path / name]) for name in ("a.fits", "a.fits.gz"))
    np.testing.assert_array_equal(plain.flux, zipped.flux)
    assert plain.id == zipped.id


def test_options_of_a_command_line():
    given = parse_options(["spectra=visits", "resolving_power=20000", "lsf="])
    assert given == {"spectra": "visits", "resolving_power": "20000", "lsf": ""}
    options = make_options(find_survey("apogee"), {"spectra": "visits", "resolving_power": "20000"})
    assert options.spectra == "visits" and options.resolving_power == 20000.0
    for pairs in (["visits"], ["=visits"], ["a=1", "a=2"]):
        with pytest.raises(DataError, match="option: got"):
            parse_options(pairs)
