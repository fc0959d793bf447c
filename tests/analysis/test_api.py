import dataclasses
import re

import numpy as np
import pytest
import torch

import synth2obs
from synth2obs.core.errors import DataError, ModelError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.shard.write import write_shard

MISSING, DEPTH = 5171.0, 0.05
"""Wavelength and depth of a line that the stars have and theory has not."""


@pytest.fixture(scope="module")
def spectra(bridge, labels_of, stars_of):
    """Thirty stars of ``near``, whose theory is right but for one line."""
    flux = bridge.predict(labels_of(30, seed=21, share=0.7), "near")
    wavelength = bridge.survey("near").wavelength.numpy()
    return stars_of("near", flux - DEPTH * np.exp(-0.5 * ((wavelength - MISSING) / 2.5) ** 2), snr=200)


@pytest.fixture(scope="module")
def shard(spectra, tmp_path_factory):
    return write_shard(spectra, tmp_path_factory.mktemp("shard") / "near.h5")


@pytest.fixture(scope="module")
def many(spectra):
    """The same as specutils spectra."""
    specutils = pytest.importorskip("specutils")
    from astropy import units as u
    from astropy.nddata import InverseVariance

    return specutils.SpectrumList(
        [
            specutils.Spectrum(
                spectral_axis=spectra.wavelength * u.AA,
                flux=flux * u.adu,
                uncertainty=InverseVariance(ivar / u.adu**2),
            )
            for flux, ivar in zip(spectra.flux[:3], spectra.ivar[:3], strict=True)
        ]
    )


def test_every_public_name_is_there():
    assert set(synth2obs.__all__) <= set(dir(synth2obs))
    for name in synth2obs.__all__:
        assert getattr(synth2obs, name)
    with pytest.raises(AttributeError, match="'morf'.*morph"):
        _ = synth2obs.morf


def test_a_bundle_comes_back_as_it_was_saved(bridge, bundle, labels_of):
    table = labels_of(3, seed=2)
    loaded = synth2obs.load_bridge(bundle)
    np.testing.assert_allclose(loaded.predict(table, "far"), bridge.predict(table, "far"), atol=1e-6)


def test_an_address_needs_a_store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ModelError, match="no store.*MLFLOW_TRACKING_URI"):
        synth2obs.load_bridge("models:/optical@champion")
    with pytest.raises(ModelError, match="no mlflow.db"):
        synth2obs.load_bridge("models:/optical@champion", store=tmp_path)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_registered_model_is_found_in_the_store_that_is_named(
    bundle, tmp_path, monkeypatch, new_folder, by
):
    from synth2obs.training.tracking.store import store_address
    from synth2obs.training.tracking.tracker import Tracker

    folder = new_folder("registered")
    tracker = Tracker.open(folder, grid="lines", surveys=["near", "far"])
    example = {"teff": 5500.0, "logg": 3.0, "fe_h": 0.0, "vmic": 1.5, "mg_fe": 0.0}
    address = tracker.log_bridge(bundle, example, name="toy", survey="near")
    tracker.close()
    store = folder / "mlflow"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if by == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store_address(store))
        store = None
    for where in (address, "models:/toy@champion"):
        assert set(synth2obs.load_bridge(where, store).surveys) == {"near", "far"}
    for wrong in ("models:/toy@other", "models:/toy/7", "models:/none@champion"):
        with pytest.raises(ModelError, match=f"{wrong}: not found"):
            synth2obs.load_bridge(wrong, store)
    # MLflow's default registry is a file in the working directory.
    assert not list(tmp_path.iterdir())


def test_nothing_at_a_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        synth2obs.load_bridge(tmp_path)


def test_a_shard_a_table_and_specutils_spectra_give_the_same(bridge, spectra, shard, many):
    first = spectra.take(np.arange(3))
    found = [
        synth2obs.encode(bridge, given, "near", **extra)
        for given, extra in ((first, {}), (str(shard), {}), (many, {"medium": "vacuum"}))
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.mean[:3], found[0].mean, atol=0.02)
        # Stars with pixels of their own have a velocity column from differences between pixels.
        assert (np.abs(other.rv[:3] - found[0].rv) < 0.15 * found[0].rv_error).all()


