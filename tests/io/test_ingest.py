import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.io.ingest import parts
from synth2obs.io.ingest.ingest import ingest
from synth2obs.io.shard import layout
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.read import read_shard
from synth2obs.io.surveys import read_survey


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of three observations, and processes from the second part on."""
    monkeypatch.setattr(parts, "UNITS", 3)
    monkeypatch.setattr(parts, "FEW", 1)


@pytest.fixture
def stars(native, tmp_path, small_parts):
    """Ten LRS files of seven objects."""
    folder = tmp_path / "native"
    folder.mkdir()
    return [native.lamost_lrs(folder / f"spec-{n}.fits", obsid=100 + n, pixels=3897 + n) for n in range(10)]


def same_content(spectra, path):
    found = read_shard(path)
    for name in ("wavelength", "flux", "ivar", "flags", "id", "rv", "rv_error", "segment"):
        np.testing.assert_array_equal(getattr(found, name), getattr(spectra, name), err_msg=name)
    np.testing.assert_array_equal(found.line_spread.each().sigma, spectra.line_spread.each().sigma)
    assert set(found.native) == set(spectra.native) and set(found.labels) == set(spectra.labels)
    for name, column in spectra.native.items():
        np.testing.assert_array_equal(found.native[name], column, err_msg=name)
    assert found.provenance["sources"] == spectra.provenance["sources"]


@pytest.mark.parametrize("workers", [1, 2])
def test_it_is_what_the_reader_reads(stars, tmp_path, workers):
    summary = ingest("lamost_lrs", stars, tmp_path / "a.h5", workers=workers)
    same_content(read_survey("lamost_lrs", stars), tmp_path / "a.h5")
    assert check_shard(tmp_path / "a.h5") == []
    assert (summary.stars, summary.objects, summary.repeated) == (10, 7, 3)
    assert summary.velocity[1] == pytest.approx(60, abs=0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "native"]


def test_stars_with_pixels_of_their_own(native, tmp_path, small_parts):
    folder = tmp_path / "native"
    folder.mkdir()
    files = [p for n in range(5) for p in native.galah_dr3(folder, 131123003001000 + n, rv=10.0 * n)]
    files += native.galah_dr3(folder, 131123003001009, ccds=(2, 3))
    ingest("galah", files, tmp_path / "a.h5", workers=1)
    same_content(read_survey("galah", files), tmp_path / "a.h5")
    assert read_shard(tmp_path / "a.h5").line_spread.hermite.shape[0] == 2


def test_visits_with_line_spreads_of_their_own(native, tmp_path, small_parts):
    folder = tmp_path / "native"
    folder.mkdir()
    files = []
    for n in range(4):
        files.append(native.apvisit(folder / f"{n}.fits"))
        from astropy.io import fits

        fits.setval(files[-1], "FIBERID", value=10 + n)
        with fits.open(files[-1], mode="update") as hdus:
            hdus[10].data[:, 9] += 0.1 * (n % 2)
    ingest("apogee", files, tmp_path / "a.h5", workers=1, lsf="hermite")
    spectra, found = read_survey("apogee", files, lsf="hermite"), read_shard(tmp_path / "a.h5")
    assert found.line_spread.group.tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(
        found.line_spread.each().hermite,
        spectra.line_spread.each().hermite.astype(np.float32),
    )


@pytest.mark.parametrize("lsf", ["kernel", "gaussian"])
def test_tabulated_line_spreads(native, tmp_path, lsf):
    files = [native.desi(tmp_path / "coadd.fits")]
    ingest("desi", files, tmp_path / "a.h5", lsf=lsf)
    found = read_shard(tmp_path / "a.h5")
    assert len(found) == 2 and (found.line_spread.kernel is None) == (lsf == "gaussian")
    assert len(found.line_spread.sigma) == 1


def test_labels_of_a_catalogue(native, tmp_path):
    star = native.apstar(tmp_path / "a.fits")
    summary = ingest("apogee", [star], tmp_path / "a.h5", parameters=native.allstar(tmp_path / "all.fits"))
    assert summary.labelled["teff"] == 1 and "mg_fe" in summary.labelled
    found = read_shard(tmp_path / "a.h5")
    assert found.label_errors["teff"][0] == 80 and found.provenance["sources"]["files"] == 2


def test_a_survey_of_one_s_own(native, tmp_path):
    description = tmp_path / "mine.toml"
    description.write_text(native.DESCRIPTION)
    ingest(str(description), [native.own_table(tmp_path / "HD1.csv")], tmp_path / "a.h5")
    found = read_shard(tmp_path / "a.h5")
    assert found.domain == "mine" and found.provenance["description"]["unit"] == "nm"


def test_progress_counts_files(stars, tmp_path):
    seen = []
    ingest("lamost_lrs", stars, tmp_path / "a.h5", workers=1, progress=lambda *n: seen.append(n))
    assert seen == [(n, 10) for n in range(1, 11)]


class TestErrors:
    @pytest.fixture
    def broken(self, stars, native):
        stars[4].write_bytes(stars[4].read_bytes()[:9000])
        stars[8].write_text("404 Not Found")
        native.lamost_lrs(stars[1], obsid=1, CLASS="QSO")
        return stars

    def test_stop_names_the_file_and_leaves_no_shard(self, broken, tmp_path):
        with pytest.raises(DataError, match=r"spec-4\.fits.*FITS"):
            ingest("lamost_lrs", broken, tmp_path / "a.h5", workers=1)
        assert not (tmp_path / "a.h5").exists()

    @pytest.mark.parametrize("workers", [1, 2])
    def test_skip_says_what_and_why(self, broken, tmp_path, workers):
        summary = ingest("lamost_lrs", broken, tmp_path / "a.h5", on_error="skip", workers=workers)
        assert summary.stars == 7
        assert {one.file for one in summary.skipped} == {"spec-1.fits", "spec-4.fits", "spec-8.fits"}
        text = str(summary)
        assert "skipped     3:" in text and "spec-1.fits  CLASS: is a QSO" in text
        found = read_shard(tmp_path / "a.h5")
        assert set(found.provenance["skipped"]) == {"spec-1.fits", "spec-4.fits", "spec-8.fits"}
        assert found.provenance["sources"]["files"] == 7

    def test_what_was_not_asked_for_is_skipped_in_either_way(self, native, stars, tmp_path):
        native.lamost_lrs(stars[1], obsid=1, CLASS="QSO")
        assert ingest("lamost_lrs", stars, tmp_path / "a.h5", workers=1).stars == 9

    def test_after_a_repair_it_goes_on(self, native, stars, tmp_path, monkeypatch):
        content = stars[7].read_bytes()
        stars[7].write_bytes(b"")
        with pytest.raises(DataError, match=r"spec-7\.fits"):
            ingest("lamost_lrs", stars, tmp_path / "a.h5", workers=1)
        stars[7].write_bytes(content)
        seen = []
        read = parts.read_unit
        monkeypatch.setattr(
            parts, "read_unit", lambda s, unit, o: seen.append(unit[0].name) or read(s, unit, o)
        )
        ingest("lamost_lrs", stars, tmp_path / "a.h5", workers=1)
        assert seen == [f"spec-{n}.fits" for n in range(6, 10)]
        same_content(read_survey("lamost_lrs", stars), tmp_path / "a.h5")

    def test_a_file_that_has_changed_is_read_again(self, native, stars, tmp_path, monkeypatch):
        monkeypatch.setattr("synth2obs.io.ingest.ingest.merge", fail)
        with pytest.raises(RuntimeError):
            ingest("lamost_lrs", stars, tmp_path / "a.h5", workers=1)
        monkeypatch.undo()
        monkeypatch.setattr(parts, "UNITS", 3)
        native.lamost_lrs(stars[2], obsid=102, z=1e-3)
        ingest("lamost_lrs", stars, tmp_path / "a.h5", workers=1)
        assert read_shard(tmp_path / "a.h5").rv[2] > 250

    @pytest.mark.parametrize("apart", [1, 5])
    def test_a_spectrum_twice(self, native, stars, tmp_path, apart):
        double = native.lamost_lrs(tmp_path / "native" / "again.fits", obsid=100)
        files = [*stars[:apart], double, *stars[apart:]]
        with pytest.raises(DataError, match=r"again\.fits.*100 occurs 2 times"):
            ingest("lamost_lrs", files, tmp_path / "a.h5", workers=1)
        summary = ingest("lamost_lrs", files, tmp_path / "b.h5", workers=1, on_error="skip")
        assert summary.stars == 10 and [one.file for one in summary.skipped] == ["again.fits"]

    @pytest.mark.parametrize("place", [0, 1, 7])
    def test_two_kinds_of_spectra(self, native, tmp_path, small_parts, place):
        folder = tmp_path / "native"
        folder.mkdir()
        files = []
        for n in range(7):
            files.append(native.apstar(folder / f"star-{n}.fits"))
            from astropy.io import fits

            fits.setval(files[-1], "OBJID", value=f"2M{n}")
        files.insert(place, native.aspcapstar(folder / "aspcap.fits"))
        with pytest.raises(DataError, match="flux_kind"):
            ingest("apogee", files, tmp_path / "a.h5", workers=1)
        summary = ingest("apogee", files, tmp_path / "a.h5", workers=1, on_error="skip")
        assert summary.stars == (1 if place == 0 else 7) and len(summary.skipped) == 8 - summary.stars
        assert all("flux_kind" in one.reason for one in summary.skipped)

    def test_nothing_left(self, stars, tmp_path):
        for path in stars:
            path.write_text("404")
        with pytest.raises(DataError, match="no spectrum is left of 10 files"):
            ingest("lamost_lrs", stars, tmp_path / "a.h5", on_error="skip", workers=1)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"on_error": "ignore"}, "on_error: got 'ignore'"),
            ({"colour": "red"}, "takes no colour"),
            ({"parameters": "x.fits"}, "x.fits: no such file"),
            ({"resolving_power": "high"}, "resolving_power: must be a number"),
        ],
    )
    def test_wrong_arguments_before_any_work(self, stars, tmp_path, arguments, words):
        with pytest.raises(DataError, match=words):
            ingest("lamost_lrs", stars, tmp_path / "a.h5", **arguments)
        assert [path.name for path in tmp_path.iterdir()] == ["native"]

    def test_two_at_a_time(self, stars, tmp_path):
        folder = tmp_path / ".a.h5.parts"
        folder.mkdir()
        with FileLock(folder / "lock"), pytest.raises(DataError, match="another ingest"):
            run_elsewhere(stars, tmp_path / "a.h5")


def run_elsewhere(files, out):
    """In a process of its own, whose error comes back as a DataError."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(out), *map(str, files)], capture_output=True, text=True
    )
    if done.returncode:
        raise DataError(done.stderr[-2000:])


