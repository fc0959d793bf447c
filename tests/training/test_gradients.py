"""Gradient spectra in a training: their ends, what the trunk keeps of them, and what the emulator learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.core.spectra import Gradients
from synth2obs.training.build import first_state
from synth2obs.training.domains import load_domains
from synth2obs.training.gradients import gradient_ends
from synth2obs.training.run import read_config
from synth2obs.training.stages.theory import TheoryStage

SIZES = ("data.start=5150", "data.stop=5250", "decoder.latent=8", "decoder.rank=24", "theory.steps=5")
STEPS = {"teff": 50.0, "mg_fe": 0.1}


def lines(pixels, seed):
    """A few lines that no spectrum of the grid has."""
    random = np.random.default_rng(seed)
    return sum(
        np.exp(-0.5 * ((np.arange(pixels) - place) / 2.0) ** 2) for place in random.uniform(0, pixels, 6)
    )


@pytest.fixture(scope="module")
def started(small):
    """A training on a grid with gradients at a spectrum to train on and at a held-out one."""
    config = read_config(None, [*small, *SIZES])
    domains = load_domains(config.data, config.seed)
    held = domains.grid.held_out
    index = np.array([np.flatnonzero(~held)[3], np.flatnonzero(held)[0]])
    pixels = domains.grid.spectra.flux.shape[1]
    values = {
        name: np.stack([lines(pixels, seed) * 0.05 / step] * 2)
        for seed, (name, step) in enumerate(STEPS.items())
    }
    spectra = replace(domains.grid.spectra, gradients=Gradients(index=index, values=values, steps=STEPS))
    domains = replace(domains, grid=replace(domains.grid, spectra=spectra))
    return config, first_state(config, domains), index[0], values


def test_ends_are_a_step_apart(started):
    _, state, row, values = started
    ends = gradient_ends(state)
    names = [name for name in state.bridge.labels.names if name in STEPS]
    for number, name in enumerate(names):
        apart = state.bridge.scale.inverse(ends.upper) - state.bridge.scale.inverse(ends.lower)
        expected = np.zeros(apart.shape[1])
        expected[state.bridge.labels.index(name)] = 2.0 * STEPS[name]
        np.testing.assert_allclose(apart[number], expected, atol=1e-9)
        change = 2.0 * STEPS[name] * values[name][0]
        np.testing.assert_allclose(ends.change[number], change, atol=1e-6)
    middle = 0.5 * (ends.upper_flux + ends.lower_flux)
    torch.testing.assert_close(middle, state.flux[row].expand_as(middle))
    assert len(ends.upper) == len(STEPS) and len(ends.flux) == 2 * len(STEPS)


def test_without_gradients_there_are_no_ends(started):
    config, state, _, _ = started
    grid = replace(state.domains.grid, spectra=replace(state.domains.grid.spectra, gradients=None))
    assert gradient_ends(first_state(config, replace(state.domains, grid=grid))) is None


def test_a_stage_keeps_and_learns_them(started):
    config, state, _, _ = started
    stage = TheoryStage(state, config.theory)
    for index in range(stage.steps):
        stage.step(index)
    stage.finish()
    ends, bridge = stage.ends, state.bridge
    basis = torch.linalg.qr(bridge.decoder.trunk.table().detach().double())[0]
    change = ends.change.double()
    assert (change - change @ basis @ basis.T).norm() < 0.7 * change.norm()
    known = ends.differences(bridge.decoder)
    found = bridge.emulator(ends.upper) - bridge.emulator(ends.lower)
    assert (found - known.change).norm() < 0.5 * known.change.norm()
    assert len(bridge.emulator.ends) == 2 * len(STEPS) and bridge.emulator.carbon.known
