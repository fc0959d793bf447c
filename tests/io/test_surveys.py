import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.ingest.ingest import ingest
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.read import read_shard
from synth2obs.io.surveys import READERS, read_survey
from synth2obs.io.surveys.matches import read_matches, read_twins

LINEAR = ("miles", "stelib")
"""Surveys that publish one-dimensional images with a linear axis."""

MILES_CARDS = {"CRPIX1": 1, "CRVAL1": 3540.5, "CDELT1": 0.9, "FWHM": 2.5}
PIXELS = 600


def read_miles(paths, parameters=None):
    return read_survey("miles", paths, parameters=parameters)


def read_stelib(paths):
    return read_survey("stelib", paths)


def write(path, cards, flux=None, pixels=PIXELS):
    random = np.random.default_rng(len(path.name))
    flux = random.normal(1.0, 0.02, pixels) if flux is None else flux
    hdu = fits.PrimaryHDU(flux)
    hdu.header.update({card: value for card, value in cards.items() if value is not None})
    hdu.writeto(path, overwrite=True)
    return path


@pytest.fixture
def miles(tmp_path):
    return [write(tmp_path / f"MILES_res2.50_star_m{n:04d}V.fits", MILES_CARDS) for n in (2, 18)]


@pytest.fixture
def parameters(tmp_path):
    path = tmp_path / "MILES_params.db"
    path.write_text(
        "#MILES  Teff\n#s????\n\n  022.  7950 3.95 0.35\n  0018 5780 4.40 9999\n  0002 99999 4.0 -1.0\n"
    )
    return path


@pytest.fixture
def stelib(tmp_path):
    cards = {"CRPIX1": 1.0, "CDELT1": 1.0001, "RADVEL": 30.0}
    first = {**cards, "CRVAL1": 3201.2, "TEFF": 5780, "LOG_G": 4.4, "FE_H": -0.1}
    second = {**cards, "CRVAL1": 3199.9, "TEFF": "-", "LOG_G": "3.1", "FE_H": "-"}
    padded = np.random.default_rng(0).normal(2e-12, 2e-14, PIXELS)
    padded[-100:] = 0.0
    return [
        write(tmp_path / "STELIB_v3.2_HD002857.fits", first),
        write(tmp_path / "STELIB_v3.2_BD+1.fits", second, padded),
    ]


class TestMiles:
    def test_pixels_errors_and_labels(self, miles, parameters):
        spectra = read_miles(miles, parameters)
        np.testing.assert_allclose(spectra.wavelength, air_to_vacuum(3540.5 + 0.9 * np.arange(PIXELS)))
        assert spectra.id.tolist() == ["MILES_0002", "MILES_0018"]
        np.testing.assert_array_equal(spectra.labels["teff"], [np.nan, 5780.0])
        np.testing.assert_array_equal(spectra.labels["logg"], [4.0, 4.4])
        np.testing.assert_array_equal(spectra.labels["fe_h"], [-1.0, np.nan])
        np.testing.assert_allclose(spectra.line_spread.sigma, 2.5 / FWHM_PER_SIGMA)
        assert spectra.frame == "rest" and spectra.air_formula == "Morton2000"
        np.testing.assert_allclose(spectra.snr, 50, rtol=0.1)
        assert "Sánchez-Blázquez" in spectra.provenance["citation"][0]

    def test_without_parameters_labels_are_unknown(self, miles):
        assert np.isnan(read_miles(miles).labels["teff"]).all()

    def test_first_pixel_card(self, tmp_path):
        path = write(tmp_path / "m0001V.fits", {**MILES_CARDS, "CRPIX1": 3})
        assert read_miles([path]).wavelength[2] == pytest.approx(float(air_to_vacuum(3540.5)))

    def test_different_pixels_are_refused(self, miles, tmp_path):
        other = write(tmp_path / "m0003V.fits", {**MILES_CARDS, "CRVAL1": 3541.0})
        with pytest.raises(DataError, match=r"m0003V\.fits: wavelength.*m0002V"):
            read_miles([*miles, other])

    def test_stars_of_different_widths_are_different_groups(self, miles, tmp_path):
        other = write(tmp_path / "m0003V.fits", {**MILES_CARDS, "FWHM": 2.3})
        spectra = read_miles([*miles, other])
        assert spectra.line_spread.group.tolist() == [0, 0, 1]
        np.testing.assert_allclose(spectra.line_spread.sigma[:, 0] * FWHM_PER_SIGMA, [2.5, 2.3])

    def test_no_width_is_refused(self, miles, tmp_path):
        other = write(tmp_path / "m0003V.fits", {**MILES_CARDS, "FWHM": 0.0})
        with pytest.raises(DataError, match=r"m0003V\.fits: FWHM"):
            read_miles([*miles, other])

    def test_file_without_a_number(self, tmp_path):
        with pytest.raises(DataError, match="no MILES number"):
            read_miles([write(tmp_path / "sun.fits", MILES_CARDS)])

    @pytest.mark.parametrize("row", ["0018 5780 4.4", "0018 hot 4.4 0.0", "s18 5780 4.4 0.0"])
    def test_broken_parameter_row(self, row, miles, parameters):
        parameters.write_text(row)
        with pytest.raises(DataError, match="row must be"):
            read_miles(miles, parameters)

    def test_missing_parameter_file(self, miles, tmp_path):
        with pytest.raises(DataError, match=r"none\.db"):
            read_miles(miles, tmp_path / "none.db")


