import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.io.surveys import apogee_lsf, read_survey
from synth2obs.io.surveys.apogee_combined import BAD, PIXELS, segments, wavelengths
from synth2obs.io.surveys.survey import Parameters

BRACKETT_11 = 16811.11
"""Vacuum Å."""


def read(*paths, **options):
    return read_survey("apogee", paths, **options)


def line(spectra, row, centre, half):
    """Velocity in km/s of the weighted centre of an absorption line, relative to ``centre``."""
    wavelength = spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[row]
    near = (np.abs(wavelength / centre - 1) * C_KMS < half) & (spectra.ivar[row] > 0)
    flux = spectra.flux[row, near] / np.percentile(spectra.flux[row, near], 90)
    depth = np.clip(1 - flux, 0, None) ** 2
    return float(((wavelength[near] / centre - 1) * C_KMS * depth).sum() / depth.sum())


class TestStar:
    def test_combined_spectrum(self, native, tmp_path):
        spectra = read(native.apstar(tmp_path / "a.fits"))
        assert spectra.id.tolist() == ["2M00000001+0000001"] and spectra.flux.shape == (1, PIXELS)
        np.testing.assert_allclose(spectra.wavelength[[0, -1]], [15100.80, 16999.81], atol=0.005)
        assert np.unique(spectra.segment).tolist() == [0, 1, 2] and spectra.air_formula == ""
        assert (spectra.frame, spectra.flux_kind, spectra.rv[0]) == ("rest", "absolute", 0.0)
        assert spectra.rv_error[0] == pytest.approx(0.03)
        assert spectra.native["rv"][0] == pytest.approx(-20.5)
        assert line(spectra, 0, BRACKETT_11, 300) == pytest.approx(0, abs=2)

    @pytest.mark.parametrize("release", ["dr13", "dr17"])
    def test_gaps_and_bad_pixels_have_no_weight(self, native, tmp_path, release):
        spectra = read(native.apstar(tmp_path / "a.fits", release=release))
        expected = native.apogee_gaps()
        expected[500] = True
        np.testing.assert_array_equal(spectra.ivar[0] == 0, expected)
        np.testing.assert_allclose(spectra.ivar[0, ~expected], 1.0)
        assert np.isfinite(spectra.flux).all() and (spectra.flux[0, expected] == 0).all()
        assert spectra.flags[0, 700] == 1 << 12 and spectra.flag_names[12] == "SIG_SKYLINE"

    @pytest.mark.parametrize("release", ["dr13", "dr17"])
    @pytest.mark.parametrize("visits", [1, 2, 4])
    def test_rows(self, native, tmp_path, release, visits):
        path = native.apstar(tmp_path / "a.fits", visits=visits, release=release)
        flux = np.nan_to_num(np.atleast_2d(fits.getdata(path, 1)))[:, 1000:1100].astype(np.float32)
        combined, weighted, single = (read(path, spectra=s) for s in ("combined", "weighted", "visits"))
        np.testing.assert_array_equal(combined.flux[:, 1000:1100], flux[:1])
        np.testing.assert_array_equal(weighted.flux[:, 1000:1100], flux[:1] if visits == 1 else flux[1:2])
        np.testing.assert_array_equal(single.flux[:, 1000:1100], flux[:1] if visits == 1 else flux[2:])
        assert single.id[0] == "2M00000001+0000001/6000-56001-151" and len(set(single.id)) == visits
        np.testing.assert_allclose(single.native["rv"], -20.5 + np.arange(1, visits + 1))
        np.testing.assert_allclose(single.native["barycentric_correction"], 10.0 * np.arange(1, visits + 1))

    def test_rows_that_do_not_fit_the_visits(self, native, tmp_path):
        with pytest.raises(DataError, match=r"a\.fits: NVISITS: .* 3 visits"):
            read(native.apstar(tmp_path / "a.fits", visits=3, rows=4))

    def test_another_grid_is_refused(self, native, tmp_path):
        path = native.apstar(tmp_path / "a.fits")
        with fits.open(path, mode="update") as hdus:
            hdus[1].header["CRVAL1"] = 4.180
        with pytest.raises(DataError, match=r"a\.fits: CRVAL1: is 4\.18"):
            read(path)

    def test_a_star_so_fast_that_a_gap_moves_past_its_middle(self, native, tmp_path):
        path = native.apstar(tmp_path / "a.fits", release="dr13")
        with fits.open(path, mode="update") as hdus:
            hdus[0].header["BMAX"] = 3450
            hdus[1].data[:, 3400:3500] = 100.0
            hdus[2].data[:, 3400:3500] = 1.0
            hdus[3].data[:, 3400:3500] = 0
        bad = read(path).ivar[0] == 0
        assert bad[3430:3451].all() and not bad[3400:3430].any() and not bad[3451:3500].any()

    def test_mask_values_of_16_bits_keep_their_highest_bit(self, native, tmp_path):
        path = native.apstar(tmp_path / "a.fits", release="dr13")
        with fits.open(path, mode="update") as hdus:
            hdus[3].data[0, 1000] = -32768
        assert read(path).flags[0, 1000] == 1 << 15