def test_pixels_beyond_theory_are_left_out(bridge, spectra):
    wide = np.arange(4900, 5500, 1.2)
    rows = np.arange(2)
    flux, ivar = (
        np.stack([np.interp(wide, spectra.wavelength, one) for one in table[rows]])
        for table in (spectra.flux, spectra.ivar)
    )
    wider = dataclasses.replace(
        spectra.take(rows),
        wavelength=wide,
        segment=np.zeros(len(wide), np.int16),
        flux=flux.astype(np.float32),
        ivar=ivar.astype(np.float32),
        line_spread=LineSpread.gaussian(np.full(len(wide), spectra.line_spread.sigma.mean()), stars=2),
    )
    cut = synth2obs.encode(bridge, wider, "near")
    assert (cut.pixels > 0.9 * len(spectra.wavelength)).all()
    assert (cut.pixels <= len(spectra.wavelength) + 2).all()


def test_fitted_labels_are_a_table_with_units(bridge, spectra):
    table = synth2obs.fit_labels(bridge, spectra.take(np.arange(4)), "near", population=False)
    assert table.colnames[:3] == ["id", "teff", "teff_error"]
    assert (str(table["teff"].unit), str(table["fe_h_error"].unit)) == ("K", "dex")
    assert (str(table["vmic"].unit), str(table["rv_error"].unit)) == ("km / s", "km / s")
    assert table.meta["flags"]["2"] == "poor fit" and list(table["id"]) == list(spectra.id[:4])


def test_what_cannot_be_used_is_named(bridge, spectra, many, tmp_path):
    grid = dataclasses.replace(spectra, kind="grid", ivar=None)
    red = dataclasses.replace(spectra, wavelength=spectra.wavelength + 3000)
    cases = [
        ((grid, "near"), {}, DataError, "grid without errors"),
        ((red, "near"), {}, DataError, "no pixel between"),
        ((many, "near"), {}, DataError, "medium"),
        ((3.0, "near"), {}, DataError, "spectra.*float"),
        ((tmp_path / "no.h5", "near"), {}, DataError, "no.h5"),
        ((spectra, "mine"), {}, ModelError, "'mine'.*near, far"),
        (("embedded:mars", "near"), {}, DataError, "mars.*miles"),
    ]
    for arguments, extra, error, message in cases:
        with pytest.raises(error, match=message):
            synth2obs.encode(bridge, *arguments, **extra)


@pytest.mark.parametrize("given", [{}, {"labels": {"teff": 5000}, "spectrum": "near.h5"}])
def test_morph_takes_labels_or_a_spectrum(bridge, given):
    with pytest.raises(DataError, match="labels= or spectrum="):
        synth2obs.morph(bridge, survey="near", **given)


def test_morph_of_a_shard_keeps_the_velocities(bridge, shard):
    found = synth2obs.morph(bridge, spectrum=shard, source="near", survey="far")
    assert found.flux.shape == (30, len(bridge.survey("far").wavelength))


def test_a_missing_line_is_found_and_nothing_else(bridge, spectra):
    before = {name: value.clone() for name, value in bridge.state_dict().items()}
    found = synth2obs.measure_gap(bridge, spectra, "near")
    strongest = max(found.lines, key=lambda line: line.significance)
    assert strongest.wavelength == pytest.approx(MISSING, abs=1.5)
    assert strongest.depth == pytest.approx(DEPTH, rel=0.3)
    far = np.isfinite(found.gap) & (np.abs(found.wavelength - MISSING) > 15)
    assert np.sqrt(np.mean(found.gap[far] ** 2)) < 0.15 * DEPTH
    assert found.gap[np.nanargmin(found.gap)] < 0 and found.stars == 30
    for name, value in bridge.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)


def test_a_gap_needs_stars(bridge, spectra):
    with pytest.raises(DataError, match="2 spectra are too few.*at least 8"):
        synth2obs.measure_gap(bridge, spectra.take(np.arange(2)), "near")


def test_a_report_is_one_page_about_the_survey(bridge, spectra, labels_of, tmp_path):
    known = labels_of(30, seed=21, share=0.7)
    labelled = dataclasses.replace(
        spectra, labels=dict(zip(("teff", "logg", "fe_h"), known.T[:3], strict=True))
    ).take(np.arange(12))
    page = synth2obs.calibration_report(bridge, labelled, "near", tmp_path / "near.html")
    text = page.read_text(encoding="utf-8")
    assert "near" in text and text.count("data-star=") == 12
    assert (tmp_path / "assets" / "near" / "stars-000.js").is_file()
    assert (tmp_path / "assets" / "plotly.min.js").is_file()
    assert not re.search(r">[^<>]*\b(nan|inf|None)\b[^<>]*<", re.sub("(?s)<(script|style).*?</", "", text))


def test_a_report_needs_no_literature(bridge, spectra, tmp_path):
    page = synth2obs.calibration_report(bridge, spectra.take(np.arange(8)), "near", tmp_path / "near.html")
    assert "near" in page.read_text(encoding="utf-8")
