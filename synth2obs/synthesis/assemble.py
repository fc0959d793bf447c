"""From single spectra to a grid: broadened, sampled in ln λ, with all that is known of how they came about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.core.wavelengths import log_grid, sigma_of_resolving_power
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.grids import REACH, broadening_matrix
from synth2obs.io.reduce import round_spectra
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.synthesis.build import Build
from synth2obs.synthesis.engine import band_wavelengths
from synth2obs.synthesis.recipe import Recipe
from synth2obs.synthesis.work import Task

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """The pixels of a grid and how synthesised spectra become them.

    Args:
        wavelength: Vacuum Å, shape (P,).
        segment: Band of each pixel, shape (P,).
        matrix: Broadening, shape (P, L).
    """

    wavelength: Array
    segment: NDArray[np.int16]
    matrix: csr_array

    @classmethod
    def of(cls, recipe: Recipe) -> "Sampling":
        """The pixels of a recipe: of each band all that its line spread does not reach beyond.

        Raises:
            DataError: If a band is too narrow.
        """
        output, vacuum = recipe.output, recipe.spectrum.medium == "vacuum"
        parts = [
            wave if vacuum else air_to_vacuum(wave)
            for wave in band_wavelengths(recipe.spectrum.bands, recipe.spectrum.step)
        ]
        waves = [_pixels(wave, output.resolving_power, output.step) for wave in parts]
        blocks = [
            broadening_matrix(raw, wave, output.resolving_power, output.step)
            for raw, wave in zip(parts, waves, strict=True)
        ]
        segment = np.repeat(np.arange(len(waves)), [len(wave) for wave in waves]).astype(np.int16)
        return cls(np.concatenate(waves), segment, _diagonal(blocks))


def _pixels(raw: Array, resolving_power: float, step: float) -> Array:
    reach = REACH / resolving_power / FWHM_PER_SIGMA + step
    start, stop = raw[0] * np.exp(reach), raw[-1] * np.exp(-reach)
    if stop <= start * np.exp(2.0 * step):
        raise DataError(
            f"{raw[0]:.1f} to {raw[-1]:.1f} Å leaves no pixel at R = {resolving_power:g}",
            field="spectrum.bands",
            remedy="widen the band: its ends are lost to the line spread",
        )
    return log_grid(float(start), float(stop), step)


def _diagonal(blocks: Sequence[csr_array]) -> csr_array:
    from scipy.sparse import block_diag

    return csr_array(block_diag(blocks, format="csr"))


def collect(build: Build, earlier: Path | None = None) -> Spectra:
    """All spectra of a grid that there are, in the order of their labels, then its gradient points.

    Args:
        build: The grid.
        earlier: A file of the same grid from before: what it has is taken over where the folder lacks it.

    Raises:
        DataError: If there is none.
    """
    sampling = Sampling.of(build.recipe)
    known = _known(build, earlier, sampling)
    tasks = [*build.spectra(), *build.points()]
    found = {task.name: flux for task, flux in _broadened(build, tasks, sampling)}
    rows = [(task, found.get(task.name, known.get(_identity(build, task)))) for task in tasks]
    rows = [(task, flux) for task, flux in rows if flux is not None]
    if not rows:
        raise DataError("no spectrum has been computed", path=build.folder, remedy="see failed.json there")
    return round_spectra(_spectra(build, sampling, rows))


def _broadened(
    build: Build, tasks: Sequence[Task], sampling: Sampling
) -> Iterator[tuple[Task, NDArray[np.float32]]]:
    for task in tasks:
        flux = build.store.read(task)
        if flux is not None:
            yield task, (sampling.matrix @ flux.astype(np.float64)).astype(np.float32)


def _identity(build: Build, task: Task) -> str:
    """What a spectrum is called in the grid."""
    return f"{build.recipe.grid.domain}_{task.name}"


def _known(build: Build, earlier: Path | None, sampling: Sampling) -> dict[str, NDArray[np.float32]]:
    """Spectra of an earlier file, by their id, if it is of the same physics, sampling and labels."""
    if earlier is None or not earlier.is_file():
        return {}
    spectra = read_shard(earlier)
    same = spectra.provenance.get("physics") == build.recipe.physics
    if not same or not np.array_equal(spectra.wavelength, sampling.wavelength):
        return {}
    wanted = {_identity(build, task): task.labels for task in (*build.spectra(), *build.points())}
    return {
        str(name): flux
        for number, (name, flux) in enumerate(zip(spectra.id, spectra.flux, strict=True))
        if _equal(wanted.get(str(name)), {key: column[number] for key, column in spectra.labels.items()})
    }


def _equal(wanted: Any, found: dict[str, float]) -> bool:
    return (
        wanted is not None
        and wanted.keys() == found.keys()
        and all(abs(wanted[name] - found[name]) < 1e-5 for name in found)
    )


def _spectra(build: Build, sampling: Sampling, rows: Sequence[tuple[Task, NDArray[np.float32]]]) -> Spectra:
    recipe, count = build.recipe, len(rows)
    sigma = sigma_of_resolving_power(sampling.wavelength, recipe.output.resolving_power)
    return Spectra(
        domain=recipe.grid.domain,
        kind="grid",
        wavelength=sampling.wavelength,
        segment=sampling.segment,
        flux=np.stack([flux for _, flux in rows]),
        ivar=None,
        id=np.array([_identity(build, task) for task, _ in rows]),
        line_spread=LineSpread.gaussian(sigma, stars=count),
        rv=np.zeros(count),
        rv_error=np.zeros(count),
        snr=np.full(count, np.nan),
        labels={name: np.array([task.labels[name] for task, _ in rows]) for name in recipe.labels.names},
        frame="rest",
        flux_kind="normalized",
        air_formula=AIR_FORMULA if recipe.spectrum.medium == "air" else "",
        provenance=_provenance(build, [task for task, _ in rows]),
    )


def _provenance(build: Build, tasks: Sequence[Task]) -> dict[str, Any]:
    recipe, failures = build.recipe, build.store.failures()
    wanted = recipe.grid.spectra + len(recipe.gradients.points)
    return {
        "title": recipe.grid.title,
        "licence": recipe.grid.licence,
        "citation": list(recipe.grid.citation),
        "theory": build.described(),
        "physics": recipe.physics,
        "spectra": f"{len(tasks)} of {wanted}",
        "failed": failures,
        "broadening": f"Gaussian in ln wavelength to R = {recipe.output.resolving_power:g}, the pixels' width "
        f"included; exact integration over pixels of {recipe.output.step:.6g} in ln wavelength",
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
    }


def assemble(build: Build, out: Path) -> Path:
    """Write the grid's file from what there is, and from what an earlier file of that name has.

    Raises:
        DataError: If there is no spectrum.
        OutputError: If it cannot be written; the earlier file then stays.
    """
    return write_shard(collect(build, out), out)


def summary(build: Build, out: Path) -> list[str]:
    """What was built, in lines for people: how many of how many, and each failure with its reason."""
    spectra, failures = read_shard(out), build.store.failures()
    lines = [f"{out}: {spectra.provenance['spectra']} spectra"]
    return lines + [f"failed: {name}: {reason}" for name, reason in failures.items()]