class TestOtherFiles:
    def test_aspcapstar(self, native, tmp_path):
        spectra = read(native.aspcapstar(tmp_path / "a.fits"))
        assert (spectra.frame, spectra.flux_kind, spectra.flags) == ("rest", "normalized", None)
        np.testing.assert_array_equal(spectra.ivar[0] == 0, native.apogee_gaps())
        labels = {name: float(column[0]) for name, column in spectra.labels.items()}
        assert labels == pytest.approx(
            {"teff": 4500, "logg": 2.5, "vmic": 10**0.2, "m_h": -0.3, "alpha_m": 0.15}
        )

    def test_unknown_parameters(self, native, tmp_path):
        spectra = read(native.aspcapstar(tmp_path / "a.fits", teff=-9999.0))
        assert all(np.isnan(column).all() for column in spectra.labels.values())

    def test_apvisit_becomes_barycentric_and_blue_first(self, native, tmp_path):
        path = native.apvisit(tmp_path / "a.fits")
        spectra = read(path)
        assert spectra.frame == "barycentric" and spectra.rv[0] == -50.0 and spectra.flux.shape == (1, 12288)
        assert (np.diff(spectra.wavelength) > 0).all() and spectra.segment[[0, 5000, -1]].tolist() == [
            0,
            1,
            2,
        ]
        assert line(spectra, 0, BRACKETT_11, 300) == pytest.approx(-50.0, abs=2.0)
        assert np.nonzero(spectra.ivar[0] == 0)[0].tolist() == [12287 - 7]
        assert spectra.flags[0, 8191 - 9] == 1 << 13
        assert spectra.id[0] == "2M00000002+0000002/6000-56001-104"
        assert spectra.native["mjd"][0] == pytest.approx(56001.2)

    @pytest.mark.parametrize("value", [None, "east", 40.0])
    def test_a_visit_needs_its_barycentric_correction(self, native, tmp_path, value):
        path = native.apvisit(tmp_path / "a.fits")
        with fits.open(path, mode="update") as hdus:
            del hdus[0].header["BC"]
            if value is not None:
                hdus[0].header["BC"] = value
        with pytest.raises(DataError, match=r"a\.fits: BC"):
            read(path)

    def test_kinds_cannot_be_mixed(self, native, tmp_path):
        paths = native.apstar(tmp_path / "a.fits"), native.aspcapstar(tmp_path / "b.fits")
        with pytest.raises(DataError, match=r"b\.fits: flux_kind: normalized, but a\.fits has absolute"):
            read(*paths)

    def test_allstar_gives_the_labels_of_the_better_spectrum(self, native, tmp_path):
        spectra = read(native.apstar(tmp_path / "a.fits"), parameters=native.allstar(tmp_path / "all.fits"))
        assert spectra.labels["teff"] == [4600.0] and spectra.label_errors["teff"] == [80.0]
        assert spectra.labels["mg_fe"][0] == pytest.approx(0.2)
        assert check_shard(write_shard(spectra, tmp_path / "a.h5")) == []

    def test_a_table_that_is_no_allstar(self, native, tmp_path):
        with pytest.raises(DataError, match="has no columns APOGEE_ID and TEFF"):
            star = native.apstar(tmp_path / "a.fits")
            read(star, parameters=native.galah_table(tmp_path / "b.fits"))


