"""``synth2obs grid …``."""

import re

import h5py
import numpy as np
import own_grid_files as files
import pytest
from typer.testing import CliRunner

from synth2obs import cli
from synth2obs.io.shard.check import check_shard

COMMANDS = ("engines", "build", "gradients", "choose", "join", "info")


def run(*arguments):
    """Call the command line; whatever it does, it must not end in a traceback."""
    done = CliRunner().invoke(cli.app, ["grid", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command):
    done = run(command, "--help")
    assert done.exit_code == 0 and f"synth2obs grid {command}" in re.sub(r"\s+", " ", done.output)


def test_help_names_every_command():
    assert all(command in run("--help").output for command in COMMANDS)


def test_join_writes_a_shard_and_info_says_what_it_holds(tmp_path):
    out = tmp_path / "grid.h5"
    done = run("join", files.hdf5(tmp_path), "--name", "optical", "-o", tmp_path / "new" / "grid.h5")
    assert done.exit_code == 0 and "ok" in done.output, done.output
    assert check_shard(tmp_path / "new" / "grid.h5") == [] and out.exists()
    said = run("info", tmp_path / "new" / "grid.h5").output
    for words in (
        "optical, 7 spectra",
        "3 labels",
        "5040.00 to",
        "air (Morton2000)",
        "15000",
        "not said",
        "none",
    ):
        assert words in said
    assert re.search(r"teff +K +4000 +5500 +7000 +7 ", said) and "\x1b" not in said and "─" not in said


def test_info_reads_the_embedded_grid_and_descriptions(tmp_path):
    said = run("info", "embedded:optical_grid").output
    assert re.search(r"optical, \d{3} spectra", said) and "Gaia-ESO" in said and "eu_fe" in said
    assert "7 spectra" in run("info", files.npz(tmp_path)).output


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    """A grid's shard, and files that are none."""
    folder = tmp_path_factory.mktemp("grids")
    run("join", files.hdf5(folder), "-o", folder / "good.h5")
    whole = (folder / "good.h5").read_bytes()
    (folder / "empty.h5").write_bytes(b"")
    (folder / "half.h5").write_bytes(whole[: len(whole) // 2])
    (folder / "text.h5").write_text("wavelength flux\n")
    (folder / "nan.h5").write_bytes(whole)
    with h5py.File(folder / "nan.h5", "r+") as file:
        file["labels/teff"][2:4] = np.nan
    with h5py.File(folder / "other.h5", "w") as file:
        file["flux"] = np.ones(3)
    return folder


@pytest.mark.parametrize("command", ["info {}", "join {} -o {}.out.h5"])
@pytest.mark.parametrize(
    "name, words",
    [
        ("empty.h5", ["is empty; copy or build the file again"]),
        ("half.h5", ["is truncated", "copy or build the file again"]),
        ("text.h5", ["is not an HDF5 file"]),
        ("other.h5", ["format", "is missing"]),
        ("nan.h5", ["labels/teff: is NaN for a spectrum of a grid (row 2; 2 such)", "drop the spectrum"]),
    ],
)
def test_what_is_no_grid_is_refused_by_name(command, name, words, grids):
    done = run(*command.replace("{}", str(grids / name)).split())
    assert done.exit_code == 2 and done.stderr.startswith("error: ") and name in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not list(grids.glob("*.out.h5"))


def test_shards_of_other_pixels_or_labels_are_not_joined(tmp_path, grids):
    description = files.hdf5(tmp_path)
    for change, words in (
        (("15000", "14000"), "give both descriptions the same [output]"),
        (('fe_h = "stars.mh"', 'alpha_fe = "stars.mh"'), "describe the same labels in all sources"),
    ):
        (tmp_path / "other.toml").write_text(
            description.read_text().replace(*change).replace('"mine"', '"two"')
        )
        assert run("join", tmp_path / "other.toml", "-o", tmp_path / "two.h5").exit_code == 0
        done = run("join", grids / "good.h5", tmp_path / "two.h5", "-o", tmp_path / "both.h5")
        assert done.exit_code == 2 and "two.h5" in done.stderr and words in done.stderr, done.stderr
        assert not (tmp_path / "both.h5").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["join", "none.toml", "-o", "{folder}/a.h5"], ["none.toml", "cannot be read"]),
        (["join", "{toml}", "-o", "{toml}/a.h5"], ["cannot write"]),
        (["join", "{toml}", "embedded:miles", "-o", "{folder}/a.h5"], ["a survey, not a grid"]),
        (["info", "{folder}"], ["is a folder"]),
        (["info", "embedded:miles"], ["a survey, not a grid"]),
        (["info", "{toml}.h5"], ["no such file"]),
    ],
)
def test_errors_are_one_message(arguments, words, tmp_path):
    toml = files.npz(tmp_path)
    done = run(*(text.format(toml=toml, folder=tmp_path) for text in arguments))
    assert done.exit_code == 2 and done.stderr.startswith("error: "), done.output
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "a.h5").exists()


def test_descriptions_are_sent_to_the_command_that_reads_them(tmp_path):
    grid, survey = tmp_path / "grid.toml", tmp_path / "survey.toml"
    grid.write_text('name = "mine"\nformat = "npz"\nfiles = "grid.npz"\n')
    survey.write_text('name = "mine"\nwavelength = "wave"\nflux = "flux"\nframe = "rest"\n')
    done = CliRunner().invoke(cli.app, ["ingest", str(grid), "-o", str(tmp_path / "a.h5")])
    assert done.exit_code == 2 and f"write `synth2obs grid join {grid} -o grid.h5`" in done.output
    done = run("join", survey, "-o", tmp_path / "a.h5")
    assert done.exit_code == 2 and f"write `synth2obs ingest {survey} FILES" in done.output


def test_join_says_why_no_training_could_start(tmp_path):
    done = run("join", files.hdf5(tmp_path), "-o", tmp_path / "joined.h5")
    assert done.exit_code == 0 and "no training could start from it yet: flux: " in done.output
