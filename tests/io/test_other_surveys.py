"""Readers for which no native file of a star was at hand, or only one: DESI, MaStar, SDSS-V and Gaia RVS."""

import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.io.ingest.ingest import ingest
from synth2obs.io.surveys import read_survey
from synth2obs.io.surveys.desi_lsf import STEP, responses
from synth2obs.io.surveys.survey import Unwanted


class TestDesi:
    def test_stars_and_not_the_sky(self, native, tmp_path):
        spectra = read_survey("desi", [native.desi(tmp_path / "a.fits")])
        assert len(spectra) == 2 and np.bincount(spectra.segment).tolist() == [2751, 2326, 2881]
        assert (np.nonzero(spectra.ivar[0] == 0)[0] == [11, 2762, 5088]).all()
        assert spectra.flags[0, 11] == 2 and spectra.flag_names[1] == "ALLBADPIX"

    def test_targets_of_other_programmes_must_be_asked_for(self, native, tmp_path):
        path = native.desi(tmp_path / "a.fits")
        with fits.open(path, mode="update") as hdus:
            hdus["FIBERMAP"].data["MWS_TARGET"] = 0
        with pytest.raises(Unwanted, match="none of 3 targets"):
            read_survey("desi", [path])
        assert len(read_survey("desi", [path], targets="all")) == 2

    def test_diagonals_are_rows_of_the_resolution_matrix(self):
        """As scipy's dia_matrix with offsets 5 to -5 has it."""
        from scipy.sparse import dia_matrix

        data = np.random.default_rng(0).uniform(1, 2, (11, 40))
        matrix = dia_matrix((data, np.arange(5, -6, -1)), shape=(40, 40)).toarray()
        # A row that sums to less than the others lacks something.
        matrix /= matrix.sum(axis=1, keepdims=True)
        data = np.stack([np.pad(matrix.diagonal(k), (max(k, 0), max(-k, 0))) for k in range(5, -6, -1)])
        found = responses(data)
        for pixel in (0, 3, 20, 39):
            for entry, offset in enumerate(range(-5, 6)):
                seen = matrix[pixel, pixel + offset] if 0 <= pixel + offset < 40 else 0.0
                assert found[pixel, entry] == seen

    def test_a_pixel_without_a_response_has_its_neighbour_s(self):
        data = np.tile(np.exp(-0.5 * np.linspace(-3, 3, 11) ** 2)[:, None], (1, 30))
        # Column j holds what rows j - 5 to j + 5 see of sample j, so whole rows vanish only around its middle.
        data[:, 8:22] = 0.0
        found = responses(data)
        assert (found.sum(axis=1) > 0.5).all()

    def test_width_of_the_table_is_that_of_the_matrix_on_boxes_of_a_sample(self, native, tmp_path):
        """Variance of the matrix plus a box of 0.8 Å: what linear interpolation of the table must give."""
        path = native.desi(tmp_path / "a.fits")
        spectra, narrow = (read_survey("desi", [path], lsf=how) for how in ("kernel", "gaussian"))
        kernel, offset = spectra.line_spread.kernel[0, 1500].astype(float), spectra.line_spread.offset
        fine = np.linspace(offset[0], offset[-1], 4001)
        shape = np.interp(fine, offset, kernel)
        variance = (shape * fine**2).sum() / shape.sum()
        assert variance == pytest.approx(narrow.line_spread.sigma[0, 1500] ** 2 + STEP**2 / 12, rel=2e-3)
        assert narrow.line_spread.kernel is None

    @pytest.mark.parametrize("lost", ["B", "R", "Z", "BR"])
    @pytest.mark.parametrize("lsf", ["kernel", "gaussian"])
    def test_an_arm_that_was_out_of_order(self, native, tmp_path, lost, lsf):
        path = native.desi(tmp_path / "a.fits")
        whole = read_survey("desi", [path], lsf=lsf)
        with fits.open(path) as hdus:
            kept = [hdu.copy() for hdu in hdus if hdu.name[:2] not in [f"{arm}_" for arm in lost]]
        fits.HDUList(kept).writeto(path, overwrite=True)
        part = read_survey("desi", [path], lsf=lsf)
        gone = np.isin(part.segment, ["BRZ".index(arm) for arm in lost])
        np.testing.assert_allclose(part.wavelength, whole.wavelength, atol=1e-3)
        assert (part.ivar[:, gone] == 0).all()
        assert part.native["arms"][0] == "".join(arm for arm in "BRZ" if arm not in lost)
        np.testing.assert_array_equal(part.flux[:, ~gone], whole.flux[:, ~gone])

    def test_no_arm_at_all(self, native, tmp_path):
        path = native.desi(tmp_path / "a.fits")
        with fits.open(path) as hdus:
            fits.HDUList([hdu.copy() for hdu in hdus[:2]]).writeto(path, overwrite=True)
        with pytest.raises(DataError, match="has none of the arms B, R, Z"):
            read_survey("desi", [path])

    def test_a_restricted_fibre_is_kept_and_a_broken_one_is_named(self, native, tmp_path, caplog):
        path = native.desi(tmp_path / "a.fits")
        with fits.open(path, mode="update") as hdus:
            hdus["FIBERMAP"].data["COADD_FIBERSTATUS"][:2] = 8, 8 | 4
        with caplog.at_level("WARNING", "synth2obs"):
            spectra = read_survey("desi", [path])
        assert spectra.native["fiber_status"].tolist() == [8.0]
        assert "left out: its fibre has COADD_FIBERSTATUS 12" in caplog.text
        summary = ingest("desi", [path], tmp_path / "a.h5")
        assert "COADD_FIBERSTATUS 12" in str(summary)

    def test_beside_masked_pixels_the_response_is_a_whole_one(self):
        offset = 0.8 * np.arange(5, -6, -1)[:, None]
        data = np.tile(np.exp(-0.5 * (offset / 0.9) ** 2), (1, 200))
        data /= data.sum(axis=0)
        data[:, 90:95] = 0.0
        response = responses(data)
        x = 0.8 * np.arange(-5, 6)
        sigma = np.sqrt((response * x**2).sum(axis=1) / response.sum(axis=1))
        np.testing.assert_allclose(sigma, 0.9, rtol=5e-3)

    def test_another_wavelength_axis(self, native, tmp_path):
        path = native.desi(tmp_path / "a.fits")
        with fits.open(path, mode="update") as hdus:
            hdus["R_WAVELENGTH"].data += 1.0
        with pytest.raises(DataError, match=r"a\.fits: R_WAVELENGTH"):
            read_survey("desi", [path])

    def test_a_wrong_checksum_is_damage(self, native, tmp_path):
        path = native.desi(tmp_path / "a.fits")
        with fits.open(path) as hdus:
            hdus.writeto(path, overwrite=True, checksum=True)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x55
        path.write_bytes(bytes(content))
        with pytest.raises(DataError, match=r"a\.fits: .*[Cc]hecksum"):
            read_survey("desi", [path])

    def test_real_file(self, observed):
        """Two targets with data, no stars; masks by counts, and a response of unit sum."""
        path = observed / "desi" / "coadd-sv3-dark-26065.fits"
        spectra = read_survey("desi", [path], targets="all")
        rows = [2, 4]
        with fits.open(path) as hdus:
            good = sum(
                ((hdus[f"{arm}_IVAR"].data[rows] > 0) & (hdus[f"{arm}_MASK"].data[rows] == 0)).sum(axis=1)
                for arm in "BRZ"
            )
        np.testing.assert_array_equal((spectra.ivar > 0).sum(axis=1), good)
        inside = spectra.line_spread.kernel[:, 10:2740].sum(axis=-1)
        assert abs(np.median(inside) - 1) < 0.005


