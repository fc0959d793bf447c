from math import log

import numpy as np
import pytest
from astropy.io import fits
from numpy.polynomial.hermite_e import hermeval

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.noise import estimate_ivar
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.io.surveys import read_survey
from synth2obs.io.surveys.galah_ccd import PIXELS
from synth2obs.io.surveys.galah_lsf import line_spread, nominal

H_ALPHA = 6564.61
"""Vacuum Å."""


def read(paths, **options):
    return read_survey("galah", paths, **options)


def ccd(spectra, number, row=0):
    """Wavelength, flux and good pixels of one CCD."""
    part = spectra.segment == number - 1
    axis = spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[row]
    return axis[part], spectra.flux[row, part], spectra.ivar[row, part] > 0


def line(spectra, row=0, number=3, centre=H_ALPHA, half=120.0):
    axis, flux, good = ccd(spectra, number, row)
    speed = (axis / centre - 1) * C_KMS
    near = (np.abs(speed) < half) & good
    depth = np.clip(np.percentile(flux[near], 95) - flux[near], 0, None) ** 2
    return float((speed[near] * depth).sum() / depth.sum())


class TestDr3:
    def test_normalised_spectrum_is_at_rest_in_vacuum(self, native, tmp_path):
        spectra = read(native.galah_dr3(tmp_path))
        assert spectra.id.tolist() == ["131123003001096"] and spectra.flux.shape == (1, 4 * PIXELS)
        assert (spectra.frame, spectra.flux_kind, spectra.rv[0]) == ("rest", "normalized", 0.0)
        assert spectra.air_formula == "Morton2000" and np.isnan(spectra.rv_error[0])
        assert spectra.native["rv"][0] == pytest.approx(60.0) and spectra.native["ccds"] == ["1234"]
        assert line(spectra) == pytest.approx(0.0, abs=1.0)
        start = GALAH_START * (1 - 60.0 / C_KMS)
        assert ccd(spectra, 1)[0][0] == pytest.approx(float(air_to_vacuum(start)), abs=1e-6)

    def test_errors_are_relative(self, native, tmp_path):
        for flux in ("normalized", "counts"):
            spectra = read(native.galah_dr3(tmp_path), flux=flux)
            _, values, good = ccd(spectra, 2)
            weight = spectra.ivar[0, spectra.segment == 1][good]
            np.testing.assert_allclose(weight**-0.5, 0.01 * values[good], rtol=1e-5)
            assert not good[7]

    def test_counts_are_barycentric(self, native, tmp_path):
        spectra = read(native.galah_dr3(tmp_path), flux="counts")
        assert (spectra.frame, spectra.flux_kind) == ("barycentric", "relative")
        assert spectra.rv[0] == pytest.approx(60.0) and line(spectra) == pytest.approx(60.0, abs=1.0)

    @pytest.mark.parametrize(("frame", "speed"), [("rest", 0.0), ("barycentric", 60.0)])
    @pytest.mark.parametrize("flux", ["normalized", "counts"])
    def test_frame_can_be_chosen(self, native, tmp_path, flux, frame, speed):
        spectra = read(native.galah_dr3(tmp_path), flux=flux, frame=frame)
        assert spectra.frame == frame and spectra.rv[0] == pytest.approx(speed)
        assert line(spectra) == pytest.approx(speed, abs=1.0)

    @pytest.mark.parametrize("gone", ["file", "HDU"])
    def test_a_missing_ccd_has_no_weight(self, native, tmp_path, gone):
        left = (1, 2, 3)
        paths = native.galah_dr3(tmp_path, ccds=left if gone == "file" else (1, 2, 3, 4), rest=left)
        spectra = read(paths)
        axis, flux, good = ccd(spectra, 4)
        assert not good.any() and (flux == 0).all() and (np.diff(axis) > 0).all()
        assert 7585 < axis[0] < 7590 and spectra.native["ccds"] == ["123"]
        assert ccd(spectra, 3)[2].sum() == 4095

    def test_without_any_normalised_ccd(self, native, tmp_path):
        with pytest.raises(DataError, match="no CCD has a normalised spectrum.*flux=counts"):
            read(native.galah_dr3(tmp_path, rest=()))

    def test_stars_with_and_without_a_ccd_and_with_4097_pixels_fit_one_shard(self, native, tmp_path):
        paths = native.galah_dr3(tmp_path, 131123003001096)
        paths += native.galah_dr3(tmp_path, 131123003001097, rv=-12.0, ccds=(2, 3))
        paths += native.galah_dr3(tmp_path, 131123003001098, pixels=4097)
        spectra = read(paths[::-1])
        assert len(spectra) == 3 and spectra.wavelength.shape == (3, 4 * PIXELS)
        back = read_shard(write_shard(spectra, tmp_path / "a.h5"))
        assert check_shard(tmp_path / "a.h5") == [] and back.native["ccds"].tolist() == ["1234", "23", "1234"]
        assert [(spectra.ivar[row, PIXELS - 1] > 0) for row in range(3)] == [True, False, False]

    def test_the_oxygen_band_is_flagged_and_masked(self, native, tmp_path):
        masked, kept = (read(native.galah_dr3(tmp_path), tellurics=how) for how in ("mask", "keep"))
        assert masked.flag_names == {0: "TELLURIC"}
        flagged = masked.flags[0] == 1
        axis = masked.wavelength[flagged] * (1 + 60.0 / C_KMS) * (1 - 10.0 / C_KMS)
        np.testing.assert_allclose([axis.min(), axis.max()], [7595.1, 7699.1], atol=0.15)
        assert (masked.ivar[0, flagged] == 0).all() and (kept.ivar[0, flagged] > 0).sum() == flagged.sum() - 0
        np.testing.assert_array_equal(masked.ivar[0, ~flagged], kept.ivar[0, ~flagged])

    @pytest.mark.parametrize(
        ("card", "hdu", "value", "words"),
        [
            ("CRVAL1", 0, 4900.0, "CCD 1 has about"),
            ("CDELT1", 0, 0.09, "CCD 1 has about"),
            ("CRVAL1", 4, 4714.5, "shifted by"),
            ("CRVAL1", 0, "blue", "must be a number"),
        ],
    )
    def test_an_axis_that_cannot_be_right(self, native, tmp_path, card, hdu, value, words):
        paths = native.galah_dr3(tmp_path)
        with fits.open(paths[0], mode="update") as hdus:
            hdus[hdu].header[card] = value
        with pytest.raises(DataError, match=rf"{paths[0].name}: CRVAL1.*{words}"):
            read(paths)

    def test_ccds_that_disagree_in_velocity(self, native, tmp_path):
        paths = (
            native.galah_dr3(tmp_path / "a", rv=60.0, ccds=(1, 2)) if (tmp_path / "a").mkdir() is None else []
        )
        (tmp_path / "b").mkdir()
        other = native.galah_dr3(tmp_path / "b", rv=61.0, ccds=(3,))[0].rename(
            tmp_path / "a" / "1311230030010963.fits"
        )
        with pytest.raises(DataError, match="shifted by 60.00 to 61.00"):
            read([*paths, other])

    def test_a_file_whose_name_says_nothing(self, native, tmp_path):
        path = native.galah_dr3(tmp_path, ccds=(1,))[0].rename(tmp_path / "star.fits")
        with pytest.raises(DataError, match=r"star\.fits: the name must be a sobject_id"):
            read([path])

    def test_the_wrong_number_of_a_ccd(self, native, tmp_path):
        path = native.galah_dr3(tmp_path, ccds=(1,))[0].rename(tmp_path / "1311230030010962.fits")
        with pytest.raises(DataError, match="CCD 2 has about"):
            read([path])


