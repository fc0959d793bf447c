"""Results show themselves: what they print, their figures, and their way into astropy's world."""

from html import escape

import numpy as np
import pytest
from matplotlib.figure import Figure

import synth2obs
from synth2obs.core.errors import DataError, ModelError


@pytest.fixture(scope="module")
def stars(bridge, labels_of, stars_of):
    return stars_of("near", bridge.predict(labels_of(9, seed=3, share=0.7), "near"), snr=200)


@pytest.fixture(scope="module")
def latents(bridge, stars):
    return synth2obs.encode(bridge, stars, "near")


@pytest.fixture(scope="module")
def morphed(bridge):
    return synth2obs.morph(bridge, survey="far", labels={"teff": [5000, 9000]})


@pytest.fixture(scope="module")
def gap(bridge, stars):
    return synth2obs.measure_gap(bridge, stars, "near")


@pytest.fixture(scope="module")
def lines(bridge):
    return synth2obs.latent_lines(bridge, lines=3)


def everything(*fixtures):
    return pytest.mark.parametrize("name", fixtures)


@everything("bridge", "morphed", "latents", "gap", "lines")
def test_it_prints_in_a_few_lines_and_in_a_notebook(name, request):
    found = request.getfixturevalue(name)
    text = repr(found)
    assert 2 < text.count("\n") < 15 and "next" in text and "nan" not in text
    assert found._repr_html_().startswith("<div>") and escape(text.splitlines()[0]) in found._repr_html_()


def test_what_they_say(bridge, morphed, gap, latents):
    assert "near (300 pixels)" in repr(bridge) and "teff 4520 to 6499 K" in repr(bridge)
    assert "2 stars as far sees them" in repr(morphed) and "1 × label outside the grid" in repr(morphed)
    assert "labels      teff 5000 to 9000 K, logg" in repr(morphed)
    assert "outside     teff" in repr(morphed) and "Gap of 9 stars" in repr(gap) and " ± " in repr(gap)
    assert "9 stars, 6 each" in repr(latents)


def test_dir_of_a_bridge_has_no_network_in_it(bridge):
    shown = {name for name in dir(bridge) if not name.startswith("_")}
    assert {"surveys", "labels", "card", "predict", "decoder", "survey"} <= shown
    assert not shown & {"register_buffer", "named_children", "zero_grad", "training"} and len(shown) < 40


@everything("morphed", "latents", "gap", "lines")
def test_it_draws(name, request):
    figure = request.getfixturevalue(name).plot()
    assert isinstance(figure, Figure) and figure.axes and figure._repr_png_().startswith(b"\x89PNG")


def test_a_figure_of_a_range(morphed, gap):
    for found in (morphed, gap):
        axes = found.plot(wave=(5100.0, 5200.0)).axes[0]
        x = axes.lines[-1].get_xdata()
        assert 5100 <= x.min() and x.max() <= 5200
        with pytest.raises(DataError, match="wave: 9000 to 9100 Å has no pixels"):
            found.plot(wave=(9000.0, 9100.0))


def test_what_cannot_be_drawn_is_named(morphed, latents, lines):
    with pytest.raises(DataError, match="star: must be below 2, got 2"):
        morphed.plot(2)
    with pytest.raises(DataError, match="second: must be below 6, got 7"):
        latents.plot(0, 7)
    with pytest.raises(DataError, match="latent: must be below 6, got -1"):
        lines.plot(-1)


def test_spectra_of_astropys_world(morphed):
    first, second = morphed.to_specutils()
    assert str(first.spectral_axis.unit) == "Angstrom" and str(first.flux.unit) == ""
    np.testing.assert_allclose(first.spectral_axis.value, morphed.wavelength)
    np.testing.assert_array_equal(first.mask, ~np.isfinite(morphed.flux[0]))
    expected = np.hypot(morphed.gap_error, morphed.emulator_error)[1]
    np.testing.assert_allclose(second.uncertainty.array, expected)
    assert second.meta == {"survey": "far", "medium": "vacuum", "flags": int(morphed.flags[1])}


