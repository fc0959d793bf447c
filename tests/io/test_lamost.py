from collections import defaultdict

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import median_filter

from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.io.surveys import read_survey
from synth2obs.io.surveys.lamost import PIXELS
from synth2obs.io.surveys.lamost_rows import LINES
from synth2obs.io.surveys.survey import Unwanted

H_ALPHA, H_BETA, CA_8544 = 6564.61, 4862.68, 8544.44
"""Vacuum Å."""


def lrs(*paths, **options):
    return read_survey("lamost_lrs", paths, **options)


def mrs(*paths, **options):
    return read_survey("lamost_mrs", paths, **options)


def line(wavelength, flux, good, centre, half):
    """Velocity in km/s of an absorption line below the straight line between the edges of its window."""
    speed = (wavelength / centre - 1) * C_KMS
    near = (np.abs(speed) < half) & good
    if near.sum() < 20:
        return np.nan
    speed, flux = speed[near], flux[near]
    edge = np.abs(speed) > 0.7 * half
    depth = np.clip(1 - flux / np.polyval(np.polyfit(speed[edge], flux[edge], 1), speed), 0, None) ** 2
    return float((speed * depth).sum() / depth.sum())


class TestLrs:
    @pytest.mark.parametrize("layout", ["image", "table"])
    def test_either_layout_gives_the_same_spectrum(self, native, tmp_path, layout):
        path = native.lamost_lrs(tmp_path / "same-name.fits", layout)
        spectra = lrs(path)
        assert spectra.flux.shape == (1, PIXELS) and spectra.id.tolist() == ["101001"]
        np.testing.assert_allclose(spectra.wavelength[:2], 10 ** (3.5682 + 1e-4 * np.arange(2)), rtol=1e-12)
        bad = [10, 20, *range(3906, PIXELS)]
        assert np.nonzero(spectra.ivar[0] == 0)[0].tolist() == bad
        assert spectra.flags[0, 19:23].tolist() == [0, 4 | 5 << 16, 5 << 16, 0]
        assert spectra.flag_names[2] == "AND_NOSKY" and spectra.flag_names[18] == "OR_NOSKY"
        np.testing.assert_allclose(spectra.ivar[0, 100], 0.16, rtol=1e-6)
        assert spectra.rv[0] == pytest.approx(2e-4 * C_KMS, abs=0.01) and spectra.rv_error[
            0
        ] == pytest.approx(6, rel=0.01)
        assert (spectra.frame, spectra.flux_kind, spectra.air_formula) == ("barycentric", "relative", "")
        assert line(spectra.wavelength, spectra.flux[0], spectra.ivar[0] > 0, H_ALPHA, 1000) == pytest.approx(
            60, abs=4
        )
        assert spectra.native["barycentric_correction"] == [12.5] and spectra.native["subclass"] == ["F5"]

    def test_spectra_of_different_lengths_share_one_grid(self, native, tmp_path):
        paths = [native.lamost_lrs(tmp_path / f"{n}.fits", obsid=n, pixels=n) for n in (3897, 3909)]
        spectra = lrs(*paths)
        assert spectra.shared_wavelength and len(spectra) == 2
        assert (spectra.ivar[0, 3894:] == 0).all() and (spectra.ivar[1, 3894:3906] > 0).all()
        assert check_shard(write_shard(spectra, tmp_path / "a.h5")) == []

    @pytest.mark.parametrize("card", ["VACUUM", "HELIO"])
    @pytest.mark.parametrize("value", [False, None, "T"])
    def test_medium_and_frame_must_be_stated(self, native, tmp_path, card, value):
        with pytest.raises(DataError, match=rf"a\.fits: {card}: must be T"):
            lrs(native.lamost_lrs(tmp_path / "a.fits", **{card: value}))

    def test_galaxies_are_left_out_unless_asked_for(self, native, tmp_path):
        path = native.lamost_lrs(tmp_path / "a.fits", CLASS="GALAXY")
        with pytest.raises(Unwanted, match="is a GALAXY"):
            lrs(path)
        assert lrs(path, classes="any").native["class"] == ["GALAXY"]
        assert len(lrs(path, classes="STAR,GALAXY")) == 1

    @pytest.mark.parametrize("card", [{"COEFF0": 3.6}, {"COEFF1": 2e-4}, {"COEFF0": 3.56825}])
    def test_cards_that_contradict_the_wavelengths(self, native, tmp_path, card):
        with pytest.raises(DataError, match=r"a\.fits: (WAVELENGTH|COEFF1)"):
            lrs(native.lamost_lrs(tmp_path / "a.fits", **card))

    def test_too_many_pixels(self, native, tmp_path):
        with pytest.raises(DataError, match="beyond the known range"):
            lrs(native.lamost_lrs(tmp_path / "a.fits", pixels=3930))

    @pytest.mark.parametrize("z", [None, -9999.0, "unknown"])
    def test_an_unknown_redshift_is_nan(self, native, tmp_path, z):
        path = native.lamost_lrs(tmp_path / "a.fits")
        with fits.open(path, mode="update") as hdus:
            del hdus[0].header["Z"]
            if z is not None:
                hdus[0].header["Z"] = z
        assert np.isnan(lrs(path).rv).all()

    def test_width_is_that_of_the_arms_or_as_given(self, native, tmp_path):
        path = native.lamost_lrs(tmp_path / "a.fits")
        usual, given = lrs(path), lrs(path, resolving_power="1500")
        pixel = np.gradient(usual.wavelength)
        whole = FWHM_PER_SIGMA * np.sqrt(usual.line_spread.sigma[0] ** 2 + pixel**2 / 12)
        np.testing.assert_allclose(whole, np.where(usual.wavelength < 5850, 2.7, 4.2))
        np.testing.assert_allclose(given.wavelength / given.line_spread.sigma[0] / FWHM_PER_SIGMA, 1500)