GALAH_START = 4713.379


class TestReduction6:
    def test_barycentric_spectrum_with_velocity_labels_and_width(self, native, tmp_path):
        spectra = read(native.galah_6(tmp_path))
        assert (spectra.frame, spectra.flux_kind) == ("barycentric", "normalized")
        assert (spectra.rv[0], spectra.rv_error[0]) == (-18.7, 0.1)
        assert line(spectra) == pytest.approx(-18.7, abs=1.0)
        assert spectra.labels["teff"][0] == 4688.4 and spectra.labels["alpha_fe"][0] == 0.1
        assert spectra.native["gaia_id"] == ["3335074476514836608"]
        assert spectra.line_spread.hermite.shape == (1, 4 * PIXELS, 6)

    def test_pixels_behind_the_atmosphere(self, native, tmp_path):
        spectra = read(native.galah_6(tmp_path))
        axis, _, good = ccd(spectra, 4)
        np.testing.assert_allclose(
            axis[~good & (axis < 7700)][[0, -1]], air_to_vacuum([7594, 7621]), atol=0.1
        )

    def test_a_spectrum_of_the_observatory_s_frame_is_not_called_barycentric(self, native, tmp_path):
        paths = native.galah_6(tmp_path, BARYEFF="None")
        with pytest.raises(DataError, match="BARYEFF.*frame=rest"):
            read(paths)
        spectra = read(paths, frame="rest")
        assert spectra.rv[0] == 0 and line(spectra) == pytest.approx(0, abs=1.0)
        assert np.isnan(spectra.native["barycentric_correction"][0])

    def test_parameters_and_velocity_that_are_not_trusted(self, native, tmp_path):
        spectra = read(native.galah_6(tmp_path, PAR_OK=0, RVCOM_OK=0))
        assert not spectra.labels and np.isnan(spectra.rv[0])
        with pytest.raises(DataError, match="RVCOM: has no velocity"):
            read(native.galah_6(tmp_path, RVCOM_OK=0), frame="rest")

    def test_a_ccd_without_a_wavelength_solution(self, native, tmp_path):
        paths = native.galah_6(tmp_path)
        with fits.open(paths[1], mode="update") as hdus:
            hdus[0].header["WAV_OK"] = 0
        assert read(paths).native["ccds"] == ["134"]

    def test_an_empty_resolution_profile_means_the_usual_width(self, native, tmp_path):
        paths = native.galah_6(tmp_path)
        with fits.open(paths[0], mode="update") as hdus:
            hdus[7] = fits.ImageHDU(None, name="resolution_profile")
        spectra = read(paths)
        expected = nominal(1, 4096, native.GALAH_AXES[0][1])
        np.testing.assert_allclose(spectra.line_spread.sigma[0, :4096], expected.sigma[0], rtol=1e-6)

    def test_a_width_that_is_none(self, native, tmp_path):
        paths = native.galah_6(tmp_path, B=12.0)
        with pytest.raises(DataError, match="resolution_profile.*boxiness is 12"):
            read(paths)

    def test_catalogue(self, native, tmp_path):
        spectra = read(native.galah_6(tmp_path), parameters=native.galah_table(tmp_path / "table.fits"))
        assert spectra.labels["teff"] == [4700.0] and spectra.labels["fe_h"][0] == pytest.approx(-0.3)

    def test_releases_cannot_be_mixed(self, native, tmp_path):
        with pytest.raises(DataError, match="frame: barycentric, but"):
            read([*native.galah_dr3(tmp_path), *native.galah_6(tmp_path)])


