"""``synth2obs grid engines``, ``build`` and ``gradients``."""

import numpy as np
import pytest
from typer.testing import CliRunner

from synth2obs import cli
from synth2obs.core.files import file_sha256
from synth2obs.io.shard.read import read_shard
from synth2obs.synthesis import engines, installed
from synth2obs.synthesis.engine import SynthesisError, band_wavelengths
from synth2obs.synthesis.overlay import ListedFile, Overlay, write_overlay

RECIPE = """
[grid]
domain = "toy"
spectra = 3
[labels]
ranges = { teff = [4500.0, 6000.0], logg = [3.0, 5.0], fe_h = [-1.0, 0.0] }
[sampling]
name = "sobol"
[[line_list]]
file = "toy.lines"
medium = "air"
range = [4990.0, 5060.0]
[spectrum]
bands = [[5000.0, 5050.0]]
medium = "air"
[output]
resolving_power = 3000.0
step = 1e-4
[gradients]
points = [{ teff = 5000.0, logg = 4.0, fe_h = -0.5 }]
"""


class Toy:
    stops, fails_above = False, 1e9

    def __init__(self, config, spectrum, lists, cache):
        self.wavelength = np.concatenate(band_wavelengths(spectrum.bands, spectrum.steps))

    def spectrum(self, labels, folder):
        if labels["teff"] > self.fails_above:
            raise SynthesisError("no convergence")
        if self.stops:
            raise KeyboardInterrupt
        return 1.0 - 0.3 * np.exp(-0.5 * (self.wavelength - 5025.0) ** 2) * labels["teff"] / 6000.0

    def provenance(self):
        return {"engine": "toy"}


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setitem(engines.ENGINES, "turbospectrum", Toy)
    monkeypatch.setenv(installed.FOLDER, str(tmp_path / "engines"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE)

    def command(text):
        return CliRunner().invoke(cli.app, ["grid", *text.split()])

    return command


def test_a_grid_and_its_gradients(run):
    done = run("build recipe.toml -o toy.h5 --workers 2")
    assert done.exit_code == 0 and "3 of 4 spectra, gradients at 0 points" in done.output
    done = run("gradients recipe.toml -o toy.h5")
    assert done.exit_code == 0 and "4 of 4 spectra, gradients at 1 points" in done.output
    assert read_shard("toy.h5").gradients is not None


def test_ctrl_c_says_how_to_go_on_and_collect_writes_what_there_is(run, monkeypatch):
    assert run("build recipe.toml -o toy.h5").exit_code == 0
    monkeypatch.setattr(Toy, "stops", True)
    done = run("gradients recipe.toml -o toy.h5")
    assert done.exit_code == 130
    assert "0 of 7 spectra are done, the programs are stopped; the same command goes on" in done.stderr
    done = run("gradients recipe.toml -o toy.h5 --collect")
    assert done.exit_code == 0 and "3 of 4 spectra" in done.output


def test_failures_are_listed(run, monkeypatch):
    monkeypatch.setattr(Toy, "fails_above", 5500.0)
    done = run("build recipe.toml -o toy.h5")
    assert done.exit_code == 0 and "no convergence" in done.output


LIST = """'  26.000            '    1         1
'Fe I    LTE'
  5025.000  2.000 -1.000  700.250    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
"""


def test_a_grid_says_which_overlay_it_has(run, tmp_path):
    (tmp_path / "toy.lines").write_text(LIST)
    file = ListedFile(file="toy.lines", sha256=file_sha256("toy.lines"), medium="air", format="turbospectrum")
    overlay = write_overlay(Overlay(rows=[], lists=[file]), tmp_path / "overlay.ecsv")
    for command in ("build", "gradients"):
        done = run(f"{command} recipe.toml -o toy.h5 --overlay overlay.ecsv")
        assert done.exit_code == 0
    assert "4 of 4 spectra, gradients at 1 points" in done.output
    assert read_shard("toy.h5").provenance["overlay"] == {"toy.lines": file_sha256(overlay)}
    (tmp_path / "toy.lines").write_text(LIST.replace("2.000", "2.001"))
    done = run("build recipe.toml -o toy.h5 --overlay overlay.ecsv")
    assert done.exit_code == 2 and "overlay.ecsv: belongs to the line list toy.lines" in done.stderr


@pytest.mark.parametrize(
    "text, words",
    [
        ("build nowhere.toml -o toy.h5", "nowhere.toml"),
        ("build recipe.toml -o engines", "a folder of that name is in the way"),
        ("build recipe.toml -o toy.h5 --collect", "no spectrum has been computed"),
        ("engines --install moog", "there is no engine 'moog'"),
    ],
)
def test_refusals(run, tmp_path, text, words):
    (tmp_path / "engines").mkdir()
    done = run(text)
    assert done.exit_code == 2 and done.stderr.startswith(("error: ", "installing")) and words in done.stderr


def test_table_of_engines(run):
    done = run("engines")
    assert done.exit_code == 0
    assert all(name in done.output for name in installed.PACKAGES)
    assert "GPL-3.0" in done.output
