"""Turbospectrum (Plez 2012, ASCL 1205.004; Gerber et al. 2023, A&A 669, A43), as an external program.

LTE in plane-parallel MARCS models (Gustafsson et al. 2008, A&A 486, 951). It computes in air.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.files import file_sha256
from synth2obs.synthesis.atmospheres import Atmosphere, load_atmospheres
from synth2obs.synthesis.composition import abundances, atomic_number
from synth2obs.synthesis.engine import SynthesisError, band_wavelengths
from synth2obs.synthesis.installed import MODELS, find, model_atmospheres, prepare_lines
from synth2obs.synthesis.line_lists import one_medium
from synth2obs.synthesis.programs import TAIL, run
from synth2obs.synthesis.settings import EngineConfig, LineListConfig, SpectrumConfig

Array = NDArray[np.float64]
MARGIN = 1.0
"""Å by which the continuous opacities reach beyond a band."""

REFERENCE = 5000.0
"""Å at which the optical depth of the models is given."""

HYDROGEN = "DATA/Hlinedata"
SPHERICAL = "'SPHERICAL:' 'F'\n30\n300.00\n15\n1.30\n"


class Turbospectrum:
    """The engine, set up for one recipe.

    Args:
        config: Engine.
        spectrum: Wavelengths.
        lists: Line lists.
        cache: Folder for converted line lists.

    Raises:
        ConfigError: If a line list or the bands are not in air.
        EngineMissingError: If the program or its data are not installed.
    """

    def __init__(
        self, config: EngineConfig, spectrum: SpectrumConfig, lists: Sequence[LineListConfig], cache: Path
    ) -> None:
        one_medium(lists, spectrum.medium, "air")
        self.config, self.steps = config, spectrum.steps
        self.installed = find("turbospectrum")
        self.atmospheres = model_atmospheres()
        self.lists = prepare_lines(lists, cache)
        self.parts = band_wavelengths(spectrum.bands, spectrum.steps)
        self.wavelength = np.concatenate(self.parts)

    def spectrum(self, labels: Mapping[str, float], folder: Path) -> Array:
        """See `Engine.spectrum`."""
        atmosphere = load_atmospheres(self.atmospheres.folder / MODELS).at(labels)
        (folder / "DATA").symlink_to(self.installed.folder / "DATA")
        (folder / "model").write_text(model_text(atmosphere))
        composition = composition_text(abundances(labels, self.config.solar_scale))
        vmic = labels.get("vmic", self.config.vmic)
        bands = zip(self.parts, self.steps, strict=True)
        return np.concatenate([self._band(wave, step, composition, vmic, folder) for wave, step in bands])

    def _band(self, wavelength: Array, step: float, composition: str, vmic: float, folder: Path) -> Array:
        limits = float(wavelength[0]), float(wavelength[-1])
        result = folder / "spectrum"
        result.unlink(missing_ok=True)
        self._run("babsma_lu", self._opacities(limits, step, composition, vmic), folder)
        said = self._run("bsyn_lu", self._synthesis(limits, step, composition), folder)
        try:
            return read_result(result, wavelength)
        except SynthesisError as error:
            # Turbospectrum ends with code 0 whatever happened to it.
            raise SynthesisError(f"{error}; its last words: {said.strip()[-TAIL:]}") from error

    def _run(self, program: str, text: str, folder: Path) -> str:
        command = [str(self.installed.folder / "bin" / program)]
        return run(command, text=text, folder=folder, limit=self.config.time_limit)

    def _opacities(self, limits: tuple[float, float], step: float, composition: str, vmic: float) -> str:
        return (
            f"{_limits(limits[0] - MARGIN, limits[1] + MARGIN, step)}'MODELINPUT:' 'model'\n"
            f"'MARCS-FILE:' '.false.'\n'MODELOPAC:' 'opacities'\n{composition}'XIFIX:' 'T'\n{vmic:.4f}\n"
        )

    def _synthesis(self, limits: tuple[float, float], step: float, composition: str) -> str:
        files = [HYDROGEN, *map(str, self.lists)]
        return (
            f"{_limits(*limits, step)}'INTENSITY/FLUX:' 'Flux'\n'ABFIND:' '.false.'\n"
            f"'MODELOPAC:' 'opacities'\n'RESULTFILE :' 'spectrum'\n{composition}{self._isotopes()}"
            f"'NFILES   :' '{len(files)}'\n" + "\n".join(files) + f"\n{SPHERICAL}"
        )

    def _isotopes(self) -> str:
        rows = [
            f"{atomic_number(symbol)}.{mass:03d} {share:.6f}\n"
            for symbol, shares in self.config.isotopes.items()
            for mass, share in shares.items()
        ]
        return f"'ISOTOPES : ' '{len(rows)}'\n{''.join(rows)}" if rows else ""

    def provenance(self) -> dict[str, Any]:
        """See `Engine.provenance`."""
        return {
            "engine": f"Turbospectrum 2020 ({self.installed.source})",
            "atmospheres": self.atmospheres.source,
            "physics": "1D LTE",
            "solar_scale": self.config.solar_scale,
            "line_lists": {path.name: file_sha256(path) for path in self.lists},
        }


def model_text(atmosphere: Atmosphere) -> str:
    """A model atmosphere as Turbospectrum reads it: log τ(5000 Å), T, log Pe, log Pg, microturbulence."""
    layers = atmosphere.layers
    names = ("lg_tau_5000", "temperature", "electron_pressure", "gas_pressure")
    rows = np.stack([layers[name] for name in names], axis=1)
    head = f"'MARCS' {len(rows)} {REFERENCE:.0f}. {atmosphere.logg:.4f} 0 0.\n"
    return head + "".join(f"{tau:9.4f} {t:9.2f} {pe:9.4f} {pg:9.4f} 1.0\n" for tau, t, pe, pg in rows)


def composition_text(table: Array) -> str:
    """A(X) of every element as Turbospectrum reads it."""
    rows = "".join(f"{number:5d} {value:9.4f}\n" for number, value in enumerate(table, 1))
    return f"'METALLICITY:' '0.0'\n'INDIVIDUAL ABUNDANCES:' '{len(table)}'\n{rows}"


def read_result(path: Path, wavelength: Array) -> Array:
    """Normalised flux of a result.

    Raises:
        SynthesisError: If it is missing or incomplete, or the flux is no number.
    """
    try:
        words = path.read_text().split()
        table = np.array(words, dtype=np.float64).reshape(-1, 3)
    except (OSError, ValueError) as error:
        raise SynthesisError(f"the result cannot be read ({error})") from error
    if len(table) < len(wavelength) or not np.isfinite(table).all():
        raise SynthesisError(
            f"the result has {len(table)} of {len(wavelength)} wavelengths, or values that are NaN"
        )
    return table[: len(wavelength), 1]


def _limits(start: float, stop: float, step: float) -> str:
    return (
        f"'LAMBDA_MIN:' '{start:.3f}'\n'LAMBDA_MAX:' '{stop + 0.5 * step:.4f}'\n'LAMBDA_STEP:' '{step:.4f}'\n"
    )
