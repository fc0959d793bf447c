"""Typical spectra of a survey: draws from the density of its latents."""

import copy

import numpy as np
import pytest
import torch
from astropy.table import Table
from scipy.stats import chi2
from typer.testing import CliRunner

import synth2obs
from synth2obs.analysis.flags import UNUSUAL
from synth2obs.analysis.generate import generated, unusual
from synth2obs.cli import app
from synth2obs.core.errors import DataError, ModelError
from synth2obs.models.bundle import save_bundle

MEAN, SIGMA = 0.3, 0.5


@pytest.fixture(scope="module")
def narrow(bridge):
    """A bridge whose stars have latents N(0.3, 0.5²) as ``far`` sees them."""
    bridge = copy.deepcopy(bridge)
    density = bridge.survey("far").density
    size = bridge.decoder.latent
    random = torch.Generator().manual_seed(5)
    density.start(MEAN + SIGMA * torch.randn(4000, size, generator=random, dtype=torch.float64))
    return bridge


def test_a_seed_gives_the_same_spectra_and_another_others(narrow, same):
    first, again, other = (generated(narrow, "far", 5, seed) for seed in (3, 3, 4))
    same(first, again, rtol=0, atol=0)
    assert np.nanmax(np.abs(first.flux - other.flux)) > 1e-3


def test_latents_have_the_moments_of_the_density(narrow):
    found = generated(narrow, "far", 3000, 1)
    drawn = narrow.survey("far").morph(torch.as_tensor(found.latent))[0].numpy()
    wide = narrow.survey("far").density.sample(20_000, torch.Generator().manual_seed(9)).numpy()
    np.testing.assert_allclose(drawn.mean(0), wide.mean(0), atol=0.06)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(wide.T), atol=0.07)
    np.testing.assert_allclose(drawn.mean(0), MEAN, atol=0.06)


def test_flux_is_that_of_the_drawn_latents(narrow):
    found, model = generated(narrow, "far", 6, 2, rv=np.linspace(-40, 40, 6)), narrow.survey("far")
    drawn = model.density.sample(6, torch.Generator().manual_seed(2))
    rv = torch.linspace(-40, 40, 6, dtype=torch.float64)
    expected = narrow.native.flux(model.value(narrow.decoder, drawn), "far", rv)
    np.testing.assert_allclose(found.flux, expected, atol=2e-5)
    assert found.survey == "far" and found.flux.shape == found.gap_error.shape and "far" in repr(found)
    assert not any(found.outside)


def test_draws_beyond_the_grid_are_flagged(bridge):
    """The densities of an untrained survey are N(0, I): a percent of the draws lies beyond 99 % of the grid."""
    flags = generated(bridge, "near", 4000, 0).flags
    assert set(np.unique(flags)) == {0, UNUSUAL} and 0.005 < (flags == UNUSUAL).mean() < 0.016


@pytest.mark.parametrize("size", [4, 6, 32, 128])
def test_the_limit_is_the_quantile_of_chi2(size):
    edge = np.sqrt(chi2.ppf(0.99, size) / size)
    latents = torch.tensor([[0.998 * edge], [1.002 * edge]]).expand(2, size)
    assert list(unusual(latents)) == [False, True]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"count": 0}, ["count", "at least 1", "0"]),
        ({"count": 2.5}, ["count", "whole number", "2.5"]),
        ({"seed": -1}, ["seed", "at least 0", "-1"]),
        ({"rv": np.nan}, ["rv in km/s", "nan"]),
        ({"rv": [1.0, 2.0]}, ["rv", "(2,)", "3 stars"]),
    ],
)
def test_what_is_wrong_is_named(bridge, change, words):
    with pytest.raises(DataError) as caught:
        synth2obs.generate(bridge, **{"survey": "far", "count": 3, **change})
    assert all(word in str(caught.value) for word in words), caught.value


def test_an_unknown_survey_is_named(bridge):
    with pytest.raises(ModelError, match="'mine'.*near, far"):
        synth2obs.generate(bridge, "mine", 3)


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".fits"])
def test_the_command_line_gives_what_python_gives(narrow, tmp_path, suffix):
    bundle, out = str(save_bundle(narrow, tmp_path / "bridge")), tmp_path / f"spectra{suffix}"
    options = ["-s", "far", "-n", "3", "--seed", "1", "--rv", "12.5", "-o", str(out)]
    done = CliRunner().invoke(app, ["generate", bundle, *options])
    assert done.exit_code == 0 and "3 spectra of 200 pixels" in done.output, done.output
    expected, table = synth2obs.generate(narrow, "far", 3, seed=1, rv=12.5), Table.read(out)
    for star in range(3):
        column = np.ma.filled(np.ma.asarray(table[f"flux_{star}"], float), np.nan)
        np.testing.assert_allclose(column, expected.flux[star], atol=1e-5)


def test_more_columns_than_fits_can_have_are_refused(bundle, tmp_path):
    options = ["-s", "far", "-n", "250", "-o", str(tmp_path / "spectra.fits")]
    refused = CliRunner().invoke(app, ["generate", bundle, *options])
    assert refused.exit_code == 2 and "at most 999 columns, got 1251" in refused.stderr
    assert not list(tmp_path.iterdir())
