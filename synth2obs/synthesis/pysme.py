"""PySME (Wehrhahn et al. 2023, A&A 671, A171; Piskunov & Valenti 2017, A&A 597, A16), in an environment of its own.

LTE in plane-parallel MARCS models (Gustafsson et al. 2008, A&A 486, 951). It takes wavelengths as they are given: lines
and bands must be in one medium, air or vacuum, and the spectrum is in that one.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from math import log10
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.files import atomic_path, file_sha256
from synth2obs.io.air import vacuum_to_air
from synth2obs.synthesis.atmospheres import Atmosphere, load_atmospheres
from synth2obs.synthesis.composition import abundances
from synth2obs.synthesis.engine import SynthesisError, band_wavelengths
from synth2obs.synthesis.hydrogen import hydrogen_lines
from synth2obs.synthesis.installed import MODELS, find, line_digest, model_atmospheres, read_lines
from synth2obs.synthesis.isotopes import Shares, share
from synth2obs.synthesis.line_lists import (
    CROSS_SECTION,
    HYDROGEN,
    MOLECULES,
    Line,
    Lines,
    Species,
    one_medium,
)
from synth2obs.synthesis.programs import run
from synth2obs.synthesis.settings import EngineConfig, LineListConfig, Medium, SpectrumConfig

Array = NDArray[np.float64]
WORKER = Path(__file__).with_name("pysme_worker.py")
BOLTZMANN = 1.380649e-16
"""erg K⁻¹."""

NONE = -20.0
"""log10 of a damping that does nothing."""

COLUMNS = (
    "atom_number", "ionization", "wlcent", "excit", "gflog", "gamrad", "gamqst", "gamvw", "unsold",
)  # fmt: skip
"""What PySME wants of a line besides its species, and the factor on Unsöld's damping where there is nothing better."""

Row = tuple[float, ...]


class PySME:
    """The engine, set up for one recipe.

    Args:
        config: Engine.
        spectrum: Wavelengths.
        lists: Line lists.
        cache: Folder for converted line lists.

    Raises:
        ConfigError: If a line list is not in the medium of the bands, or the share of an isotope is unknown.
        EngineMissingError: If PySME or its data are not installed.
    """

    def __init__(
        self, config: EngineConfig, spectrum: SpectrumConfig, lists: Sequence[LineListConfig], cache: Path
    ) -> None:
        one_medium(lists, spectrum.medium, spectrum.medium)
        self.config, self.lists = config, lists
        self.installed = find("pysme")
        self.atmospheres = model_atmospheres()
        self.lines = prepare_table(lists, config.isotopes, spectrum.medium, cache)
        self.parts = band_wavelengths(spectrum.bands, spectrum.steps)
        self.wavelength = np.concatenate(self.parts)

    def spectrum(self, labels: Mapping[str, float], folder: Path) -> Array:
        """See `Engine.spectrum`."""
        request, answer = folder / "request.npz", folder / "answer.npz"
        atmosphere = load_atmospheres(self.atmospheres.folder / MODELS).at(labels)
        np.savez(
            request,
            wavelength=self.wavelength,
            starts=np.cumsum([len(part) for part in self.parts])[:-1],
            abundances=abundances(labels, self.config.solar_scale),
            vmic=labels.get("vmic", self.config.vmic),
            **model(atmosphere),
        )
        # -I: nothing of this process's Python, its path or its user's packages reaches the other.
        command = [str(self.installed.folder / "bin" / "python"), "-I", str(WORKER)]
        files = [request.name, str(self.lines), answer.name]
        run([*command, *files], text="", folder=folder, limit=self.config.time_limit)
        return read_answer(answer, len(self.wavelength))

    def provenance(self) -> dict[str, Any]:
        """See `Engine.provenance`."""
        return {
            "engine": f"PySME ({self.installed.source})",
            "atmospheres": self.atmospheres.source,
            "physics": "1D LTE, scattering in the continuum",
            "solar_scale": self.config.solar_scale,
            "line_lists": {config.file: line_digest(config) for config in self.lists},
            "lines": file_sha256(self.lines),
        }


