"""What the H band's line list lacks against APOGEE's giants: `python experiments/06_h_band/run.py --help`."""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from emulator import Emulator, learn, left_out, read_grid
from features import Feature, Neighbours, Shared, features, partner, together
from figures import draw
from fit import Fit, fit
from giants import Giant, read_giants
from scipy.ndimage import gaussian_filter1d
from seen import Seen
from theory import Theory
from torch import Tensor

from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA
from synth2obs.synthesis.recipe import Recipe, read_recipe

START, STOP = 15150.0, 16950.0
"""Å at rest: all detectors, and as far from the grid's ends as velocity and line spread need."""

APOGEE = 22500.0
"""APOGEE's nominal resolving power."""

DEEP = 0.03
"""Of the continuum: features that are listed."""


SIGNS = {"theory lacks": 1, "theory has too much": -1}
TYPICAL = "2M00242666+5341178"
"""The giant at whose labels it is told apart what theory has at a wavelength."""


@dataclass(frozen=True)
class Result:
    """A giant fitted: rms in % of the continuum of what is left, of photon noise, and of the emulator's error."""

    giant: Giant
    fit: Fit
    labels: dict[str, float]
    rms: float
    typical: float
    noise: float
    emulator: float
    features: list[Feature]


def emulator_error(recipe: Recipe, path: Path, folds: int) -> dict[str, float]:
    """Errors in % on spectra left out, as they are and at APOGEE's resolving power."""
    grid, names, values = read_grid(path)
    error = left_out(names, values, torch.from_numpy(np.asarray(grid.flux, float)), folds)
    return {"spectra": len(values), **_summary(error), "at 22,500": _summary(_smoothed(error, recipe))}


def _summary(error: Tensor) -> dict[str, float]:
    by_star = error.square().mean(1).sqrt()
    return {
        "rms": 100 * error.square().mean().sqrt().item(),
        "typical star": 100 * by_star.median().item(),
        "median": 100 * error.abs().median().item(),
    }


def _smoothed(error: Tensor, recipe: Recipe) -> Tensor:
    width = (APOGEE**-2 - recipe.output.resolving_power**-2) ** 0.5 / FWHM_PER_SIGMA
    return torch.from_numpy(gaussian_filter1d(error.numpy(), width / recipe.output.step, axis=1))


def measure(giant: Giant, emulator: Emulator, theory: Theory, rounds: int) -> Result:
    """Fit with the emulator, then as often as said with theory itself at the labels found."""
    giant = giant.cut(*(edge * (1.0 + giant.rv / C_KMS) for edge in (START, STOP)))
    seen = Seen(giant, theory.pixels.wavelength, theory.recipe.output.resolving_power)
    correction = torch.zeros(len(theory.pixels.wavelength), dtype=torch.float64)
    found, first = fit(seen, emulator, correction), correction
    for number in range(rounds):
        labels = dict(zip(emulator.names, map(float, found.labels), strict=True))
        flux = theory(f"{giant.name}_{number}", labels)
        correction = flux - emulator.flux(torch.from_numpy(found.labels)[None]).detach()[0]
        first = correction if number == 0 else first
        found = fit(seen, emulator, correction, found.labels)
    return _result(giant, seen, emulator, found, first)


def _result(giant: Giant, seen: Seen, emulator: Emulator, found: Fit, correction: Tensor) -> Result:
    good = giant.ivar > 0
    left = np.where(good, found.observed - found.model, 0.0)
    noise = 1.0 / np.sqrt(giant.ivar[good]) / np.median(giant.flux[good])
    apart = seen(correction[None], found.rv, found.vmac)[0].numpy()
    return Result(
        giant,
        found,
        dict(zip(emulator.names, map(float, found.labels), strict=True)),
        100 * float(np.sqrt((left[good] ** 2).mean())),
        100 * 1.4826 * float(np.median(np.abs(left[good]))),
        100 * float(np.sqrt(np.median(noise**2))),
        100 * float(np.sqrt((apart[good] ** 2).mean())),
        features(giant, left, found.rv, DEEP),
    )


