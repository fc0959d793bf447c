"""The public functions on a bridge that was really trained, and on real spectra."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import synth2obs
from synth2obs.analysis.flags import FAR, OUTSIDE
from synth2obs.core.errors import ConfigError, DataError, ModelError
from synth2obs.io.embedded import embedded_path
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.models.bridge import Bridge
from synth2obs.models.survey import SurveyModel

SUN = {"teff": 5777.0, "logg": 4.44, "fe_h": 0.0}
OWN = """
name = "mine"
wavelength = "wave"
flux = "flux"
error = "error"
unit = "Angstrom"
medium = "vacuum"
frame = "barycentric"
flux_kind = "normalized"
resolving_power = 2000
"""
"""A description of tables of one's own."""

FIELDS = ("flux", "flux_theory", "gap", "gap_error")


@pytest.fixture(scope="module")
def bridge(trained):
    return synth2obs.load_bridge(trained.folder / "bridge")


@pytest.fixture(scope="module")
def stars(bridge):
    """Ten real stars with labels inside the grid."""
    spectra = read_shard(embedded_path("miles"), slice(0, 60))
    good = [
        row
        for row in range(60)
        if 4500 < spectra.labels["teff"][row] < 6500 and spectra.labels["fe_h"][row] > -1
    ]
    return spectra.take(np.array(good[:10]))


class TestMorph:
    @pytest.mark.parametrize("survey", ["miles", "stelib"])
    def test_a_batch_is_its_stars_one_by_one(self, bridge, survey):
        labels = {"teff": [4600.0, 5777.0, 6300.0], "logg": [2.0, 4.44, 4.1], "fe_h": [-0.5, 0.0, 0.2]}
        rv = np.array([0.0, 40.0, -120.0])
        together = synth2obs.morph(bridge, labels=labels, survey=survey, rv=rv)
        for row in range(3):
            one = {name: values[row] for name, values in labels.items()}
            alone = synth2obs.morph(bridge, labels=one, survey=survey, rv=rv[row])
            for field in FIELDS:
                np.testing.assert_allclose(
                    getattr(alone, field)[0], getattr(together, field)[row], atol=2e-6, err_msg=field
                )

    def test_labels_outside_the_grid_are_answered_and_flagged(self, bridge):
        found = synth2obs.morph(bridge, labels={"teff": [5777.0, 40000.0], "fe_h": -9.0}, survey="miles")
        assert list(found.flags) == [OUTSIDE | FAR] * 2
        assert found.outside == (("fe_h",), ("teff", "fe_h"))
        assert np.isfinite(found.flux).any()
        assert list(synth2obs.morph(bridge, labels=SUN, survey="miles").flags) == [0]

    def test_what_is_wrong_is_named(self, bridge):
        with pytest.raises(DataError, match="unknown label 'tef'; the grid has teff, logg, fe_h"):
            synth2obs.morph(bridge, labels={"tef": 5777}, survey="miles")
        with pytest.raises(DataError, match="'teff' in K must be finite"):
            synth2obs.morph(bridge, labels={"teff": np.nan}, survey="miles")
        with pytest.raises(DataError, match="rv in km/s must be finite"):
            synth2obs.morph(bridge, labels=SUN, survey="miles", rv=np.inf)
        with pytest.raises(ModelError, match="unknown survey 'galah'; this model knows miles, stelib"):
            synth2obs.morph(bridge, labels=SUN, survey="galah")

    def test_a_trained_gap_is_part_of_the_difference_and_has_an_error(self, bridge):
        found = synth2obs.morph(bridge, labels=SUN, survey="miles")
        covered = np.isfinite(found.flux)
        assert covered.mean() > 0.9 and np.nanmax(np.abs(found.gap)) > 1e-3
        assert np.nanstd(found.difference - found.gap) > 1e-4  # the morph's own part
        assert (found.gap_error[covered] > 0).all() and np.isnan(found.gap_error[~covered]).all()

    def test_an_untrained_survey_has_exactly_no_gap(self, bridge):
        trained = bridge.survey("miles")
        fresh = SurveyModel(trained.config, trained.wavelength, trained.segment, trained.line_spread)
        models = {"miles": trained, "new": fresh}
        other = Bridge(bridge.labels, bridge.decoder, bridge.emulator, bridge.scale, models).eval()
        found = synth2obs.morph(other, labels=SUN, survey="new", rv=33.0)
        covered = np.isfinite(found.flux)
        assert not found.gap[covered].any()
        assert np.array_equal(found.flux, found.flux_theory, equal_nan=True)

    def test_a_spectrum_of_another_telescope(self, bridge, stars):
        there = synth2obs.morph(bridge, spectrum=stars, source="miles", survey="stelib")
        assert there.flux.shape == (10, len(bridge.survey("stelib").wavelength))
        latent = torch.from_numpy(there.latent)
        seen = synth2obs.encode(bridge, stars, "miles")
        with torch.no_grad():
            back = bridge.survey("miles").morph(latent)[0]
        np.testing.assert_allclose(back.numpy(), seen.mean, atol=1e-5)

    def test_to_the_other_telescope_and_back_is_where_it_began(self, bridge, stars):
        u = torch.from_numpy(synth2obs.encode(bridge, stars, "miles").mean)
        miles, stelib = bridge.survey("miles").morph, bridge.survey("stelib").morph
        with torch.no_grad():
            there = stelib(miles.inverse(u)[0])[0]
            back = miles(stelib.inverse(there)[0])[0]
        assert torch.allclose(back, u, atol=1e-6) and not torch.allclose(there, u, atol=1e-3)


