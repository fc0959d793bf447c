"""Names of stars that no file system, terminal, spreadsheet or FITS table has room for."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from synth2obs import cli
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.io.surveys import read_survey
from synth2obs.io.tables import as_table, read_table, write_table

NAMES = [
    "a/b",
    "a_b",
    "a\nb",
    "../x",
    "é",
    "\x1b[31mred\x1b[0m",
    "=cmd|' /C calc'!A0",
    "-BD+1",
    "x" * 5000,
    "'q",
    "HD 1",
]


@pytest.fixture
def named(spectra, tmp_path):
    some = spectra.take(np.arange(len(NAMES)))
    return write_shard(replace(some, id=np.array(NAMES)), tmp_path / "named.h5")


def test_a_shard_keeps_any_text(named):
    assert read_shard(named).id.tolist() == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) < 100])
def test_figures_do_not_leave_the_folder_nor_share_a_file(named, tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for one in (name, "a b"):
        done = CliRunner().invoke(cli.app, ["plot", str(named), "--id", one, "--wave", "3900:4100"])
    assert done.exit_code == 2 and "no spectrum 'a b'" in done.output
    assert "\x1b[31m" not in done.output
    assert len(list((tmp_path / "here").iterdir())) == 1 and len(list(tmp_path.iterdir())) == 2


def test_a_long_name(named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["plot", str(named), "--id", NAMES[8] + "y"])
    assert done.exit_code == 2 and len(done.output) < 2000


def test_terminals_are_told_nothing(named):
    done = CliRunner().invoke(cli.app, ["plot", str(named), "--id", "\x1b]0;title\x07"])
    assert done.exit_code == 2 and "\x1b]" not in done.output and "\x07" not in done.output


@pytest.mark.parametrize("ending", [".fits", ".csv", ".ecsv", ".parquet"])
def test_tables_come_back(tmp_path, ending):
    table = as_table(
        {"id": np.array(NAMES), "teff": np.arange(len(NAMES)) + 0.5}, {"teff": "K"}, star="Muñoz"
    )
    found = read_table(write_table(table, tmp_path / f"a{ending}"))
    expected = [name.replace("\n", r"\n").replace("\x1b", r"\x1b") for name in NAMES]
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in found["id"]]
    assert names == (NAMES if ending in (".fits", ".parquet") else expected)
    np.testing.assert_array_equal(found["teff"], table["teff"])
    if ending != ".csv":
        assert found.meta["star"] == "Muñoz"


def test_a_csv_computes_nothing(tmp_path):
    path = write_table(as_table({"id": np.array(NAMES), "x": -np.arange(11.0)}, {}), tmp_path / "a.csv")
    lines = path.read_text().splitlines()
    assert len(lines) == len(NAMES) + 1 and not [line for line in lines if line.strip('"')[:1] in "=+-@"]


def test_names_of_files_that_are_no_text(tmp_path):
    (tmp_path / "m.toml").write_text(
        'name = "m"\nwavelength = "w"\nflux = "f"\nerror = "e"\nunit = "Angstrom"\nmedium = "air"\n'
        'frame = "rest"\nflux_kind = "relative"\nfwhm = 1\n'
    )
    path = tmp_path / "st\udce9r.csv"
    path.write_text("w,f,e\n" + "".join(f"{5000 + n},1,0.1\n" for n in range(50)))
    assert read_survey(str(tmp_path / "m.toml"), [path]).id.tolist() == [r"st\udce9r"]
    words = ["ingest", str(tmp_path / "m.toml"), str(path), "-o", str(tmp_path / "a.h5"), "--json"]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0 and json.loads(done.stdout.splitlines()[-1])
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["id"].asstr()[0] == file["native/file"].asstr()[0].removesuffix(".csv") == r"st\udce9r"