class TestPilot:
    """The layout without wavelengths and numbers of observations."""

    def test_wavelengths_are_those_of_the_cards(self, native, tmp_path):
        spectra = lrs(native.lamost_pilot(tmp_path / "a.fits"))
        assert spectra.flux.shape == (1, PIXELS) and spectra.id.tolist() == ["55862-B6212_sp03-006"]
        np.testing.assert_allclose(spectra.wavelength[[0, 3903]], [3699.985, 9088.663], rtol=1e-7)
        assert np.nonzero(spectra.ivar[0] == 0)[0].tolist() == [10, 20, *range(3900, PIXELS)]
        assert spectra.flags[0, 19:23].tolist() == [0, 1 | 1 << 16, 1 << 16, 0]
        np.testing.assert_allclose(spectra.ivar[0, 100], 0.16, rtol=1e-6)
        assert spectra.rv[0] == pytest.approx(2e-4 * C_KMS, abs=0.01)
        assert (spectra.frame, spectra.flux_kind, spectra.air_formula) == ("barycentric", "relative", "")
        assert line(spectra.wavelength, spectra.flux[0], spectra.ivar[0] > 0, H_ALPHA, 1000) == pytest.approx(
            60, abs=4
        )
        assert spectra.native["snr_g"] == [70.5] and spectra.native["object"] == ["LAMOST J6"]

    def test_errors_about_lines_are_published_or_their_neighbours(self, native, tmp_path):
        path = native.lamost_pilot(tmp_path / "a.fits")
        published, even = lrs(path), lrs(path, line_errors="neighbours")
        ratio = even.ivar[0, 30:3900] / published.ivar[0, 30:3900]
        assert np.nonzero(ratio != 1)[0].tolist() == list(range(1452 - 30, 1467 - 30))
        np.testing.assert_allclose(even.ivar[0, 1452:1467], 0.16, rtol=1e-6)

    def test_line_errors_of_later_layouts_are_as_published(self, native, tmp_path):
        path = native.lamost_lrs(tmp_path / "a.fits")
        with fits.open(path, mode="update") as hdus:
            hdus[0].data[1, 1452:1467] /= 10.0
        np.testing.assert_array_equal(lrs(path, line_errors="neighbours").ivar, lrs(path).ivar)

    def test_line_errors_are_one_of_two(self, native, tmp_path):
        with pytest.raises(DataError, match="line_errors: got 'even'"):
            lrs(native.lamost_pilot(tmp_path / "a.fits"), line_errors="even")

    def test_it_stands_beside_later_layouts(self, native, tmp_path):
        """Line spread, pixels and facts are those of the survey, so that a shard can hold both."""
        early = native.lamost_pilot(tmp_path / "a.fits")
        spectra = lrs(early, native.lamost_lrs(tmp_path / "b.fits"))
        assert spectra.shared_wavelength and spectra.line_spread.sigma.shape[0] == 1
        assert check_shard(write_shard(spectra, tmp_path / "a.h5")) == []

    def test_one_star_observed_twice_has_two_names_and_one_object(self, native, tmp_path):
        nights = [native.lamost_pilot(tmp_path / f"{day}.fits", LMJD=day) for day in (55862, 55863)]
        spectra = lrs(*nights)
        assert spectra.id.tolist() == ["55862-B6212_sp03-006", "55863-B6212_sp03-006"]
        assert len(set(spectra.native["object"])) == 1

    @pytest.mark.parametrize("card", ["LMJD", "PLANID", "SPID", "FIBERID"])
    def test_a_spectrum_without_a_name(self, native, tmp_path, card):
        with pytest.raises(DataError, match=rf"a\.fits: {card}: header card"):
            lrs(native.lamost_pilot(tmp_path / "a.fits", **{card: None}))

    @pytest.mark.parametrize(
        "rows",
        [
            "Flux Inverse Subcontinuum Andmask",
            "Flux Inverse Inverse Andmask Ormask",
            "Flux Subcontinuum Wavelength Andmask Ormask",
            "abc",
        ],
    )
    def test_rows_that_are_no_spectrum(self, native, tmp_path, rows):
        with pytest.raises(DataError, match=r"a\.fits: EXTEN0: names the rows"):
            lrs(native.lamost_pilot(tmp_path / "a.fits", EXTEN0=rows))

    def test_rows_are_taken_by_name(self, native, tmp_path):
        path = native.lamost_pilot(tmp_path / "a.fits")
        expected = lrs(path)
        with fits.open(path, mode="update") as hdus:
            hdus[0].header["EXTEN0"] = "Ormask, Flux, Andmask, Subcontinuum, Inverse"
            hdus[0].data = hdus[0].data[[4, 0, 3, 2, 1]]
        found = lrs(path)
        np.testing.assert_array_equal(found.flux, expected.flux)
        np.testing.assert_array_equal(found.ivar, expected.ivar)
        np.testing.assert_array_equal(found.flags, expected.flags)

    @pytest.mark.parametrize(
        "cards",
        [{"COEFF0": 3.5683}, {"CRVAL1": 3.5683}, {"CD1_1": 2e-4}, {"COEFF1": 2e-4}, {"COEFF0": None}],
    )
    def test_cards_that_contradict_each_other(self, native, tmp_path, cards):
        with pytest.raises(DataError, match=r"a\.fits: (COEFF|CRVAL1|CD1_1)"):
            lrs(native.lamost_pilot(tmp_path / "a.fits", **cards))

    def test_wavelengths_beyond_the_known_range(self, native, tmp_path):
        path = native.lamost_pilot(tmp_path / "a.fits", COEFF0=3.6, CRVAL1=3.6)
        with pytest.raises(DataError, match=r"a\.fits: COEFF0: wavelengths are not those"):
            lrs(path)

    @pytest.mark.parametrize("card", ["VACUUM", "HELIO"])
    def test_medium_and_frame_must_be_stated(self, native, tmp_path, card):
        with pytest.raises(DataError, match=rf"a\.fits: {card}: must be T"):
            lrs(native.lamost_pilot(tmp_path / "a.fits", **{card: False}))


