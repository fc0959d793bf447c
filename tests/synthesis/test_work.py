"""A grid's spectra survive whatever stops their making."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from synth2obs.core.config_io import parse_config
from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.files import folder_lock, output_error
from synth2obs.synthesis import engines, work
from synth2obs.synthesis.build import LOCK, Build, build_spectra
from synth2obs.synthesis.engine import SynthesisError
from synth2obs.synthesis.programs import run
from synth2obs.synthesis.recipe import Recipe

TREE = {
    "grid": {"domain": "toy", "spectra": 6},
    "labels": {"ranges": {"teff": (4500.0, 6000.0), "logg": (3.0, 5.0), "fe_h": (-1.0, 0.0)}},
    "sampling": {"name": "sobol"},
    "line_list": [{"file": "toy.lines", "medium": "air", "range": (4990.0, 5260.0)}],
    "spectrum": {"bands": [(5000.0, 5020.0)], "medium": "air", "step": 0.5},
    "output": {"resolving_power": 3000.0, "step": 1e-4},
}


class Toy:
    """Flux that follows the labels; some stars fail, hang in a program of their own, or make no sense."""

    fails, hangs, implausible = (), (), ()

    def __init__(self, config, spectrum, lists, cache):
        self.wavelength = np.arange(5000.0, 5020.1, 0.5)

    def spectrum(self, labels, folder):
        assert not list(folder.iterdir())
        (folder / "proof").write_text("x")
        number = round(labels["teff"], 3)
        if number in self.fails:
            raise SynthesisError("no convergence")
        if number in self.hangs:
            run([sys.executable, "-c", "import time; time.sleep(600)"], text="", folder=folder, limit=600.0)
        return np.full(len(self.wavelength), np.nan if number in self.implausible else labels["teff"] / 1e4)

    def provenance(self):
        return {"engine": "toy"}


@pytest.fixture
def grid(monkeypatch, tmp_path):
    monkeypatch.setitem(engines.ENGINES, "turbospectrum", Toy)
    return Build(parse_config(Recipe, TREE), tmp_path / "toy.h5")


def compute(grid, progress=lambda done, total: None, workers=2):
    build_spectra(grid, grid.spectra(), workers, progress)


def files(grid):
    return {path.name: path.read_bytes() for path in grid.store.folder.glob("*.npz")}


def teff(grid, *numbers):
    return tuple(round(grid.spectra()[number].labels["teff"], 3) for number in numbers)


def test_progress_counts_to_the_end(grid):
    seen = []
    compute(grid, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(7)]
    assert len(files(grid)) == 6 and not list(grid.store.folder.glob(f"{work.SCRATCH}*"))


def test_a_stop_in_the_middle_changes_nothing(grid, tmp_path):
    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute(grid, stop)
    assert 3 <= len(files(grid)) < 6
    seen = []
    compute(grid, lambda done, total: seen.append(done))
    assert seen[0] >= 3 and seen[-1] == 6
    whole = Build(grid.recipe, tmp_path / "whole.h5")
    compute(whole)
    assert files(whole) == files(grid)


def test_a_stop_does_not_wait_for_programs(grid, monkeypatch):
    monkeypatch.setattr(Toy, "hangs", teff(grid, 1))

    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        compute(grid, stop)
    assert time.monotonic() - start < 20.0
    monkeypatch.setattr(Toy, "hangs", ())
    compute(grid)
    assert len(files(grid)) == 6


def test_killed_process_leaves_whole_files_and_its_scratch_is_swept(grid, tmp_path):
    source = "\n".join(
        [
            f"import importlib.util, sys; spec = importlib.util.spec_from_file_location('toy', {__file__!r})",
            "toy = importlib.util.module_from_spec(spec); sys.modules['toy'] = toy; spec.loader.exec_module(toy)",
            "import os, signal; from pathlib import Path",
            "toy.engines.ENGINES['turbospectrum'] = toy.Toy",
            "def die(done, total):",
            "    if done == 2: os.kill(os.getpid(), signal.SIGKILL)",
            f"grid = toy.Build(toy.parse_config(toy.Recipe, toy.TREE), Path({str(grid.out)!r}))",
            "toy.compute(grid, die, 1)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", source], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(files(grid)) == 2
    (grid.store.folder / f"{work.SCRATCH}left").mkdir()
    compute(grid)
    assert len(files(grid)) == 6 and not list(grid.store.folder.glob(f"{work.SCRATCH}*"))


def test_a_damaged_file_is_computed_again(grid):
    compute(grid)
    before = files(grid)
    path = grid.store.folder / "000002.npz"
    path.write_bytes(path.read_bytes()[:100])
    compute(grid)
    assert files(grid) == before


def test_failures_are_kept_until_they_are_mended(grid, monkeypatch):
    monkeypatch.setattr(Toy, "fails", teff(grid, 1))
    monkeypatch.setattr(Toy, "implausible", teff(grid, 4))
    compute(grid)
    reasons = grid.store.failures()
    assert list(reasons) == ["000001", "000004"] and reasons["000001"] == "no convergence"
    assert "not finite" in reasons["000004"] and len(files(grid)) == 4
    monkeypatch.setattr(Toy, "fails", ())
    build_spectra(grid, grid.spectra()[:3], 1, lambda done, total: None)
    assert list(grid.store.failures()) == ["000004"]
    monkeypatch.setattr(Toy, "implausible", ())
    compute(grid)
    assert json.loads((grid.store.folder / work.FAILED).read_text()) == {}


def test_full_disk_is_an_output_error_and_what_is_there_stays(grid, monkeypatch):
    writes, write = [], work.write_atomic

    def fill(path, content):
        writes.append(path)
        if len(writes) == 3:
            raise output_error(OSError(errno.ENOSPC, "no space left"), path)
        write(path, content)

    monkeypatch.setattr(work, "write_atomic", fill)
    with pytest.raises(OutputError, match="no space left"):
        compute(grid, workers=1)
    assert len(files(grid)) == 2


def test_full_disk_where_an_engine_works_is_an_output_error(grid, monkeypatch):
    compute(grid, workers=1)
    (grid.store.folder / "000004.npz").unlink()
    before = files(grid)

    def full(self, labels, folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "request.npz"))

    with monkeypatch.context() as patch:
        patch.setattr(Toy, "spectrum", full)
        with pytest.raises(OutputError, match="toy.h5.parts/spectra: No space left .* free some space"):
            compute(grid, workers=1)
    assert files(grid) == before and grid.store.failures() == {}
    compute(grid)
    assert len(files(grid)) == 6


def test_one_process_at_a_time(grid):
    grid.folder.mkdir(parents=True)
    with (
        folder_lock(grid.folder, LOCK, AssertionError("free")),
        pytest.raises(
            DataError, match="another process builds this grid; wait for it, or choose another --out"
        ),
    ):
        compute(grid)
    compute(grid)
