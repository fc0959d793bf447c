"""Whatever goes wrong while a grid is built is said in a message, and nothing that was computed is lost."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
import stand_in
from typer.testing import CliRunner

from synth2obs import cli
from synth2obs.io.shard.read import read_shard
from synth2obs.synthesis import installed
from synth2obs.synthesis.turbospectrum import Turbospectrum

PATIENCE = 240
BUILD = ["grid", "build", "recipe.toml", "-o", "toy.h5"]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a recipe and its lines, and engines that stand in for the real ones."""
    monkeypatch.setenv(installed.FOLDER, str(tmp_path / "engines"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.lines").write_text(stand_in.LINES)
    (tmp_path / "recipe.toml").write_text(stand_in.RECIPE)
    stand_in.install(tmp_path / "engines")
    return tmp_path


def run(*arguments):
    """Call the command line; whatever it does, it must not end in a traceback."""
    done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments or BUILD])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def change(desk, *changes):
    text = (desk / "recipe.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (desk / "recipe.toml").write_text(text)


def spectra(desk):
    return {path.name: path.read_bytes() for path in desk.glob("toy.h5.parts/spectra/*.npz")}


def test_programs_that_stand_in_make_a_grid(desk):
    done = run()
    assert done.exit_code == 0 and done.stdout == "toy.h5: 6 of 6 spectra, gradients at 0 points\n"
    grid = read_shard("toy.h5")
    assert list(grid.labels) == ["teff", "logg", "fe_h"] and len(grid) == 6
    assert abs(grid.wavelength[grid.flux[0].argmin()] - 5026.4) < 0.5  # vacuum
    assert grid.provenance["theory"]["engine"].startswith("Turbospectrum 2020")


@pytest.mark.parametrize("missing", ["turbospectrum/bin/bsyn_lu", "marcs/marcs.npz"])
def test_an_engine_that_is_missing(desk, missing):
    (desk / "engines" / missing).unlink()
    done = run()
    name = missing.split("/")[0]
    assert done.exit_code == 2 and f"error: {name} is not installed in {desk}/engines; " in done.stderr
    assert f"synth2obs grid engines --install {name}" in done.stderr
    assert not (desk / "toy.h5").exists()


@pytest.mark.parametrize(
    "changes, words",
    [
        ([("spectra = 6", "spectra = 6\nsped = 1")], ["recipe.toml: grid: unknown 'sped'", "known: domain"]),
        (
            [('file = "toy.lines"\nmedium = "air"', 'file = "toy.lines"\nmedium = "vacuum"')],
            ["line list toy.lines: medium is vacuum", "computes in air", "state their medium correctly"],
        ),
        ([('medium = "air"\n[output]', 'medium = "vacuum"\n[output]')], ["spectrum.bands: medium is vacuum"]),
        ([('lines"\nmedium = "air"', 'lines"')], ["recipe.toml: line_list.0.medium: missing"]),
        ([('"toy.lines"', '"none.lines"')], ["none.lines: does not exist; check the name of the line list"]),
        (
            [("range = [4990.0, 5060.0]", "range = [6000.0, 6010.0]")],
            ["no line is left between 6000 and 6010"],
        ),
        (
            [("[5000.0, 5050.0]", "[5000.0, 5010.0]"), ("3000.0", "300.0"), ("1e-4", "1e-3")],
            ["spectrum.bands: 5001.4 to 5011.4 Å leaves no pixel at R = 300", "widen the band"],
        ),
    ],
)
def test_a_recipe_that_cannot_be_followed(desk, changes, words):
    change(desk, *changes)
    done = run()
    assert done.exit_code == 2 and done.stderr.count("error: ") == 1, done.output
    assert all(word in done.stderr for word in words), done.stderr
    assert not (desk / "toy.h5").exists() and not spectra(desk)


def test_labels_beyond_the_model_atmospheres_are_listed_with_their_limits(desk):
    change(desk, ("teff = [4500.0, 6000.0]", "teff = [5000.0, 7000.0]"))
    done = run()
    assert done.exit_code == 0 and "lies outside the model atmospheres, 4000 to 6000" in done.output
    assert "teff: " in done.output and "narrow the range of this label in the recipe" in done.output
    assert 0 < len(read_shard("toy.h5")) < 6 and (read_shard("toy.h5").labels["teff"] <= 6000.0).all()


@pytest.mark.parametrize(
    "first, limit, words",
    [
        ("echo no such species >&2; exit 3", "60.0", "bsyn_lu ended with code 3: no such species"),
        ("echo out of lines; exit 0", "60.0", "the result cannot be read"),
        ("sleep 600", "0.3", "bsyn_lu took longer than 0.3 s and was stopped"),
    ],
)
def test_a_program_that_dies_or_hangs_is_listed_and_tried_again(desk, first, limit, words):
    change(desk, ("time_limit = 60.0", f"time_limit = {limit}"), ("spectra = 6", "spectra = 2"))
    assert run().exit_code == 0
    change(desk, ("spectra = 2", "spectra = 4"))
    before = spectra(desk)
    stand_in.install(desk / "engines", first)
    done = run()
    assert done.exit_code == 0 and done.output.count("failed: ") == 2 and words in done.output
    assert "2 of 4 spectra" in done.output and spectra(desk) == before
    stand_in.install(desk / "engines")
    change(desk, (f"time_limit = {limit}", "time_limit = 60.0"))
    assert run().stdout == "toy.h5: 4 of 4 spectra, gradients at 0 points\n"


def test_a_full_disk_loses_nothing(desk, monkeypatch):
    change(desk, ("spectra = 6", "spectra = 2"))
    assert run().exit_code == 0
    before = (desk / "toy.h5").read_bytes()
    change(desk, ("spectra = 2", "spectra = 3"))

    def full(source, target):
        if target.name == "toy.h5":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        rename(source, target)

    rename = os.replace
    with monkeypatch.context() as patch:
        patch.setattr("synth2obs.core.files.os.replace", full)
        done = run()
    assert done.exit_code == 2 and "cannot write" in done.stderr and "free some space" in done.stderr
    assert (desk / "toy.h5").read_bytes() == before and len(spectra(desk)) == 3

    def unasked(*arguments):
        raise AssertionError("it was computed already")

    monkeypatch.setattr(Turbospectrum, "spectrum", unasked)
    assert run().stdout == "toy.h5: 3 of 3 spectra, gradients at 0 points\n"


def test_collect_computes_nothing_and_needs_no_engine(desk, monkeypatch):
    change(desk, ("spectra = 6", "spectra = 2"))
    assert run().exit_code == 0
    change(desk, ("spectra = 2", "spectra = 6"))
    (desk / "engines").rename(desk / "gone")
    done = run(*BUILD, "--collect")
    assert done.exit_code == 0 and done.stdout == "toy.h5: 2 of 6 spectra, gradients at 0 points\n"
    assert len(read_shard("toy.h5")) == 2 and len(spectra(desk)) == 2


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_stopped_goes_on_to_the_same_file(desk, request_to_end):
    stand_in.install(desk / "engines", first=f"[ -e {desk}/go ] || sleep 600")
    (desk / "go").touch()
    change(desk, ("spectra = 6", "spectra = 2"))
    assert run().exit_code == 0
    (desk / "go").unlink()
    change(desk, ("spectra = 2", "spectra = 6"))
    process = subprocess.Popen(
        [sys.executable, "-m", "synth2obs.cli", *BUILD], stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + PATIENCE
    while not list(desk.glob("toy.h5.parts/spectra/.scratch-*/model")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(request_to_end)
    _, said = process.communicate(timeout=PATIENCE)
    assert (
        process.returncode == 128 + request_to_end
        and "2 of 6 spectra are done" in said
        and "the same command goes on" in said
    )
    assert len(spectra(desk)) == 2
    (desk / "go").touch()
    assert run().exit_code == 0
    assert run("grid", "build", "recipe.toml", "-o", "whole.h5").exit_code == 0
    assert (desk / "toy.h5").read_bytes() == (desk / "whole.h5").read_bytes()