def test_labels_of_stars_that_are_not_in_the_table_are_unknown():
    table = Parameters(np.array(["a", "b", "a"]), {"teff": np.array([1.0, 2.0, 3.0])})
    values, errors = table.of(np.array(["b", "c", "a"]))
    np.testing.assert_array_equal(values["teff"], [2.0, np.nan, 1.0])
    assert errors == {}


def moments(offset, response):
    """Mean and standard deviation in Å of a response, shape (P,) each."""
    weight = response / response.sum(axis=1, keepdims=True)
    mean = weight @ offset
    return mean, np.sqrt((weight * (offset - mean[:, None]) ** 2).sum(axis=1))


def hermite_response(spread, dispersion, offset):
    """The line spread of a shard, integrated over pixels of width |dispersion| by brute force."""
    fine = np.linspace(-0.5, 0.5, 41) * np.abs(dispersion)[:, None]
    t = (fine[:, :, None] - offset) / spread.sigma[0, :, None, None]
    series = np.ones_like(t)
    he = [np.ones_like(t), t]
    for m in range(1, spread.hermite.shape[2] + 1):
        series += spread.hermite[0, :, m - 1, None, None] * he[m]
        he.append(t * he[m] - m * he[m - 1])
    return np.trapezoid(np.exp(-0.5 * t**2) * series, axis=1)


