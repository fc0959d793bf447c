"""What `check` says of a grid that no training could start from."""

import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from synth2obs.cli import app
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Gradients
from synth2obs.io.embedded import resolve
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.io.trainable import FEWEST, grid_problems, with_usual_labels
from synth2obs.training.domains import load_domains
from synth2obs.training.run import read_config


@pytest.fixture(scope="module")
def grid():
    """Sixty spectra of the embedded grid with four labels."""
    spectra = read_shard(resolve("embedded:optical_grid"), rows=slice(0, 60))
    labels = {name: spectra.labels[name] for name in ("teff", "logg", "fe_h", "mg_fe")}
    return replace(spectra, labels=labels, label_errors={}, gradients=None)


def wide(grid, share):
    """The grid with some spectra broader than the others."""
    sigma = np.outer(1.0 + share * (np.arange(2) > 0), grid.line_spread.sigma[0])
    return replace(grid, line_spread=LineSpread(group=np.arange(len(grid)) % 2, sigma=sigma))


BROKEN = {
    "no labels": (
        lambda g: replace(g, labels={}),
        "labels: a grid needs labels teff, logg, fe_h, it has none; add teff",
    ),
    "no metallicity": (
        lambda g: replace(g, labels={n: c for n, c in g.labels.items() if n != "fe_h"}),
        "labels: a grid needs labels .*; add fe_h to",
    ),
    "a label that stays": (
        lambda g: replace(g, labels={**g.labels, "mg_fe": np.full(len(g), 0.1)}),
        "labels/mg_fe: is 0.1 for every spectrum.*; leave the label out",
    ),
    "a temperature that stays": (
        lambda g: replace(g, labels={**g.labels, "teff": np.full(len(g), 5000.0)}),
        "labels/teff: is 5000 for every spectrum.*; compute spectra over a range",
    ),
    "few spectra": (lambda g: g.take(np.arange(FEWEST - 1)), "flux: 11 spectra for 4 labels, at least 12"),
    "even in wavelength": (
        lambda g: replace(g, wavelength=np.linspace(3600.0, 7400.0, g.flux.shape[1])),
        "wavelength: wavelengths are not uniform in ln λ.*steps.*; give the description an",
    ),
    "pixels of their own": (
        lambda g: replace(g, wavelength=np.tile(g.wavelength, (len(g), 1))),
        "wavelength: differs from spectrum to spectrum; give all spectra the same pixels",
    ),
    "another name": (
        lambda g: replace(g, labels={("Teff" if n == "teff" else n): c for n, c in g.labels.items()}),
        "labels: a grid needs labels .* it has Teff, .*; rename Teff to teff",
    ),
    "absolute flux": (
        lambda g: replace(g, flux=g.flux * np.float32(1e7), flux_kind="absolute"),
        "flux_kind: is 'absolute', and only a normalized grid.*divide each spectrum by its continuum",
    ),
    "relative flux": (lambda g: replace(g, flux_kind="relative"), "flux_kind: is 'relative'"),
    "absolute flux said to be normalized": (
        lambda g: replace(g, flux=g.flux * np.float32(1e7)),
        "flux_kind: is 'normalized', but the median flux of spectrum 0 is .*e.06, far from 1; divide",
    ),
    "faint flux said to be normalized": (
        lambda g: replace(g, flux=g.flux * np.float32(0.1)),
        "flux_kind: is 'normalized', but the median flux of spectrum",
    ),
    "one spectrum that is not": (
        lambda g: replace(g, flux=g.flux * np.where(np.arange(len(g)) == 7, 50.0, 1.0).astype("f4")[:, None]),
        "flux_kind: is 'normalized', but the median flux of spectrum 7 is",
    ),
    "two line spreads": (lambda g: wide(g, 0.1), "lsf/sigma: differs from spectrum to spectrum"),
}


@pytest.mark.parametrize("change, words", BROKEN.values(), ids=BROKEN)
def test_check_refuses_and_says_what_to_do(grid, tmp_path, change, words):
    path = write_shard(change(grid), tmp_path / "grid.h5")
    (problem,) = grid_problems(path)
    assert re.search(words, str(problem)), problem
    said = CliRunner().invoke(app, ["check", str(path)])
    assert said.exit_code == 2 and problem.message in said.output


def test_check_takes_what_can_be_trained_on(grid, tmp_path):
    assert grid_problems(write_shard(grid, tmp_path / "grid.h5")) == []
    assert grid_problems(write_shard(wide(grid, 1e-9), tmp_path / "two.h5")) == []
    assert grid_problems(write_shard(grid.take(np.arange(FEWEST)), tmp_path / "few.h5")) == []


def in_metals(grid):
    """The grid in [M/H] and [α/M], with gradients by these names."""
    old = ("teff", "logg", "fe_h", "mg_fe")
    labels = {
        new: grid.labels[name] for new, name in zip(("teff", "logg", "m_h", "alpha_m"), old, strict=True)
    }
    rows = np.zeros((1, grid.flux.shape[1]), "f4")
    gradients = Gradients(index=np.array([0]), values={"m_h": rows}, steps={"m_h": 0.1})
    return replace(grid, labels=labels, gradients=gradients)


def test_a_grid_in_metals_is_one_in_iron(grid, tmp_path, caplog):
    path = write_shard(in_metals(grid), tmp_path / "grid.h5")
    assert grid_problems(path) == []
    assert CliRunner().invoke(app, ["check", str(path)]).exit_code == 0
    with caplog.at_level("INFO", "synth2obs"):
        found = with_usual_labels(read_shard(path))
    assert set(found.labels) == {"teff", "logg", "fe_h", "alpha_fe"}
    assert np.array_equal(found.labels["fe_h"], grid.labels["fe_h"])
    assert list(found.gradients.values) == list(found.gradients.steps) == ["fe_h"]
    assert "labels m_h, alpha_m of the grid are taken as fe_h, alpha_fe" in caplog.text


def test_a_grid_that_has_both_keeps_both(grid):
    both = replace(grid, labels={**grid.labels, "m_h": grid.labels["fe_h"] + 0.1})
    assert with_usual_labels(both) is both


@pytest.mark.parametrize("change", ["absolute flux", "absolute flux said to be normalized", "no metallicity"])
def test_a_training_refuses_it_before_any_work(change, grid, tmp_path):
    path = write_shard(BROKEN[change][0](grid), tmp_path / "grid.h5")
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["quickstart", "-o", str(out), f"data.grid={path}", "data.start=5000", "data.stop=5200"]
    )
    assert done.exit_code == 2 and re.search(BROKEN[change][1].partition(": ")[0], done.stderr), done.output
    assert list(out.iterdir()) == []


def test_a_training_takes_a_grid_in_metals(grid, tmp_path):
    path = write_shard(in_metals(grid), tmp_path / "grid.h5")
    words = [f"data.grid={path}", "data.start=5000", "data.stop=5200", "data.max_stars=16"]
    config = read_config(None, words)
    assert load_domains(config.data, config.seed).grid.labels.names == ("teff", "logg", "fe_h", "alpha_fe")


def test_a_label_that_is_taken_away_takes_its_gradients(grid, tmp_path):
    whole = read_shard(resolve("embedded:optical_grid"), rows=slice(0, 60))
    labels = {name: whole.labels[name] for name in ("teff", "logg", "fe_h")}
    found = read_shard(write_shard(replace(whole, labels=labels), tmp_path / "grid.h5"))
    assert found.gradients is None or set(found.gradients.values) <= set(labels)


def test_a_survey_is_no_grid(tmp_path):
    assert grid_problems(resolve("embedded:miles")) == []