class TestMeasure:
    def test_latents(self, bridge, stars):
        found = synth2obs.encode(bridge, stars, "miles")
        assert found.mean.shape == (10, 6) and found.covariance.shape == (10, 6, 6)
        assert (np.linalg.eigvalsh(found.covariance) > 0).all()
        assert list(found.id) == list(stars.id)
        # Published as at rest.
        assert np.abs(np.median(found.rv)) < 30

    def test_one_star_is_a_batch(self, bridge, stars):
        together, alone = (synth2obs.encode(bridge, s, "miles") for s in (stars, stars.take(np.array([3]))))
        np.testing.assert_allclose(alone.mean[0], together.mean[3], atol=1e-3)

    def test_labels_are_a_table_with_units_and_the_meaning_of_flags(self, bridge, stars):
        from astropy.table import Table

        table = synth2obs.fit_labels(bridge, stars, "miles")
        assert isinstance(table, Table) and len(table) == 10
        assert (str(table["teff"].unit), str(table["teff_error"].unit), str(table["rv"].unit)) == (
            "K",
            "K",
            "km / s",
        )
        assert table.meta["flags"]["1"] == "label outside the grid"
        assert {f"{name}_error" for name in bridge.labels.names} < set(table.colnames)
        error = np.asarray(table["teff"]) - stars.labels["teff"]
        assert np.median(np.abs(error)) < 600

    def test_literature_labels_are_not_read(self, bridge, stars):
        bare = replace(stars, labels={}, label_errors={})
        one, other = (synth2obs.fit_labels(bridge, s, "miles") for s in (stars, bare))
        assert all(np.array_equal(one[name], other[name]) for name in one.colnames)

    def test_the_gap_of_real_stars(self, bridge, stars):
        before = {key: value.clone() for key, value in bridge.state_dict().items()}
        found = synth2obs.measure_gap(bridge, stars, "miles")
        assert found.stars == 10 and found.rms > 0 and found.rms_error > 0
        known = np.isfinite(found.gap)
        assert known.mean() > 0.5 and (found.error[known] > 0).all()
        after = bridge.state_dict()
        assert all(torch.equal(after[key].nan_to_num(), before[key].nan_to_num()) for key in before)

    def test_a_report_of_real_stars(self, bridge, stars, tmp_path):
        page = synth2obs.calibration_report(bridge, stars, "miles", tmp_path / "miles.html")
        text = page.read_text(encoding="utf-8")
        assert "<title" in text and "miles" in text and "anchored" in text


