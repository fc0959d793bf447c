"""The command line in processes of its own: exit codes, what is said, and what is left on the disk."""

import resource
import shutil
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from synth2obs.cli import app
from synth2obs.io.embedded import embedded_path
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard

COMMAND = (sys.executable, "-m", "synth2obs.cli")


@pytest.fixture(scope="module")
def stars():
    """Six real spectra."""
    return read_shard(embedded_path("stelib"), slice(0, 6))


@pytest.fixture
def shard(stars, tmp_path):
    return write_shard(stars, tmp_path / "six.h5")


def change(name, place, value):
    def defect(file):
        data = file[name][:]
        data[place] = value
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = data
        file[name].attrs.update(attributes)

    return defect


def good_pixel(file):
    return tuple(np.argwhere(file["ivar"][:] > 0)[0])


DEFECTS = {
    "nan": ("flux", lambda file: change("flux", good_pixel(file), np.nan)(file)),
    "negative": ("ivar", lambda file: change("ivar", (2, 7), -1.0)(file)),
    "decreasing": ("wavelength", lambda file: change("wavelength", 5, 3500.0)(file)),
    "version": ("format", lambda file: file.attrs.__setitem__("format", "synth2obs/2")),
    "missing": ("lsf/sigma", lambda file: file.__delitem__("lsf/sigma")),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_check_names_file_and_field(name, shard):
    field, defect = DEFECTS[name]
    with h5py.File(shard, "r+") as file:
        defect(file)
    done = CliRunner().invoke(app, ["check", str(shard)])
    assert done.exit_code == 2
    assert "six.h5" in done.output and f"{field}: " in done.output


@pytest.mark.parametrize("name", DEFECTS)
def test_a_shard_that_check_names_trains_nothing(name, shard, tmp_path, small):
    field, defect = DEFECTS[name]
    with h5py.File(shard, "r+") as file:
        defect(file)
    settings = [*small, f"data.surveys.stelib={shard}"]
    done = CliRunner().invoke(app, ["quickstart", "-o", str(tmp_path / "out"), *settings])
    assert done.exit_code == 2, done.output
    assert "six.h5" in done.stderr and field in done.stderr
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_shard_is_named(share, shard):
    shard.write_bytes(shard.read_bytes()[: int(share * shard.stat().st_size)])
    done = CliRunner().invoke(app, ["check", str(shard)])
    assert done.exit_code == 2 and "six.h5" in done.output and "Traceback" not in done.output


@pytest.fixture
def native(tmp_path):
    """A FITS file that is cut in the middle of its data."""
    from astropy.io import fits

    path = tmp_path / "STELIB_v3.2_HD000001.fits"
    fits.PrimaryHDU(np.ones(20000, np.float32)).writeto(path)
    path.write_bytes(path.read_bytes()[:8000])
    return path


@pytest.mark.parametrize("survey", ["stelib", "miles"])
def test_a_truncated_native_file_is_named_and_leaves_no_shard(survey, native, tmp_path):
    out = tmp_path / "shard.h5"
    done = CliRunner().invoke(app, ["ingest", survey, str(native), "-o", str(out)])
    assert done.exit_code == 2, done.output
    assert native.name in done.stderr and "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {native.name}


def limited(size):
    """A disk that is full after so many bytes of each file."""

    def limit():
        # Without a handler the signal would kill; Python ignores it, and the write fails.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


class TestProcesses:
    def call(self, environment, *arguments, **options):
        command = [*COMMAND, *map(str, arguments)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, **options
        )

    def test_exit_codes(self, environment, shard, tmp_path):
        assert self.call(environment, "check", shard).returncode == 0
        bad = self.call(environment, "check", tmp_path / "none.h5")
        assert bad.returncode == 2 and "none.h5" in bad.stdout + bad.stderr

    def test_a_full_disk_leaves_the_old_table_and_nothing_partial(self, environment, trained, tmp_path):
        out = tmp_path / "sun.ecsv"
        out.write_text("an older table\n")
        arguments = ["morph", trained.folder / "bridge", "-s", "miles", "-l", "teff=5777", "-o", out]
        full = self.call(environment, *arguments, preexec_fn=limited(2000))
        assert full.returncode == 2, full.stderr
        assert str(out) in full.stderr and "Traceback" not in full.stderr
        assert out.read_text() == "an older table\n"
        assert [path.name for path in tmp_path.iterdir()] == ["sun.ecsv"]

    @pytest.mark.slow
    def test_a_disk_that_fills_while_training_is_named(self, environment, small, new_folder):
        folder = new_folder("full")
        size = (folder / "mlflow" / "mlflow.db").stat().st_size
        full = self.call(
            environment, "quickstart", "-o", folder, *small, preexec_fn=limited(min(size // 2, 100_000))
        )
        assert full.returncode == 2, full.stderr
        # MLflow logs the failure of its database by itself; ours is the last word.
        assert full.stderr.rpartition("error: ")[2].count("\n") == 1, full.stderr
        assert "its disk has space" in full.stderr or "free some space" in full.stderr
        assert not list(folder.rglob("*.partial*"))
        assert not (folder / "bridge").exists()


def files_of(folder):
    """Contents of all files of a folder by their path in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_disk_that_fills_while_reports_are_written_leaves_the_old_page(copy_of, monkeypatch):
    import errno

    from synth2obs.core import files

    before = files_of(copy_of / "report")

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(files, "_flush", full)
    done = CliRunner().invoke(app, ["report", str(copy_of)])
    assert done.exit_code == 2 and "free some space" in done.stderr
    assert files_of(copy_of / "report") == before


def test_a_survey_that_a_model_does_not_know(trained, shard, tmp_path):
    out = tmp_path / "labels.ecsv"
    done = CliRunner().invoke(
        app, ["fit", str(trained.folder / "bridge"), str(shard), "-s", "apogee", "-o", str(out)]
    )
    assert done.exit_code == 2
    assert "unknown survey 'apogee'; this model knows miles, stelib" in done.stderr and not out.exists()


def test_a_resume_with_other_settings_is_refused(copy_of, small):
    done = CliRunner().invoke(app, ["quickstart", "-o", str(copy_of), *small, "seed=21"])
    assert done.exit_code == 2
    assert "seed: 20 → 21" in done.stderr and "new folder" in done.stderr


def test_reports_are_rebuilt_with_identical_bytes(copy_of):
    before = files_of(copy_of / "report")
    assert "assets/miles/stars-000.js" in before
    shutil.rmtree(copy_of / "report")
    done = CliRunner().invoke(app, ["report", str(copy_of)])
    assert done.exit_code == 0
    assert files_of(copy_of / "report") == before
    pages = [str(copy_of / "report" / f"{name}.html") for name in ("miles", "stelib", "index")]
    assert done.output.split() == pages


def test_fit_of_real_spectra(trained, stars, tmp_path):
    from astropy.table import Table

    good = replace(stars, labels={}, label_errors={})
    path, out = write_shard(good, tmp_path / "six.h5"), tmp_path / "labels.ecsv"
    done = CliRunner().invoke(
        app, ["fit", str(trained.folder / "bridge"), str(path), "-s", "stelib", "-o", str(out)]
    )
    assert done.exit_code == 0, done.output
    table = Table.read(out)
    assert list(table["id"]) == list(stars.id) and str(table["teff"].unit) == "K"
    assert np.isfinite(np.asarray(table["teff_error"])).all()
