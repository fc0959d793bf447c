"""No command writes over what it reads."""

import hashlib

import numpy as np
import pytest
from typer.testing import CliRunner

from synth2obs import cli
from synth2obs.io.embedded import embedded_path

TOML = (
    'name = "mine"\nwavelength = "wave"\nflux = "flux"\nerror = "sigma"\nunit = "Angstrom"\nmedium = "vacuum"\n'
    'frame = "rest"\nflux_kind = "relative"\nfwhm = 1\n'
)


@pytest.fixture
def folder(tmp_path):
    rows = "".join(f"{5000 + n},1,0.1\n" for n in range(50))
    (tmp_path / "star.csv").write_text("wave,flux,sigma\n" + rows)
    (tmp_path / "mine.toml").write_text(TOML)
    (tmp_path / "labels.csv").write_text("id,teff\nstar,5000\n")
    for name, source in (("shard.h5", "miles"), ("grid.h5", "optical_grid")):
        (tmp_path / name).write_bytes(embedded_path(source).read_bytes())
    (tmp_path / "figure.png").symlink_to(tmp_path / "shard.h5")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "star.csv")
    (tmp_path / "bridge").mkdir()
    (tmp_path / "bridge" / "weights.ecsv").write_text("x")
    (tmp_path / "labels.ecsv").write_text("x")
    (tmp_path / "run.toml").write_text('[data]\ngrid = "metrics.json"\n')
    (tmp_path / "metrics.json").write_text("{}")
    return tmp_path


INGEST = ("ingest", "mine.toml", "star.csv", "--parameters", "labels.csv", "-o")
COMMANDS = {
    "ingest onto a star": (*INGEST, "star.csv"),
    "ingest onto a hard link of it": (*INGEST, "hard.csv"),
    "ingest onto its description": (*INGEST, "mine.toml"),
    "ingest onto the labels": (*INGEST, "./labels.csv"),
    "join onto a source": ("grid", "join", "grid.h5", "-o", "grid.h5"),
    "plot onto the shard": ("plot", "shard.h5", "-o", "figure.png"),
    "fit onto the priors": (
        "fit",
        "bridge",
        "shard.h5",
        "-s",
        "miles",
        "--priors",
        "labels.ecsv",
        "-o",
        "labels.ecsv",
    ),
    "fit into the model": ("fit", "bridge", "shard.h5", "-s", "miles", "-o", "bridge/weights.ecsv"),
    "morph into the model": ("morph", ".", "-s", "miles", "-l", "teff=5000", "-o", "bridge/weights.ecsv"),
    "report onto the spectra": ("report", "bridge", "--spectra", "shard.h5", "-s", "miles", "-o", "shard.h5"),
    "gap, two tables of one name": (
        *("gap", "bridge", "shard.h5", "-s", "miles", "-o", "g.ecsv"),
        *("--lines", "labels.csv", "--lines-medium", "air", "--overlay", "g-lines.ecsv"),
    ),
    "compare onto the numbers": ("compare", ".", ".", "-o", "metrics.json"),
    "train into its grid": ("train", "run.toml", "--out", "."),
    "build onto the recipe": ("grid", "build", "mine.toml", "-o", "mine.toml"),
    "download onto its list": ("download", "galah", "--ids", "manifest.jsonl", "-o", "."),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_refused_and_untouched(folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    (folder / "manifest.jsonl").write_text("131123003001096\n")
    (folder / "g-lines.ecsv").write_text("x")
    before = digests(folder)
    done = CliRunner().invoke(cli.app, list(COMMANDS[name]))
    assert done.exit_code == 2 and "is read by this command" in done.output, done.output
    assert digests(folder) == before


def digests(folder):
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_not_read_is_replaced(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "old.h5").write_text("x")
    done = CliRunner().invoke(cli.app, [*INGEST, "old.h5"])
    assert done.exit_code == 0 and np.frombuffer((folder / "old.h5").read_bytes()[1:4], "S3") == b"HDF"