class TestMastar:
    def test_widths_are_filled_and_the_frame_must_be_said(self, native, tmp_path):
        path = native.mastar(tmp_path / "a.fits")
        with pytest.raises(DataError, match="must be told frame"):
            read_survey("mastar", [path])
        spectra = read_survey("mastar", [path], frame="barycentric")
        assert spectra.rv[0] == -20 and spectra.id.tolist() == ["8047-9101-57108"]
        assert (spectra.line_spread.sigma > 0.97).all() and np.nonzero(spectra.ivar[0] == 0)[0].tolist() == [
            20
        ]
        assert spectra.flag_names[25] == "COMBINEREJ" and spectra.flags[0, 20] == 1 << 25

    def test_real_file(self, observed):
        """Hα and the Ca triplet within 20 km/s of the star's velocity in vacuum; widths are PREDISP."""
        path = observed / "mastar" / "mastar-LOG-8047-9101.fits.gz"
        spectra = read_survey("mastar", [path], frame="barycentric")
        table = fits.getdata(path, 1)
        assert (spectra.ivar[0] == 0).sum() == (table["IVAR"][0] == 0).sum() == 13
        width, own = table["PREDISP"][0], spectra.line_spread.sigma[0]
        np.testing.assert_allclose(own[width > 0], width[width > 0], rtol=1e-6)
        for centre in (6564.61, 8544.44, 8664.52):
            seen = centre * (1 + spectra.rv[0] / C_KMS)
            speed = (spectra.wavelength / seen - 1) * C_KMS
            near = np.abs(speed) < 500
            depth = np.clip(np.percentile(spectra.flux[0, near], 90) - spectra.flux[0, near], 0, None) ** 2
            assert abs((speed[near] * depth).sum() / depth.sum()) < 25