class TestCatalogue:
    @pytest.mark.parametrize("metallicity", ["feh", "fe_h"])
    @pytest.mark.parametrize(("name", "separator"), [("a.csv", "|"), ("a.txt", ","), ("a.fits", "")])
    def test_labels_by_designation(self, native, tmp_path, name, separator, metallicity):
        table = native.lamost_catalogue(tmp_path / name, separator, metallicity)
        fibres = (6, 3, 2)
        stars = [native.lamost_pilot(tmp_path / f"{fibre}.fits", fibre=fibre) for fibre in fibres]
        spectra = lrs(*stars, parameters=table)
        np.testing.assert_array_equal(spectra.labels["teff"], [5200.0, 6100.0, np.nan])
        np.testing.assert_array_equal(spectra.labels["logg"], [4.1, np.nan, np.nan])
        np.testing.assert_array_equal(spectra.labels["fe_h"], [-0.1, 0.1, np.nan])
        np.testing.assert_array_equal(spectra.label_errors["teff"], [40.0, 50.0, np.nan])
        np.testing.assert_array_equal(spectra.label_errors["fe_h"], [0.1, np.nan, np.nan])
        assert "logg" not in spectra.label_errors

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("designation,snrg\nJ6,70\n", "has no columns designation"),
            ("obsid,teff\n1,5200\n", "has no columns designation"),
            ("designation,teff\nJ6\n", "nor a text table"),
            ("\n", "has no columns designation"),
        ],
    )
    def test_a_table_that_is_none(self, native, tmp_path, text, message):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(DataError, match=rf"a\.csv.*{message}"):
            lrs(native.lamost_pilot(tmp_path / "a.fits"), parameters=tmp_path / "a.csv")