class TestLineSpread:
    PIXEL = np.array([300.0, 4000.0, 8000.0])

    @pytest.fixture(params=["combined", "visit", "sampled"])
    def profile(self, request, native):
        rows = {"combined": native.LSF_ROW, "visit": native.VISIT_LSF, "sampled": (0, *native.LSF_ROW[1:])}
        return apogee_lsf.decode(np.array(rows[request.param] + (1, 0), float))

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_hermite_terms_say_what_the_description_says(self, profile, sign):
        """Without a wing the shard's form, integrated over pixels, is the file's own function to 0.2 % of its peak."""
        pixel, dispersion = self.PIXEL[:2], sign * np.array([0.21, 0.23])
        offset = np.linspace(-2.5, 2.5, 301)
        spread, wing = apogee_lsf.gauss_hermite(profile, pixel, dispersion)
        expected = apogee_lsf.response(profile, pixel, dispersion, offset)
        found = hermite_response(spread, dispersion, offset)
        expected, found = (r / r.sum(axis=1, keepdims=True) for r in (expected, found))
        assert wing == 0 and np.abs(found - expected).max() < 2e-3 * expected.max()

    def test_a_table_is_the_description_with_its_wing(self, native):
        profile = apogee_lsf.decode(np.array(native.VISIT_LSF + native.VISIT_WING, float))
        pixel, dispersion = self.PIXEL[:1], np.array([-0.16])
        table = apogee_lsf.tabulated(profile, pixel, dispersion)
        fine = np.linspace(-10, 10, 20001)
        whole = apogee_lsf.response(profile, pixel, dispersion, fine).sum() * (fine[1] - fine[0])
        assert table.kernel.sum() * apogee_lsf.KERNEL_STEP / whole == pytest.approx(0.997, abs=0.004)
        np.testing.assert_allclose(
            table.kernel[0, 0], apogee_lsf.response(profile, pixel, dispersion, table.offset)[0], rtol=1e-12
        )

    def test_a_pure_gaussian(self):
        profile = apogee_lsf.decode(np.array([1, 0, 0, 0, 1.5], float))
        spread, _ = apogee_lsf.gauss_hermite(profile, self.PIXEL, np.full(3, 0.2))
        np.testing.assert_allclose(spread.sigma, 0.3)
        assert spread.hermite.shape == (1, 3, 0)

    def test_turning_the_axis_turns_the_asymmetry(self, profile):
        offset, dispersion = np.linspace(-3, 3, 601), np.array([0.2, 0.2, 0.2])
        forth = apogee_lsf.response(profile, self.PIXEL, dispersion, offset)
        back = apogee_lsf.response(profile, self.PIXEL, -dispersion, offset)
        np.testing.assert_allclose(forth, back[:, ::-1], atol=1e-15)

    @pytest.mark.parametrize(
        "row",
        [
            [1, 0, 2, 0, 0, 0, 1.5, 0.0],
            [1, 0, 0.5, 0, 1.5],
            [1, 0, 0, 0, 1.5, 2, 2, 0, 0, 0.1, 1.0],
            [1, 0, 0, 0, 1.5, 1, 0, 9.0],
            [1, 0, 0, 0, np.nan],
        ],
        ids=["too short", "half an order", "unknown wing", "too long", "NaN"],
    )
    def test_coefficients_that_make_no_sense(self, row):
        with pytest.raises(ValueError, match="line-spread"):
            apogee_lsf.decode(np.array(row, float))

    def test_the_file_s_own_is_used_where_it_has_one(self, native, tmp_path):
        own = read(native.apstar(tmp_path / "a.fits", release="dr13"))
        nominal = read(native.apstar(tmp_path / "b.fits", release="dr17"))
        assert own.native["lsf"] == ["file"] and nominal.native["lsf"] == ["nominal for its fibre"]
        profile = apogee_lsf.decode(np.array(native.LSF_ROW + native.WING, float))
        sigma, _, area, _ = profile.at(np.arange(PIXELS, dtype=float))
        dispersion = np.gradient(wavelengths())
        np.testing.assert_allclose(own.line_spread.sigma[0], sigma * dispersion, rtol=1e-3)
        assert own.native["lsf_wing"] == pytest.approx(area.mean())

    @pytest.mark.parametrize(("lsf", "entries"), [("hermite", 5), ("kernel", 135)])
    def test_forms_can_be_chosen_for_a_visit(self, native, tmp_path, lsf, entries):
        spectra = read(native.apvisit(tmp_path / "a.fits"), lsf=lsf)
        profile = spectra.line_spread.hermite if lsf == "hermite" else spectra.line_spread.kernel
        assert profile.shape == (1, 12288, entries)

    def test_a_given_resolving_power_replaces_it(self, native, tmp_path):
        spectra = read(native.apstar(tmp_path / "a.fits"), resolving_power=20000.0)
        np.testing.assert_allclose(
            spectra.wavelength / spectra.line_spread.sigma[0] / 2.3548, 20000, rtol=1e-4
        )
        assert spectra.line_spread.hermite is None

    def test_without_coefficients_and_fibre_it_is_not_guessed(self, native, tmp_path):
        path = native.apstar(tmp_path / "a.fits")
        fits.delval(path, "MEANFIB")
        with pytest.raises(DataError, match=r"a\.fits: MEANFIB: .*resolving_power"):
            read(path)

    @pytest.mark.parametrize("options", [{"lsf": "square"}, {"spectra": "all"}, {"resolving_power": -1}])
    def test_unknown_choices(self, options, native, tmp_path):
        with pytest.raises(DataError, match=next(iter(options))):
            read(native.apstar(tmp_path / "a.fits"), **options)