@pytest.mark.parametrize("boxiness", [2.0, 2.17, 2.45, 2.8])
@pytest.mark.parametrize("pixel", [0.046, 0.035])
def test_integrated_over_pixels_it_is_the_published_function(boxiness, pixel):
    """exp(-ln 2 |2x/FWHM|^B), to 0.8 % of its peak and 1 % of its width."""
    fwhm = 0.2084
    spread = line_spread(np.array([fwhm]), boxiness, pixel)
    x = np.linspace(-0.6, 0.6, 601)
    expected = np.exp(-log(2) * np.abs(2 * x / fwhm) ** boxiness)
    t = (x + np.linspace(-0.5, 0.5, 101)[:, None] * pixel) / spread.sigma[0, 0]
    series = hermeval(t, [1.0, *spread.hermite[0, 0]])
    found = np.trapezoid(np.exp(-0.5 * t**2) * series, axis=0)
    expected, found = expected / expected.sum(), found / found.sum()
    assert np.abs(found - expected).max() < 0.008 * expected.max()
    assert width(x, found) == pytest.approx(fwhm, rel=0.01)


def width(x, profile):
    """Full width at half maximum."""
    above = x[profile > 0.5 * profile.max()]
    return above[-1] - above[0] + x[1] - x[0]


class TestRealFiles:
    def test_dr3_lies_at_rest_in_vacuum(self, observed):
        """Hα of 59 stars; in air it would be 82 km/s away, without the shift the scatter would be 44 km/s."""
        spectra = read(sorted(observed.glob("galah_dr3/*.fits")))
        assert len(spectra) == 59 and [c for c in spectra.native["ccds"] if c != "1234"] == ["123"] * 3
        found = np.array([line(spectra, row) for row in range(len(spectra))])
        assert abs(np.median(found)) < 3 and 1.4826 * np.median(np.abs(found - np.median(found))) < 6

    def test_dr3_counts_follow_the_velocities(self, observed):
        spectra = read(sorted(observed.glob("galah_dr3/*.fits")), flux="counts")
        rest = [
            line(spectra, row, centre=H_ALPHA * (1 + spectra.rv[row] / C_KMS)) for row in range(len(spectra))
        ]
        assert abs(np.median(rest)) < 3 and np.ptp(spectra.rv) > 200

    def test_errors_are_relative_not_absolute(self, observed):
        """The scatter of counts is 0.2 to 0.3 of relative errors times flux (pixels are resampled); taken for absolute
        errors the same numbers would be thousands of times too small."""
        paths = sorted(observed.glob("galah_dr3/*3.fits"))[:20]
        relative, absolute = [], []
        for path in paths:
            flux, error = (np.asarray(fits.getdata(path, n), float) for n in (0, 1))
            scatter = estimate_ivar(np.where(flux > 0, flux, np.nan)[None], floor=1e-6)[0][0] ** -0.5
            spectra = read([path], flux="counts")
            use = spectra.segment == 2
            own = np.where(spectra.ivar[0, use] > 0, spectra.ivar[0, use], np.nan)[: len(flux)] ** -0.5
            relative.append(np.nanmedian(scatter / own))
            absolute.append(np.nanmedian(scatter / error))
        assert 0.1 < np.median(relative) < 1.0 < 100 < np.median(absolute)

    def test_reduction_6(self, observed):
        paths = sorted(observed.glob("galah_iraf6/21011500*.fits"))
        table = observed / "galah_iraf6" / "210115.fits"
        spectra = read(paths, frame="rest", parameters=table)
        assert len(spectra) == 6 and np.isfinite(spectra.labels["teff"]).sum() >= 5
        assert np.median(np.abs([line(spectra, row) for row in range(6)])) < 5
        sun = spectra.id.tolist().index("210115002201239")
        assert abs(line(spectra, sun)) < 1.5 and abs(spectra.labels["teff"][sun] - 5777) < 150

    def test_widths_agree_with_the_resolution_profile(self, observed):
        """FWHM of the shard's form, integrated over a pixel, is HDU 7's at both ends and in the middle."""
        for number in (1, 2, 3, 4):
            path = observed / "galah_iraf6" / f"210115002201239{number}.fits"
            expected, step = fits.getdata(path, 7), fits.getval(path, "CDELT1")
            spectra = read([path], frame="rest")
            pixels = np.nonzero(spectra.segment == number - 1)[0][[0, 2000, 4095]]
            for pixel, known in zip(pixels, expected[[0, 2000, 4095]], strict=True):
                x = np.linspace(-1, 1, 4001)
                t = (x + np.linspace(-0.5, 0.5, 41)[:, None] * step) / spectra.line_spread.sigma[0, pixel]
                series = hermeval(t, [1.0, *spectra.line_spread.hermite[0, pixel]])
                profile = np.trapezoid(np.exp(-0.5 * t**2) * series, axis=0)
                assert width(x, profile) == pytest.approx(float(known), rel=0.01)