class TestMrs:
    def test_combined_arms(self, native, tmp_path):
        spectra = mrs(native.lamost_mrs(tmp_path / "a.fits"))
        assert spectra.id.tolist() == ["700001"] and spectra.shared_wavelength
        assert np.bincount(spectra.segment).tolist() == [4901, 4601]
        good = spectra.ivar[0] > 0
        assert good.sum() == 4127 + 3824 - 2
        np.testing.assert_allclose(
            spectra.wavelength[good][[0, -1]], 10 ** np.array([3.6908, 3.83573]), rtol=1e-9
        )
        assert line(spectra.wavelength, spectra.flux[0], good, H_ALPHA, 600) == pytest.approx(30, abs=4)
        assert line(spectra.wavelength, spectra.flux[0], good, 5184.0, 150) == pytest.approx(30, abs=3)
        assert np.isnan(spectra.rv[0]) and spectra.frame == "barycentric"

    @pytest.mark.parametrize(("coadds", "missing"), [("B", 1), ("R", 0)])
    def test_a_missing_arm_has_no_weight(self, native, tmp_path, coadds, missing):
        spectra = mrs(native.lamost_mrs(tmp_path / "a.fits", coadds=coadds))
        assert (spectra.ivar[0, spectra.segment == missing] == 0).all()
        assert (spectra.ivar[0, spectra.segment != missing] > 0).sum() > 3000

    @pytest.mark.parametrize(("card", "value"), [("NEXP_B", 3), ("COMBIN_R", False)])
    def test_tables_that_the_header_does_not_count(self, native, tmp_path, card, value):
        path = native.lamost_mrs(tmp_path / "a.fits")
        fits.setval(path, card, value=value)
        with pytest.raises(DataError, match=rf"a\.fits: {card}: is {value}"):
            mrs(path)

    def test_single_exposures_keep_their_pixels(self, native, tmp_path):
        spectra = mrs(native.lamost_mrs(tmp_path / "a.fits"), spectra="single")
        assert spectra.id.tolist() == ["700001/84454650", "700001/84454651"]
        assert spectra.wavelength.shape == (2, 2 * 4136)
        assert (np.diff(spectra.wavelength[:, 4136:]) > 0).all()
        for row in range(2):
            good = spectra.ivar[row] > 0
            assert line(spectra.wavelength[row], spectra.flux[row], good, H_ALPHA, 600) == pytest.approx(
                30, abs=4
            )
        np.testing.assert_array_equal(np.nonzero(spectra.ivar[0] == 0)[0], [5, 2 * 4136 - 6])
        assert spectra.native["minute"].tolist() == [84454650.0, 84454651.0]
        assert check_shard(write_shard(spectra, tmp_path / "a.h5")) == []

    def test_an_exposure_of_one_arm(self, native, tmp_path):
        spectra = mrs(native.lamost_mrs(tmp_path / "a.fits", arms="R"), spectra="single")
        assert (spectra.ivar[:, :4136] == 0).all() and (spectra.wavelength[:, :4136] > 4800).all()

    def test_nothing_of_the_kind_that_is_asked_for(self, native, tmp_path):
        with pytest.raises(Unwanted, match="no coadd"):
            mrs(native.lamost_mrs(tmp_path / "a.fits", coadds=""))

    def test_the_other_survey_is_named(self, native, tmp_path):
        low, medium = native.lamost_lrs(tmp_path / "a.fits"), native.lamost_mrs(tmp_path / "b.fits")
        with pytest.raises(DataError, match=r"b\.fits.*lamost_mrs"):
            lrs(medium)
        with pytest.raises(DataError, match=r"a\.fits.*lamost_lrs"):
            mrs(low)


