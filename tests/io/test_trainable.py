"""What `check` says of a grid that no training could start from."""

import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from synth2obs.cli import app
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.embedded import resolve
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.io.trainable import FEWEST, grid_problems


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
    "no labels": (lambda g: replace(g, labels={}), "labels: a grid needs labels teff, logg, fe_h; add teff"),
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


def test_a_survey_is_no_grid(tmp_path):
    assert grid_problems(resolve("embedded:miles")) == []