def fail(*_):
    raise RuntimeError("killed")


SCRIPT = textwrap.dedent(
    """
    import sys
    from synth2obs.io.ingest import parts
    from synth2obs.io.ingest.ingest import ingest

    if __name__ == "__main__":
        parts.UNITS = 3
        ingest("lamost_lrs", sys.argv[2:], sys.argv[1], workers=1)
    """
)

SLOWLY = SCRIPT.replace(
    "    parts.UNITS = 3\n",
    """    parts.UNITS = 3
    import time
    read = parts.read_unit

    def slowly(*arguments):
        time.sleep(0.2)
        return read(*arguments)

    parts.read_unit = slowly
""",
)


def test_killed_in_the_middle_and_run_again_it_ends_equal(stars, tmp_path):
    ingest("lamost_lrs", stars, tmp_path / "whole.h5", workers=1)
    out = tmp_path / "killed.h5"
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, str(out), *map(str, stars)])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".killed.h5.parts/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.glob(".killed.h5.parts/*.json")) and not out.exists()
    ingest("lamost_lrs", stars, out, workers=1)
    assert file_sha256(out) == file_sha256(tmp_path / "whole.h5")
    assert not list(tmp_path.glob(".killed*"))


def test_memory_does_not_grow_with_the_files(native, tmp_path, monkeypatch):
    """Peak of Python's memory for 96 files against 32, in parts and chunks of 16."""
    monkeypatch.setattr(parts, "UNITS", 16)
    monkeypatch.setattr(parts, "FEW", 1000)
    monkeypatch.setitem(layout.CHUNKS, 2, 16)
    for module in ("shard.check", "ingest.summary"):
        monkeypatch.setattr(f"synth2obs.io.{module}.CHUNK_ROWS", 16)
    first = native.linear(tmp_path / "HD0.fits", native.STELIB_HEAD)
    files = [first, *(Path(shutil.copy(first, tmp_path / f"HD{n}.fits")) for n in range(1, 96))]
    ingest("stelib", files[:20], tmp_path / "warm.h5")
    peaks = []
    for count in (32, 96):
        tracemalloc.start()
        ingest("stelib", files[:count], tmp_path / f"{count}.h5")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("size", [20_000, 120_000])
def test_a_full_disk_is_an_error_of_ours_and_leaves_no_shard(stars, tmp_path, size):
    """Files may not grow beyond a size: the first part, or the whole, cannot be written."""
    script = SCRIPT.replace(
        "    parts.UNITS = 3\n",
        f"    import resource, signal\n"
        f"    parts.UNITS = 3\n"
        f"    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"    resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n",
    )
    assert "setrlimit" in script
    out = tmp_path / "full.h5"
    done = subprocess.run(
        [sys.executable, "-c", script, str(out), *map(str, stars)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "OutputError: cannot write" in done.stderr and not out.exists()
    assert not list(tmp_path.glob("*.partial*"))


def test_an_output_that_cannot_be_written(stars, tmp_path):
    (tmp_path / "file").write_text("")
    from synth2obs.core.errors import OutputError

    with pytest.raises(OutputError, match="cannot write"):
        ingest("lamost_lrs", stars, tmp_path / "file" / "a.h5", workers=1)


def test_workers_leave_with_their_parent(native, tmp_path):
    """A killed ingest with two processes leaves none behind."""
    folder = tmp_path / "native"
    folder.mkdir()
    files = [native.lamost_lrs(folder / f"{n}.fits", obsid=n) for n in range(12)]
    script = SCRIPT.replace("workers=1", "workers=2").replace(
        "parts.UNITS = 3", "parts.UNITS = 1; parts.FEW = 1"
    )
    path = tmp_path / "run.py"
    path.write_text(script)
    process = subprocess.Popen([sys.executable, str(path), str(tmp_path / "a.h5"), *map(str, files)])
    deadline = time.monotonic() + 60
    while len(children(process.pid)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    young = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert young
    while any(alive(pid) for pid in young) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in young)
    shutil.rmtree(tmp_path / ".a.h5.parts", ignore_errors=True)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux's /proc")
def test_children_are_seen():
    process = subprocess.Popen(["sleep", "5"])
    assert process.pid in children(os.getpid()) and alive(process.pid)
    process.kill()
    process.wait()