class TestRealFiles:
    @pytest.fixture
    def stars(self, observed):
        return lrs(*sorted(observed.glob("lamost_lrs/*.fits.gz")))

    def test_low_resolution_lines_lie_in_vacuum_at_the_stars_velocities(self, stars):
        """Medians over A to G stars are +15, 0 and +1 km/s, scatter 11 to 16; air would put them 82 km/s away."""
        warm = [
            row
            for row in range(len(stars))
            if stars.native["subclass"][row][0] in "AFG" and stars.snr[row] > 30
        ]
        assert len(warm) > 180
        for centre, limit in ((H_ALPHA, 20), (H_BETA, 10), (CA_8544, 10)):
            seen = centre * (1 + stars.rv / C_KMS)
            found = [line(stars.wavelength, stars.flux[r], stars.ivar[r] > 0, seen[r], 900) for r in warm]
            assert abs(np.nanmedian(found)) < limit

    def test_errors_are_those_of_repeated_spectra(self, stars):
        """Pulls of 85 pairs of spectra of one star have a median width of 1.00 (80 % within 0.87 to 1.18)."""
        rows = defaultdict(list)
        for row, name in enumerate(stars.native["object"]):
            rows[name].append(row)
        pairs = [(i, j) for same in rows.values() for n, i in enumerate(same) for j in same[:n]]
        widths = [pull_width(stars, *pair) for pair in pairs]
        assert len(pairs) == 85 and np.median(widths) == pytest.approx(1.0, abs=0.1)

    def test_masks_by_counts(self, observed):
        for path in sorted(observed.glob("lamost_lrs/*.fits.gz"))[::20]:
            flux, ivar, _, both, _ = fits.getdata(path)
            spectra = lrs(path)
            assert (spectra.ivar[0] > 0).sum() == ((ivar > 0) & (both == 0) & (flux != 0)).sum()

    def test_the_same_object_in_both_layouts(self, observed):
        """DR7 (image) and DR9 (table) of one observation: the same wavelengths and, up to scale, the same flux."""
        folder = observed / "lamost_cmost"
        old, new = (lrs(folder / f"spec-55859-F5902_sp01-001{end}.fits.gz") for end in ("_dr7", ""))
        assert old.id == new.id and abs(old.rv - new.rv) < 10
        good = (old.ivar[0] > 0) & (new.ivar[0] > 0) & (old.wavelength > 5000)
        ratio = old.flux[0, good] / new.flux[0, good]
        assert np.std(ratio / median_filter(ratio, 101)) < 0.05

    def test_all_files_of_the_tools(self, observed):
        paths = sorted(observed.glob("lamost_cmost/*.fits.gz"))
        assert len(paths) == 10
        with pytest.raises(Unwanted, match="sp01-005.*is a QSO"):
            lrs(*paths)
        assert [len(lrs(path, classes="any")) for path in paths] == [1] * 10

    def test_the_pilot_survey(self, observed):
        """Hβ and Ca II 8544 of A to G stars lie within 3 km/s of their vacuum wavelengths (medians)."""
        paths = sorted(observed.glob("lamost_dr1/*.fits"))
        if not paths:
            pytest.skip("no files of the pilot survey here")
        stars = lrs(*paths, parameters=observed / "lamost_dr1" / "labels.csv")
        assert len(stars) == len(set(stars.id)) == len(set(stars.native["object"])) == 101
        assert {name: int(np.isfinite(values).sum()) for name, values in stars.labels.items()} == {
            "teff": 76,
            "logg": 76,
            "fe_h": 76,
        }
        used = (stars.ivar > 0).any(axis=0)
        assert used[:3904].any() and not used[3904:].any()
        for path, ivar in zip(paths, stars.ivar, strict=True):
            flux, inverse, _, both, _ = fits.getdata(path)
            assert (ivar > 0).sum() == ((inverse > 0) & (both == 0) & (flux != 0)).sum()
        even = lrs(*paths, line_errors="neighbours")
        higher = even.ivar > 5 * stars.ivar
        assert [int(higher[:, a:b].any(axis=1).sum()) for a, b in LINES] == [90, 94, 100, 101, 100, 101]
        warm = [
            row
            for row, kind in enumerate(stars.native["subclass"])
            if kind[0] in "AFG" and stars.native["snr_g"][row] > 15
        ]
        for centre in (H_BETA, CA_8544):
            seen = centre * (1 + stars.rv / C_KMS)
            found = [line(stars.wavelength, stars.flux[r], stars.ivar[r] > 0, seen[r], 900) for r in warm]
            assert abs(np.nanmedian(found)) < 10

    def test_medium_resolution(self, observed):
        """Hα of the exposures of a star lies where it does in the combination; a poor epoch has S/N near 0."""
        paths = sorted(observed.glob("lamost_laspec/med*")) + sorted(observed.glob("lamost_rrnet/med*"))
        coadds, singles = mrs(*paths), mrs(*paths, spectra="single")
        assert (len(coadds), len(singles)) == (9, 43)
        assert ((coadds.ivar > 0).sum(axis=1) > 7500).all()
        found = {}
        for table in (coadds, singles):
            for row, name in enumerate(table.id):
                axis = table.wavelength if table.shared_wavelength else table.wavelength[row]
                found[name] = line(axis, table.flux[row], table.ivar[row] > 0, H_ALPHA, 500)
        bright = coadds.id[coadds.snr > 20]
        shifts = [
            found[name] - found[name.split("/")[0]] for name in singles.id if name.split("/")[0] in bright
        ]
        assert len(shifts) > 20 and abs(np.median(shifts)) < 3 and np.median(np.abs(shifts)) < 10
        blue = [
            np.median((f * np.sqrt(i))[:4901][i[:4901] > 0])
            for f, i in zip(coadds.flux, coadds.ivar, strict=True)
        ]
        assert sum(abs(value) < 1 for value in blue) == 2


def pull_width(spectra, one, other, low=4200.0, high=8900.0):
    """Scaled median absolute deviation of differences in units of their errors, after a smooth ratio of the two."""
    good = (
        (spectra.ivar[[one, other]] > 0).all(axis=0)
        & (spectra.wavelength > low)
        & (spectra.wavelength < high)
    )
    (first, second), (weight, other_weight) = (
        spectra.flux[[one, other]][:, good],
        spectra.ivar[[one, other]][:, good],
    )
    ratio = median_filter(first / second, 101)
    pull = (first - ratio * second) / np.sqrt(1 / weight + ratio**2 / other_weight)
    return 1.4826 * np.median(np.abs(pull - np.median(pull)))
