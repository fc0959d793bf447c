"""From single spectra to a grid: broadened, sampled in ln λ, with all that is known of how they came about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Gradients, Spectra
from synth2obs.core.wavelengths import sigma_of_resolving_power
from synth2obs.io.air import AIR_FORMULA
from synth2obs.io.reduce import round_spectra
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.synthesis.build import Build
from synth2obs.synthesis.earlier import Known, read_earlier
from synth2obs.synthesis.pixels import Pixels
from synth2obs.synthesis.recipe import Recipe
from synth2obs.synthesis.work import Task

Floats = NDArray[np.float32]


def collect(build: Build) -> Spectra:
    """All spectra of a grid that there are, in the order of their labels, then its gradient points.

    What the grid's file has from before is taken over where the folder of spectra lacks it.

    Raises:
        DataError: If there is none.
    """
    pixels = Pixels.of(build.recipe)
    earlier = read_earlier(build.recipe, pixels, build.out)
    tasks = [*build.spectra(), *build.points()]
    rows = [(task, flux) for task in tasks if (flux := _flux(build, task, pixels, earlier)) is not None]
    if not rows:
        raise DataError("no spectrum has been computed", path=build.folder, remedy="see failed.json there")
    spectra = _spectra(build, pixels, rows)
    return round_spectra(replace(spectra, gradients=_gradients(build, pixels, spectra, earlier)))


def _flux(build: Build, task: Task, pixels: Pixels, earlier: Mapping[str, Known]) -> Floats | None:
    flux = build.store.read(task)
    if flux is not None:
        return (pixels.matrix @ flux.astype(np.float64)).astype(np.float32)
    known = earlier.get(build.identity(task))
    return known.flux if known is not None and known.has(task.labels) else None


def _spectra(build: Build, pixels: Pixels, rows: Sequence[tuple[Task, Floats]]) -> Spectra:
    recipe, count = build.recipe, len(rows)
    sigma = sigma_of_resolving_power(pixels.wavelength, recipe.output.resolving_power)
    return Spectra(
        domain=recipe.grid.domain,
        kind="grid",
        wavelength=pixels.wavelength,
        segment=pixels.segment,
        flux=np.stack([flux for _, flux in rows]),
        ivar=None,
        id=np.array([build.identity(task) for task, _ in rows]),
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


def _gradients(
    build: Build, pixels: Pixels, spectra: Spectra, earlier: Mapping[str, Known]
) -> Gradients | None:
    """Gradients at the points whose differences are complete, here or in the earlier file."""
    place = {str(name): number for number, name in enumerate(spectra.id)}
    found = {}
    for point in build.points():
        name = build.identity(point)
        rows = _differences(build, point, pixels) or _earlier_gradients(earlier.get(name), point)
        if rows and name in place:
            found[place[name]] = rows
    if not found:
        return None
    names = build.recipe.labels.names
    return Gradients(
        index=np.array(list(found)),
        values={name: np.stack([rows[name] for rows in found.values()]) for name in names},
        steps={name: build.recipe.gradients.step(name) for name in names},
    )


def _earlier_gradients(known: Known | None, point: Task) -> Mapping[str, Floats] | None:
    return known.gradients if known is not None and known.has(point.labels) else None


def _differences(build: Build, point: Task, pixels: Pixels) -> dict[str, Floats] | None:
    """Gradients at a point by label, or None if a spectrum is missing."""
    rows: dict[str, Floats] = {}
    for name, *ends in build.steps(point):
        up, down = (build.store.read(end) for end in ends)
        if up is None or down is None:
            return None
        difference = (up.astype(np.float64) - down) / (2.0 * build.recipe.gradients.step(name))
        rows[name] = (pixels.matrix @ difference).astype(np.float32)
    return rows


def _provenance(build: Build, tasks: Sequence[Task]) -> dict[str, Any]:
    recipe, failures = build.recipe, build.store.failures()
    wanted = recipe.grid.spectra + len(recipe.gradients.points)
    return {
        "title": recipe.grid.title,
        "licence": recipe.grid.licence,
        "citation": list(recipe.grid.citation),
        "theory": build.described(),
        "physics": recipe.physics,
        **({"overlay": overlays} if (overlays := _overlays(recipe)) else {}),
        "spectra": f"{len(tasks)} of {wanted}",
        "failed": failures,
        "broadening": f"Gaussian in ln wavelength to R = {recipe.output.resolving_power:g}, the pixels' width "
        f"included; exact integration over pixels of {recipe.output.step:.6g} in ln wavelength",
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
    }


def _overlays(recipe: Recipe) -> dict[str, str]:
    """sha256 of the corrections of each line list that has some, by the list's file."""
    return {lines.file: lines.overlay.sha256 for lines in recipe.line_list if lines.overlay}


def assemble(build: Build) -> Path:
    """Write the grid's file from what there is, and from what the file has.

    Raises:
        DataError: If there is no spectrum.
        OutputError: If it cannot be written; the earlier file then stays.
    """
    return write_shard(collect(build), build.out)


def summary(build: Build) -> list[str]:
    """What was built, in lines for people: how many of how many, and each failure with its reason."""
    spectra = read_shard(build.out)
    points = 0 if spectra.gradients is None else len(spectra.gradients)
    lines = [f"{build.out}: {spectra.provenance['spectra']} spectra, gradients at {points} points"]
    return lines + [f"failed: {name}: {reason}" for name, reason in build.store.failures().items()]
