"""A narrow survey of known truth, with and without lines in theory."""

import pytest

from synth2obs.analysis.proof.settings import SimulationConfig
from synth2obs.analysis.proof.simulate import read_kind, simulate
from synth2obs.analysis.proof.twist import Twist

SEED = 20


@pytest.fixture(scope="session")
def config():
    return SimulationConfig(start=5000.0, stop=5300.0, stars=60, snr=80.0)


@pytest.fixture(scope="session")
def grid(config):
    return read_kind(config.grid, "grid")


@pytest.fixture(scope="session")
def placebo(config):
    return simulate(config, Twist(), SEED)


@pytest.fixture(scope="session")
def lacking(config):
    return simulate(config, Twist(missing=0.3), SEED)