class TestStelib:
    def test_each_star_has_its_own_pixels(self, stelib):
        spectra = read_stelib(stelib)
        assert spectra.wavelength.shape == (2, PIXELS)
        for row, start in enumerate((3201.2, 3199.9)):
            expected = air_to_vacuum(start + 1.0001 * np.arange(PIXELS))
            np.testing.assert_allclose(spectra.wavelength[row], expected)
        assert spectra.id.tolist() == ["HD002857", "BD+1"]

    def test_labels_that_are_text(self, stelib):
        labels = read_stelib(stelib).labels
        np.testing.assert_array_equal(labels["teff"], [5780.0, np.nan])
        np.testing.assert_array_equal(labels["logg"], [4.4, 3.1])
        np.testing.assert_array_equal(labels["fe_h"], [-0.1, np.nan])

    def test_padding_has_no_weight_and_flux_is_scaled(self, stelib):
        spectra = read_stelib(stelib)
        assert (spectra.ivar[1, -100:] == 0).all() and (spectra.flux[1, -100:] == 0).all()
        assert (spectra.ivar[1, :-100] > 0).all()
        assert np.median(spectra.flux[1, :-100]) == pytest.approx(1.0)

    def test_star_without_flux(self, tmp_path, stelib):
        dark = write(tmp_path / "dark.fits", {"CRVAL1": 3200.0, "CDELT1": 1.0}, np.zeros(PIXELS))
        with pytest.raises(DataError, match=r"dark\.fits: has no positive flux"):
            read_stelib([*stelib, dark])


def broken(kind, path, folder):
    match kind:
        case "truncated":
            path.write_bytes(path.read_bytes()[:-3000])
        case "text":
            path.write_text("not a spectrum")
        case "empty":
            path.write_bytes(b"")
        case "missing":
            path.unlink()
        case "image":
            fits.PrimaryHDU(np.ones((4, 600))).writeto(path, overwrite=True)
        case "no data":
            fits.PrimaryHDU().writeto(path, overwrite=True)
        case "no start":
            write(path, {**MILES_CARDS, "CRVAL1": None})
        case "step as text":
            write(path, {**MILES_CARDS, "CDELT1": "0.9"})
        case "backwards":
            write(path, {**MILES_CARDS, "CDELT1": -0.9})
        case "first pixel as text":
            write(path, {**MILES_CARDS, "CRPIX1": "one"})
        case "short":
            write(path, {**MILES_CARDS, "CDELT1": 1.0 if "STELIB" in path.name else 0.9}, pixels=500)
        case "nm":
            write(path, {**MILES_CARDS, "CRVAL1": 354.05, "CDELT1": 0.09})


WORDS = {
    "truncated": "FITS",
    "text": "FITS",
    "empty": "FITS",
    "missing": "no such file",
    "image": "1 dimension",
    "no data": "NAXIS",
    "no start": "CRVAL1: header card is missing",
    "step as text": "CDELT1: header card must be a number",
    "backwards": "no increasing wavelengths",
    "first pixel as text": "no increasing wavelengths",
    "short": "pixels: 500, but .* has 600",
    "nm": "no increasing wavelengths in Å",
}