def show(results: list[Result]) -> None:
    """Table of giants."""
    names = ("teff", "logg", "fe_h", "vmic", "c_fe", "n_fe", "o_fe", "mg_fe", "al_fe", "si_fe")
    print("| giant | " + " | ".join(names) + " | vmac | rms | typical | noise | emulator |")
    print("| --- " * (len(names) + 6) + "|")
    for one in results:
        cells = [f"{one.labels[name]:.0f}" if name == "teff" else f"{one.labels[name]:.2f}" for name in names]
        cells += [f"{value:.2f}" for value in (one.fit.vmac, one.rms, one.typical, one.noise, one.emulator)]
        print(f"| {one.giant.name} | " + " | ".join(cells) + " |")
        known = ", ".join(f"{name} {value:g}" for name, value in one.giant.labels.items())
        print(f"| literature: {known} |")


def show_lines(shared: list[Shared], neighbours: Neighbours, sign: int, count: int) -> None:
    """Table of the deepest features that giants share."""
    print("| vacuum Å | depth % | mÅ | giants | theory there, % | strongest atoms there | partner |")
    print("| --- " * 7 + "|")
    for one in [s for s in shared if s.depth * sign > 0][:count]:
        other = partner(one, shared)
        pair = f"{other.wavelength:.2f} ({100 * other.depth:.0f} %)" if other else ""
        print(
            f"| {one.wavelength:.2f} | {100 * one.depth:.1f} | {one.width:.0f} | {len(one.depths)} | "
            f"{neighbours.depths(one.wavelength)} | {neighbours.strongest(one.wavelength)} | {pair} |"
        )


def show_kinds(shared: list[Shared], neighbours: Neighbours) -> None:
    """Table of how many features there are, and their equivalent widths together, by what theory has there."""
    print("| | at theory's | features | mÅ together |\n" + "| --- " * 4 + "|")
    for title, sign in SIGNS.items():
        groups: dict[str, list[Shared]] = {}
        for one in (s for s in shared if s.depth * sign > 0):
            name = "a pair" if partner(one, shared) else neighbours.kind(one.wavelength)
            groups.setdefault(name, []).append(one)
        for name, some in sorted(groups.items(), key=lambda item: -len(item[1])):
            print(f"| {title} | {name} | {len(some)} | {sum(s.width for s in some):.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", type=Path, help="shard of the grid")
    parser.add_argument("--recipe", type=Path, default=Path("grids/apogee/recipe.toml"))
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of APOGEE's files, see giants.FILES; only the emulator is tested without",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for figures, numbers and spectra")
    parser.add_argument(
        "--rounds", type=int, default=2, help="spectra computed for each giant, by the recipe's engine"
    )
    parser.add_argument("--folds", type=int, default=5, help="of the emulator's test; 0 for none")
    parser.add_argument("--lines", type=int, default=25, help="features that are listed of either sign")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = read_recipe(options.recipe)
    theory = Theory(recipe, options.out / "spectra")
    errors = emulator_error(recipe, options.grid, options.folds) if options.folds else {}
    print(json.dumps(errors), flush=True)
    if options.data is None:
        return
    grid, names, values = read_grid(options.grid)
    emulator = learn(names, values, torch.from_numpy(np.asarray(grid.flux, float)))
    results = []
    for giant in read_giants(options.data):
        begun = time.process_time()
        results.append(measure(giant, emulator, theory, options.rounds))
        one = results[-1]
        draw(one.giant, one.fit, one.features, options.out / f"{giant.name}.png")
        print(f"{giant.name}: {time.process_time() - begun:.0f} s", flush=True)
    show(results)
    shared = together({one.giant.name: one.features for one in results})
    middle = next((one for one in results if one.giant.name == TYPICAL), results[0])
    alone = theory.alone(middle.giant.name, middle.labels)
    neighbours = Neighbours(theory.lines(), theory.pixels.wavelength, alone)
    show_kinds(shared, neighbours)
    for title, sign in SIGNS.items():
        print(f"\n{title}: {sum(s.depth * sign > 0 for s in shared)} features of two giants or more\n")
        show_lines(shared, neighbours, sign, options.lines)
    _write(options.out / "results.json", errors, results, shared)


def _write(path: Path, errors: dict, results: list[Result], shared: list[Shared]) -> None:
    rows = [
        {
            "giant": one.giant.name,
            "labels": one.labels,
            "vmac": one.fit.vmac,
            "rv": one.fit.rv,
            **{name: getattr(one, name) for name in ("rms", "typical", "noise", "emulator")},
            "features": [asdict(feature) for feature in one.features],
        }
        for one in results
    ]
    content = {"emulator": errors, "giants": rows, "shared": [asdict(one) for one in shared]}
    path.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