class TestSpectra:
    def test_specutils_spectra_need_a_medium(self, bridge, stars):
        specutils = pytest.importorskip("specutils")
        from astropy import units as u
        from astropy.nddata import InverseVariance

        cut = slice(*np.searchsorted(stars.wavelength, [5010, 5290]))
        spectrum = specutils.Spectrum(
            spectral_axis=stars.wavelength[cut] * u.AA,
            flux=stars.flux[0, cut] * u.one,
            uncertainty=InverseVariance(stars.ivar[0, cut]),
        )
        with pytest.raises(DataError, match="medium.*say 'vacuum' or 'air'"):
            synth2obs.encode(bridge, spectrum, "miles")
        found = synth2obs.encode(bridge, spectrum, "miles", medium="vacuum")
        assert found.mean.shape == (1, 6) and np.isfinite(found.mean).all()
        shifted = synth2obs.encode(bridge, spectrum, "miles", medium="air")
        # Air taken for vacuum is 1.4 Å: 83 km/s.
        assert shifted.rv[0] - found.rv[0] == pytest.approx(83, abs=15)

    def test_a_grid_shard_is_refused(self, bridge):
        with pytest.raises(DataError, match="is a grid without errors; give observed spectra"):
            synth2obs.encode(bridge, "embedded:optical_grid", "miles")

    def test_a_shard_is_as_good_as_its_table(self, bridge, stars, tmp_path):
        path = write_shard(stars, tmp_path / "ten.h5")
        one, other = (synth2obs.encode(bridge, given, "miles") for given in (stars, path))
        assert np.array_equal(one.mean, other.mean)

    def test_nothing_that_can_be_read(self, bridge):
        with pytest.raises(DataError, match="cannot read spectra from a float"):
            synth2obs.encode(bridge, 3.0, "miles")


class TestData:
    def test_read_is_the_spectra_of_a_shard(self, stars, tmp_path):
        path = write_shard(stars, tmp_path / "ten.h5")
        assert list(synth2obs.read(path).id) == list(stars.id)
        assert synth2obs.read("embedded:stelib").domain == "stelib"
        with pytest.raises(DataError, match="no.h5"):
            synth2obs.read(tmp_path / "no.h5")

    def test_ingest_writes_a_shard(self, stars, tmp_path):
        wavelength = np.asarray(stars.wavelength if stars.wavelength.ndim == 1 else stars.wavelength[0])
        (tmp_path / "mine.toml").write_text(OWN)
        table = np.stack([wavelength, stars.flux[0], np.full(len(wavelength), 0.01)], axis=1)
        np.savetxt(tmp_path / "HD1.csv", table, delimiter=",", header="wave,flux,error", comments="")
        summary = synth2obs.ingest(str(tmp_path / "mine.toml"), [tmp_path / "HD1.csv"], tmp_path / "a.h5")
        assert summary.stars == 1 and "a.h5" in str(summary)
        assert synth2obs.read(tmp_path / "a.h5").domain == "mine"

    def test_a_complete_training_is_only_loaded(self, copy_of, small, bridge):
        found = synth2obs.train(None, copy_of, small)
        assert found.surveys == bridge.surveys
        np.testing.assert_array_equal(
            found.rest_flux(bridge.labels.default), bridge.rest_flux(bridge.labels.default)
        )

    def test_settings_are_a_toml_or_a_config(self, copy_of, small):
        from synth2obs.training.run import read_config

        config = read_config(None, small)
        assert synth2obs.train(config, copy_of).surveys == ("miles", "stelib")
        with pytest.raises(ConfigError, match="overrides are for a TOML"):
            synth2obs.train(config, copy_of, ["seed=3"])
        with pytest.raises(ConfigError, match="unknown 'sed'"):
            synth2obs.train(None, copy_of, ["sed=3"])