class TestRealFiles:
    def test_combined_spectra_of_two_releases(self, observed):
        paths = sorted(observed.glob("apogee_dr1[37]/apStar*.fits"))
        spectra = read(*paths)
        assert len(spectra) == 17 and len(set(spectra.id)) == 17
        expected = [
            (np.atleast_2d(fits.getdata(p, 1))[0], np.atleast_2d(fits.getdata(p, 2))[0]) for p in paths
        ]
        masks = [np.atleast_2d(fits.getdata(p, 3))[0] for p in paths]
        for row, ((flux, error), bits) in enumerate(zip(expected, masks, strict=True)):
            bad = ~np.isfinite(flux) | ~(error < 1e9) | (bits & BAD != 0)
            np.testing.assert_array_equal(spectra.ivar[row] == 0, bad)
            assert 800 < bad.sum() < 1600
        published = spectra.native["snr"]
        assert (np.abs(spectra.snr / published - 1) < 0.12).all()

    def test_strong_lines_of_giants_lie_at_their_vacuum_wavelengths(self, observed):
        """Mg I 15745, 15753, 15770 and Al I 16724, 16755, 16768; in air they would be 82 km/s away."""
        names = ("2M17335483-2753043", "2M19485057+5005279", "2M17334253-1654573")
        spectra = read(
            *(path for name in names for path in observed.glob(f"apogee_dr1[37]/apStar*{name}.fits"))
        )
        lines = (15745.017, 15753.291, 15770.150, 16723.524, 16755.140, 16767.938)
        found = np.array([[line(spectra, row, centre, 45) for centre in lines] for row in range(3)])
        assert np.abs(found).max() < 6 and np.abs(np.median(found, axis=1)).max() < 2

    def test_visits_of_all_of_them(self, observed):
        paths = sorted(observed.glob("apogee_dr1[37]/apStar*.fits"))
        visits = [fits.getval(path, "NVISITS") for path in paths]
        assert len(read(*paths, spectra="visits")) == sum(visits)

    def test_widths_agree_with_the_files_own_description(self, observed):
        """σ of the response, 1.8 to 2.0 px, from the form in the shard and from the file's function with its wing."""
        pixel = np.arange(500, PIXELS, 1500)
        offset = np.linspace(-3, 3, 1201)
        dispersion = np.gradient(wavelengths())[pixel]
        for path in sorted(observed.glob("apogee_dr13/apStar*.fits"))[:5]:
            spectra = read(path)
            profile = apogee_lsf.decode(fits.getdata(path, 8))
            expected = apogee_lsf.response(profile, pixel.astype(float), dispersion, offset)
            spread = spectra.line_spread.cut(pixel)
            found = hermite_response(spread, dispersion, offset)
            expected, found = (r / r.sum(axis=1, keepdims=True) for r in (expected, found))
            np.testing.assert_allclose(moments(offset, found)[1], moments(offset, expected)[1], rtol=0.015)
            assert np.abs(np.cumsum(found - expected, axis=1)).max() < 0.011

    def test_nominal_widths_are_those_of_the_fibre_group(self, observed):
        """The nominal σ of the response differs from that of each of the 15 stars by at most 7 %."""
        pixel, offset = np.arange(500.0, PIXELS, 1500), np.linspace(-3, 3, 1201)
        dispersion = np.gradient(wavelengths())[pixel.astype(int)]
        ratios = []
        for path in sorted(observed.glob("apogee_dr13/apStar*.fits")):
            own = apogee_lsf.decode(fits.getdata(path, 8))
            usual = apogee_lsf.nominal(fits.getval(path, "MEANFIB"))
            widths = [
                moments(offset, apogee_lsf.response(p, pixel, dispersion, offset))[1] for p in (own, usual)
            ]
            ratios.append(widths[0] / widths[1])
        assert np.std(ratios) < 0.03 and 0.93 < np.min(ratios) < np.max(ratios) < 1.07

    def test_a_star_has_the_same_lines_in_its_visit_and_in_its_combination(self, observed):
        """An apVisit file, made barycentric and shifted by its velocity, meets the apStar row of that visit."""
        combined = read(observed / "apogee_dr13/apStar-r6-2M03122509+0021585.fits", spectra="visits")
        single = read(observed / "apogee_dr13/apVisit-2M03122509+0021585-3.fits")
        row = combined.id.tolist().index(single.id[0])
        speeds = np.arange(-40, 41, 1.0)
        score = [agreement(combined, row, single, combined.native["rv"][row] + speed) for speed in speeds]
        assert abs(speeds[int(np.argmax(score))]) <= 2.0

    def test_visit_files_and_aspcap(self, observed):
        assert len(read(*sorted(observed.glob("apogee_dr1[37]/apVisit*.fits")), lsf="hermite")) == 10
        table = read(*sorted(observed.glob("apogee_dr13/aspcapStar*.fits")))
        assert len(table) == 15 and np.isfinite(table.labels["teff"]).sum() == 2


def agreement(combined, row, single, velocity):
    """Correlation of the lines of an apStar row and of a barycentric spectrum at a velocity."""
    from scipy.signal import medfilt

    good = single.ivar[0] > 0
    rest = single.wavelength[good] / (1 + velocity / C_KMS)
    use = (combined.ivar[row] > 0) & (segments() == 1)
    one, other = combined.flux[row, use], np.interp(wavelengths()[use], rest, single.flux[0, good])
    one, other = (flux / medfilt(flux, 301) - 1 for flux in (one, other))
    return float(np.corrcoef(one, other)[0, 1])