def model(atmosphere: Atmosphere) -> dict[str, Any]:
    """A model atmosphere as PySME takes it.

    Returns:
        ``teff``, ``logg``, and of each layer ``rhox`` (g cm⁻²), ``temp`` (K), ``xne`` and ``xna``, the numbers of
        electrons and of other particles (cm⁻³), and ``rho`` (g cm⁻³).
    """
    layers = atmosphere.layers
    electrons, gas = 10.0 ** layers["electron_pressure"], 10.0 ** layers["gas_pressure"]
    energy = BOLTZMANN * layers["temperature"]
    return {
        "teff": np.array(atmosphere.teff),
        "logg": np.array(atmosphere.logg),
        "rhox": 10.0 ** layers["column_mass"],
        "temp": layers["temperature"],
        "xne": electrons / energy,
        "xna": (gas - electrons) / energy,
        "rho": 10.0 ** layers["density"],
    }


def prepare_table(lists: Sequence[LineListConfig], isotopes: Shares, medium: Medium, cache: Path) -> Path:
    """All lines of a recipe in one file; what was converted before is taken from the cache.

    Raises:
        DataError: If a list cannot be read or nothing is left of it.
        ConfigError: If the share of an isotope is unknown.
    """
    text = "".join([*map(line_digest, lists), repr(isotopes), medium])
    # The program works in a folder of its own.
    target = cache.resolve() / f"pysme-{sha256(text.encode()).hexdigest()[:12]}.npz"
    if not target.is_file():
        table = line_table([read_lines(config) for config in lists], isotopes, medium)
        with atomic_path(target) as temporary:
            np.savez_compressed(temporary, **table)
    return target


def line_table(lists: Sequence[Lines], isotopes: Shares, medium: Medium) -> dict[str, Any]:
    """Lines as PySME takes them, by wavelength, with those of hydrogen.

    Args:
        lists: Of any engine's format; their hydrogen lines are left out.
        isotopes: Shares that stand in place of the terrestrial ones.
        medium: Of their wavelengths.

    Returns:
        ``species``, and `COLUMNS`, each of shape (lines,).
    """
    rows = [*_hydrogen(medium), *(row for lines in lists for row in _rows(lines, isotopes))]
    names, values = np.array([name for name, _ in rows]), np.array([row for _, row in rows])
    order = np.argsort(values[:, COLUMNS.index("wlcent")], kind="stable")
    return {"species": names[order], **dict(zip(COLUMNS, values[order].T, strict=True))}


def _rows(lines: Lines, isotopes: Shares) -> Iterator[tuple[str, Row]]:
    for species, members in lines.items():
        if species.code == HYDROGEN:
            continue
        part = log10(share(species, isotopes))
        name = f"{species.element} {species.ion}"
        yield from ((name, _row(species, line, part)) for line in members)


def _row(species: Species, line: Line, part: float) -> Row:
    # A radiative damping of 0 stands for the classical one on both sides; PySME reads small numbers as logarithms.
    radiation = line.radiation if line.radiation > CROSS_SECTION else 0.0
    stark, collisions, unsold = 0.0, line.damping, 0.0
    if species.code in MOLECULES:
        stark = collisions = NONE
    elif 0.0 <= line.damping < CROSS_SECTION:
        collisions, unsold = 0.0, line.damping or 1.0
    return (
        species.code, species.ion, line.wavelength, line.excitation, line.loggf + part,
        radiation, stark, collisions, unsold,
    )  # fmt: skip


def _hydrogen(medium: Medium) -> Iterator[tuple[str, Row]]:
    """Lines of hydrogen, with both quantum numbers where others have Stark and van der Waals damping."""
    lines = hydrogen_lines()
    waves = np.array([line.wavelength for line in lines])
    waves = waves if medium == "vacuum" else vacuum_to_air(waves)
    for line, wave in zip(lines, waves, strict=True):
        yield "H 1", (1.0, 1.0, wave, line.excitation, line.loggf, 0.0, line.lower, line.upper, 0.0)


def read_answer(path: Path, count: int) -> Array:
    """Normalised flux that PySME has computed, shape (count,).

    Raises:
        SynthesisError: If it is missing or incomplete, or the flux is no number.
    """
    try:
        with np.load(BytesIO(path.read_bytes())) as content:
            flux: Array = content["flux"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise SynthesisError(f"the result cannot be read ({error})") from error
    if flux.shape != (count,) or not np.isfinite(flux).all():
        raise SynthesisError(f"the result has {flux.size} of {count} wavelengths, or values that are NaN")
    return flux