class TestSdss5:
    def test_one_file_holds_two_surveys(self, native, tmp_path):
        path = native.mwm(tmp_path / "mwmStar.fits")
        boss, apogee = (read_survey(f"sdss5_{name}", [path]) for name in ("boss", "apogee"))
        assert boss.flux.shape == (1, 4648) and apogee.flux.shape == (1, 8575)
        assert boss.domain == "sdss5_boss" and apogee.id.tolist() == ["23326/apo25m"]
        assert apogee.ivar[0, 30] == 0 and boss.ivar[0, 30] > 0 and boss.flags[0, 30] == 1
        assert apogee.line_spread.hermite is not None and boss.frame == "rest"

    def test_visits(self, native, tmp_path):
        spectra = read_survey("sdss5_boss", [native.mwm(tmp_path / "mwmVisit.fits", 3)], resolving_power=2000)
        assert spectra.id.tolist() == [f"23326/apo25m-{59000 + n}" for n in range(3)]
        np.testing.assert_allclose(spectra.wavelength / spectra.line_spread.sigma[0] / FWHM_PER_SIGMA, 2000)

    def test_an_instrument_that_did_not_look(self, native, tmp_path):
        path = native.mwm(tmp_path / "mwmStar.fits")
        with fits.open(path) as hdus:
            hdus[3] = hdus[4]
            hdus.writeto(path, overwrite=True)
        with pytest.raises(Unwanted, match="no apogee spectrum"):
            read_survey("sdss5_apogee", [path])

    def test_specutils_reads_the_same(self, native, tmp_path):
        """specutils wants DATASUM cards, which the survey's files have."""
        specutils = pytest.importorskip("specutils")
        path = native.mwm(tmp_path / "mwmStar.fits")
        with fits.open(path) as hdus:
            hdus.writeto(path, overwrite=True, checksum=True)
        own, theirs = (
            read_survey("sdss5_apogee", [path]),
            specutils.Spectrum.read(path, format="SDSS-V mwm", hdu=3),
        )
        np.testing.assert_allclose(own.wavelength, theirs.spectral_axis.value, rtol=1e-12)
        good = own.ivar[0] > 0
        np.testing.assert_array_equal(own.flux[0, good], theirs.flux.value[good].astype(np.float32))


class TestRvs:
    def test_bulk_and_single_files(self, native, tmp_path):
        bulk = read_survey("gaia_rvs", [native.rvs_bulk(tmp_path / "RvsMeanSpectrum_1.csv")])
        single = read_survey("gaia_rvs", [native.rvs_single(tmp_path / "RVS-5853498713190525696.fits")])
        assert bulk.id.tolist() == ["5853498713190525696", "4111834567779557376"]
        assert single.id.tolist() == bulk.id[:1].tolist() and bulk.shared_wavelength
        np.testing.assert_allclose(bulk.flux[0], single.flux[0], rtol=1e-6)
        assert np.nonzero(bulk.ivar[0] == 0)[0].tolist() == [0, 1, 2, 3, 4]
        np.testing.assert_allclose(bulk.wavelength[[0, -1]], [8460.0, 8700.0])

    def test_another_axis_or_length(self, native, tmp_path):
        from astropy.table import Table

        wavelength, flux, error = native.rvs_flux()
        columns = {"wavelength": wavelength + 1, "flux": flux, "flux_error": error}
        Table(columns).write(tmp_path / "1234567890.fits")
        with pytest.raises(DataError, match="wavelength: must run from 846 to 870 nm"):
            read_survey("gaia_rvs", [tmp_path / "1234567890.fits"])
        Table({"flux": flux[:9], "flux_error": error[:9]}).write(tmp_path / "1234567891.fits")
        with pytest.raises(DataError, match=r"shape \(9,\)"):
            read_survey("gaia_rvs", [tmp_path / "1234567891.fits"])

    def test_a_name_is_needed(self, native, tmp_path):
        with pytest.raises(DataError, match="names no source"):
            read_survey("gaia_rvs", [native.rvs_single(tmp_path / "spectrum.fits")])