@pytest.mark.parametrize("survey", LINEAR)
@pytest.mark.parametrize("kind", WORDS)
def test_broken_native_file_is_named(survey, kind, miles, stelib, tmp_path):
    paths = {"miles": miles, "stelib": stelib}[survey]
    broken(kind, paths[1], tmp_path)
    with pytest.raises(DataError, match=WORDS[kind]) as error:
        read_survey(survey, paths)
    assert paths[1].name in str(error.value) and error.value.remedy


def test_unknown_survey_lists_the_known_ones():
    with pytest.raises(DataError, match="miles, .*stelib"):
        read_survey("hubble", [])


def test_unknown_option(stelib, parameters):
    with pytest.raises(DataError, match="has no column id, file, object; say whose each row is"):
        read_survey("stelib", stelib, parameters=parameters)


@pytest.mark.parametrize("survey", READERS)
def test_no_files(survey):
    with pytest.raises(DataError, match="no files"):
        read_survey(survey, [])


def test_ingest_writes_a_checked_shard_and_reports(miles, parameters, tmp_path):
    seen = []
    out = tmp_path / "out" / "miles.h5"
    summary = ingest("miles", miles, out, parameters=parameters, progress=lambda *n: seen.append(n))
    assert seen == [(1, 2), (2, 2)]
    assert check_shard(out) == [] and read_shard(out).domain == "miles"
    assert (summary.stars, summary.pixels, summary.masked) == (2, PIXELS, 0.0)
    assert summary.labelled == {"teff": 1, "logg": 2, "fe_h": 1}
    assert summary.wavelength[0] == pytest.approx(3541.5, abs=0.1)
    assert "2 spectra of miles" in str(summary)


def test_ingest_of_a_star_twice_is_refused(stelib, tmp_path):
    with pytest.raises(DataError, match="occurs 2 times"):
        ingest("stelib", [stelib[0], stelib[0]], tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


class TestMatches:
    def test_both_layouts(self, tmp_path):
        text, table = tmp_path / "a.txt", tmp_path / "a.csv"
        text.write_text("# star  MILES id  STELIB file\nHD1 MILES_0018 STELIB_v3.2_HD002857.fits\n")
        table.write_text("star,miles,stelib\nHD1,MILES_0018,HD002857\n")
        assert read_matches(text) == read_matches(table) == {"MILES_0018": "HD002857"}

    @pytest.mark.parametrize("rows", ["a MILES_1", "a MILES_1 x\nb MILES_1 y", "a MILES_1 x\nb MILES_2 x"])
    def test_broken_tables(self, rows, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text(rows)
        with pytest.raises(DataError, match=r"a\.txt"):
            read_matches(path)


class TestTwins:
    def write(self, tmp_path, text):
        path = tmp_path / "twins.csv"
        path.write_text(text, encoding="utf-8")
        return path

    def test_any_surveys_share_the_first_ones_id(self, tmp_path):
        path = self.write(tmp_path, "star,a,c,b\ns1,a1,c1,b1\ns2,,c2,b2\ns3,a3,,\n")
        twins = read_twins(path, ["b", "a", "c"])
        assert twins == {
            "a": {"a1": "a1", "a3": "a3"},
            "c": {"c1": "a1", "c2": "c2"},
            "b": {"b1": "a1", "b2": "c2"},
        }

    def test_columns_of_other_surveys_are_ignored(self, tmp_path):
        path = self.write(tmp_path, "star,a,b,c\ns1,a1,b1,c1\n")
        assert read_twins(path, ["b", "c"]) == {"b": {"b1": "b1"}, "c": {"c1": "b1"}}

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("star,c\ns1,c1\n", "none of a, b"),
            ("a,b\nx,y\nx,z\n", "x occurs twice in a"),
            ("", "none of a, b"),
        ],
    )
    def test_a_bad_table_is_refused(self, tmp_path, text, words):
        with pytest.raises(DataError, match=words):
            read_twins(self.write(tmp_path, text), ["a", "b"])

    def test_a_missing_table_is_named(self, tmp_path):
        with pytest.raises(DataError, match="nowhere.csv"):
            read_twins(tmp_path / "nowhere.csv", ["a", "b"])