class TestTables:
    def test_a_frame_and_a_table_are_labels(self, bridge):
        pandas, table = pytest.importorskip("pandas"), pytest.importorskip("astropy.table")
        columns = {"teff": [5000.0, 6000.0], "mg_fe": [0.1, 0.3]}
        expected = synth2obs.morph(bridge, survey="far", labels=columns).flux
        for given in (pandas.DataFrame(columns), table.Table(columns)):
            np.testing.assert_array_equal(synth2obs.morph(bridge, survey="far", labels=given).flux, expected)

    def test_what_a_fit_gives_can_be_morphed(self, bridge, stars):
        fitted = synth2obs.fit_labels(bridge, stars, "near")
        labels = {name: np.asarray(fitted[name]) for name in bridge.labels.names}
        found = synth2obs.morph(bridge, survey="far", labels=fitted)
        np.testing.assert_array_equal(found.flux, synth2obs.morph(bridge, survey="far", labels=labels).flux)

    def test_units_are_converted(self, bridge):
        from astropy import units
        from astropy.table import QTable, Table

        expected = synth2obs.morph(bridge, survey="far", labels={"teff": [5000.0]}).flux
        for kind in (QTable, Table):
            given = kind({"teff": [5.0] * units.kK})
            np.testing.assert_allclose(
                synth2obs.morph(bridge, survey="far", labels=given).flux, expected, atol=1e-6
            )
        with pytest.raises(DataError, match="'teff' in K must be numbers of that kind"):
            synth2obs.morph(bridge, survey="far", labels=Table({"teff": [5.0] * units.km}))

    @pytest.mark.parametrize(
        "columns, words",
        [
            ({"tef": [5000.0]}, "unknown label 'tef'"),
            ({"teff": ["hot"]}, "'teff' in K must be numbers"),
            ({"teff": []}, "no rows"),
            ({"teff": [np.nan]}, "must be finite"),
        ],
    )
    def test_what_is_wrong_is_named(self, columns, words, bridge):
        from astropy.table import Table

        with pytest.raises(DataError, match=words):
            synth2obs.morph(bridge, survey="far", labels=Table(columns))

    def test_masked_values_are_no_labels(self, bridge):
        from astropy.table import MaskedColumn, Table

        given = Table({"teff": MaskedColumn([5000.0, 1.0], mask=[False, True])})
        with pytest.raises(DataError, match="must be finite"):
            synth2obs.morph(bridge, survey="far", labels=given)

    def test_what_is_no_table_is_named(self, bridge):
        with pytest.raises(DataError, match="must be a mapping or a table, got list"):
            synth2obs.morph(bridge, survey="far", labels=[5000.0])


class TestDecode:
    def test_a_latent_at_rest_is_theory(self, bridge, morphed):
        found = synth2obs.decode(bridge, morphed.latent)
        labels = np.stack([morphed.labels[name] for name in bridge.labels.names], axis=1)
        np.testing.assert_allclose(found.flux, bridge.rest_flux(labels).numpy(), atol=1e-5)
        np.testing.assert_array_equal(found.wavelength, bridge.decoder.rest_wavelength.numpy())
        assert "rest frame" in repr(found)

    def test_what_was_encoded_comes_back(self, bridge, stars, latents):
        found = synth2obs.decode(bridge, latents, "near")
        # Up to the continuum, which is nearly a straight line there.
        ratio = found.flux / stars.flux
        line = np.stack([np.polyval(np.polyfit(np.arange(300), row, 5), np.arange(300)) for row in ratio])
        assert np.std(ratio / line) < 0.02 and found.survey == "near"
        still = synth2obs.decode(bridge, latents.mean[0], "near", rv=latents.rv[:1])
        np.testing.assert_allclose(still.flux[0], found.flux[0], atol=1e-5)

    @pytest.mark.parametrize(
        "latent, options, error, words",
        [
            (np.zeros((2, 5)), {}, DataError, r"shape \(N, 6\), got shape \(2, 5\)"),
            (np.full(6, np.nan), {}, DataError, "finite"),
            ("six", {}, DataError, "must be real numbers, got <U3"),
            (np.zeros(6), {"rv": 3.0}, DataError, "rv: is for a survey's pixels"),
            (np.zeros(6), {"survey": "none"}, ModelError, "unknown survey 'none'"),
        ],
    )
    def test_what_is_wrong_is_named(self, latent, options, error, words, bridge):
        with pytest.raises(error, match=words):
            synth2obs.decode(bridge, latent, **options)


class TestLatentLines:
    def test_shapes(self, lines, bridge):
        assert lines.response.shape == (6, 400) and lines.correlation.shape == (6, 5)
        assert lines.elements == ("Mg",) and lines.partial_r2.shape == (6, 1)
        assert all(1 <= len(row) <= 3 for row in lines.lines)
        assert len(lines.table()) == 6 and lines.table().colnames[0] == "latent"

    def test_the_response_is_the_change_of_the_flux(self, lines, bridge):
        step = np.zeros((2, 6))
        step[0, 2], step[1, 2] = 1e-2, -1e-2
        plus, minus = synth2obs.decode(bridge, step).flux.astype(float)
        np.testing.assert_allclose(lines.response[2], (plus - minus) / 2e-2, atol=2e-4)

    def test_lines_are_its_largest_extrema(self, lines):
        for row, found in zip(lines.response, lines.lines, strict=True):
            assert abs(found[0].change) == pytest.approx(np.abs(row[1:-1]).max(), rel=1e-6)
            assert {line.name for line in found} <= {"Mg", "Fe", "Hε", "Hδ", "Hγ", "Hβ", "Hα"}

    def test_partial_r2_is_at_fixed_stellar_labels(self):
        from synth2obs.analysis.latent_lines import correlations, unexplained

        random = np.random.default_rng(0)
        stellar = random.normal(size=(400, 3))
        element = stellar[:, :1] ** 2 + random.normal(size=(400, 1))
        follows = 0.5 * element + 3.0 * stellar[:, 1:2] * stellar[:, 2:]
        other = stellar[:, :1] + random.normal(size=(400, 1))
        left = unexplained(np.hstack([follows, other]), stellar)
        r2 = correlations(left, unexplained(element, stellar))[:, 0] ** 2
        assert r2[0] > 0.999 and r2[1] < 0.02
