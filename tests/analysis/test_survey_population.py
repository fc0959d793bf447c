"""Which stars a survey has, from its spectra alone."""

import numpy as np
import pytest
from astropy.table import Table
from typer.testing import CliRunner

import synth2obs
from synth2obs.analysis.survey_population import survey_population
from synth2obs.cli import app
from synth2obs.core.errors import DataError, ModelError
from synth2obs.io.shard.write import write_shard

CENTRE, WIDTH = np.array([5500.0, 3.0, -0.2]), np.array([150.0, 0.3, 0.1])
COUNT = 60


@pytest.fixture(scope="module")
def spectra(bridge, stars_of, labels_of, by_name):
    """Sixty stars of a narrow population, at a signal to noise at which errors are as wide."""
    labels = labels_of(COUNT, seed=4, share=0.5)
    labels[:, :3] = CENTRE + WIDTH * np.random.default_rng(7).normal(size=(COUNT, 3))
    return stars_of(
        "near", synth2obs.morph(bridge, labels=by_name(labels), survey="near").flux, snr=40, seed=3
    )


@pytest.fixture(scope="module")
def found(bridge, spectra):
    return survey_population(bridge, spectra, "near")


def test_draws_are_as_narrow_as_the_stars(found, bridge, spectra):
    """Fitted labels scatter by their errors as well."""
    drawn = np.stack(list(found.sample(2000).values()), axis=1)
    fitted = synth2obs.fit_labels(bridge, spectra, "near", population=False)
    assert found.stars > 0.9 * COUNT
    assert (np.abs(drawn.mean(0) - CENTRE) < 3 * WIDTH / COUNT**0.5 + 0.3 * WIDTH).all()
    wide = np.array([np.std(fitted[name]) for name in ("teff", "logg", "fe_h")])
    assert (np.abs(drawn.std(0) - WIDTH) < np.maximum(np.abs(wide - WIDTH), 0.35 * WIDTH)).all()


def test_a_density_is_normalised_in_the_labels_units(found):
    """Its integral over the grid's box by Monte Carlo, of the draws that are in it."""
    random = np.random.default_rng(0)
    low, high = CENTRE - 6 * WIDTH, CENTRE + 6 * WIDTH
    points = low + (high - low) * random.random((200_000, 3))
    total = np.exp(found.log_prob(*points.T)).mean() * np.prod(high - low)
    assert total == pytest.approx(1.0, abs=0.05)


def test_a_narrow_population_is_worth_few_spectra_of_the_grid(found):
    assert 1.0 <= found.grid_spectra < 40


def test_draws_are_labels_of_morph(found, bridge):
    first, again = found.sample(5, seed=2), found.sample(5, seed=2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert synth2obs.morph(bridge, labels=first, survey="near").flux.shape[0] == 5


def test_what_it_cannot_do_it_says(bridge, spectra, found):
    with pytest.raises(DataError, match="at least 10"):
        survey_population(bridge, spectra.take(np.arange(6)), "near")
    with pytest.raises(ModelError, match="nowhere"):
        survey_population(bridge, spectra, "nowhere")
    with pytest.raises(DataError, match="at least 1"):
        found.sample(0)


def test_the_command_writes_draws(bundle, spectra, tmp_path):
    shard, out = tmp_path / "stars.h5", tmp_path / "stars.ecsv"
    write_shard(spectra, shard)
    done = CliRunner().invoke(
        app, ["population", bundle, str(shard), "-s", "near", "-n", "7", "-o", str(out)]
    )
    assert done.exit_code == 0, done.output
    table = Table.read(out)
    assert len(table) == 7 and table["teff"].unit == "K" and table.meta["survey"] == "near"
    assert table.meta["stars"] > 0.9 * COUNT and "draws from" in done.output
