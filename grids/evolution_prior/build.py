"""Build the stellar-evolution prior: isochrones -> softened density -> Gaussian mixture -> JSON.

python build.py --output ../../synth2obs/data/evolution_prior.json
"""

import argparse
import json
import os
import tempfile
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from isochrones import Library, salaris, segments
from mixture import Mixture, fit
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

FORMAT = "synth2obs-population/1"
HERE = Path(__file__).parent
Recipe = dict[str, Any]
Array = NDArray[np.float64]


def edges(recipe: Recipe) -> tuple[Array, Array]:
    """Edges of the density's cells in Teff (K) and log g."""
    density = recipe["density"]
    ranges = zip((density["teff"], density["logg"]), density["step"], strict=True)
    teff, logg = (np.arange(low, high + 0.5 * step, step) for (low, high), step in ranges)
    return teff, logg


def metallicities(recipe: Recipe) -> Array:
    """[Fe/H] of the planes of the density."""
    low, high = recipe["population"]["fe_h"]
    step = recipe["population"]["fe_h_step"]
    return np.round(low + step * np.arange(round((high - low) / step) + 1), 6)


def alphas(recipe: Recipe, fe_h: float) -> list[float]:
    """[alpha/Fe] of the stars at an [Fe/H], equally likely."""
    population = recipe["population"]
    values = population["alpha_fe"]
    part = np.clip(1.0 - fe_h / population["alpha_knee"], 0.0, 1.0)
    return [float(v) for v in values if v <= values[-1] + part * (0.1 - values[-1]) + 1e-9]


def age_weight(recipe: Recipe, age: Array, fe_h: float) -> Array:
    """Weight of each isochrone: time, with few young stars among the metal-poor."""
    population = recipe["population"]
    low, high = population["old_below"]
    young = np.interp(fe_h, [low, high], [population["young_fraction"], 1.0])
    return np.gradient(age) * np.where(age < population["old_age_gyr"], young, 1.0)


def plane(recipe: Recipe, libraries: list[Library], fe_h: float) -> Array:
    """Stars in each cell of (Teff, log g) at one [Fe/H], the mean over libraries and [alpha/Fe]."""
    bins, total = edges(recipe), 0.0
    for alpha_fe in alphas(recipe, fe_h):
        for library in libraries:
            points = library.at(fe_h + salaris(alpha_fe))
            if points is None:
                continue
            labels, weight = segments(points)
            weight = weight * age_weight(recipe, library.age, fe_h)[:, None] / library.age.max()
            total = (
                total
                + np.histogram2d(
                    labels[..., 0].ravel(), labels[..., 1].ravel(), bins, weights=weight.ravel()
                )[0]
            )
    return total / np.sum(total)


def soften(recipe: Recipe, cube: Array) -> Array:
    """Blur, then take the power, so that a line of stars is as wide as ``blur``; each plane sums to one."""
    density = recipe["density"]
    step = np.array([recipe["population"]["fe_h_step"], *density["step"]])
    blur = np.array([density["blur"][2], *density["blur"][:2]])
    soft = gaussian_filter(
        cube, np.sqrt(density["power"]) * blur / step, mode=("nearest", "constant", "constant")
    )
    soft = soft ** density["power"]
    return soft / soft.sum(axis=(1, 2), keepdims=True)


def coarse(cube: Array) -> Array:
    """Cells of twice the width, for the fit."""
    n, t, g = cube.shape
    return cube[:, : t // 2 * 2, : g // 2 * 2].reshape(n, t // 2, 2, g // 2, 2).sum(axis=(2, 4))


def points_of(recipe: Recipe, cube: Array) -> tuple[Array, Array]:
    """Centres (N, 3) in Teff, log g, [Fe/H] and weights (N,) of the coarse cells that matter."""
    teff, logg = (e[: (len(e) - 1) // 2 * 2 + 1] for e in edges(recipe))
    grid = np.meshgrid(metallicities(recipe), teff[1::2], logg[1::2], indexing="ij")
    weight = coarse(cube).ravel()
    kept = weight > 1e-6 * weight.max()
    table = np.stack([grid[1].ravel(), grid[2].ravel(), grid[0].ravel()], axis=1)[kept]
    return table, weight[kept] / weight[kept].sum()


def best_mixture(recipe: Recipe, table: Array, weight: Array) -> Mixture:
    """The likeliest of the seeds' mixtures, in natural units; the blur is the unit while fitting."""
    settings, scale = recipe["mixture"], np.array(recipe["density"]["blur"])
    sigma = np.array(settings["minimum_sigma"]) / scale
    results = []
    for seed in settings["seeds"]:
        found = fit(table / scale, weight, settings["components"], settings["iterations"], seed, sigma)
        print(f"seed {seed}: mean log-likelihood {found[1]:.4f}", flush=True)
        results.append(found)
    mixture = max(results, key=lambda result: result[1])[0]
    return Mixture(mixture.weight, mixture.mean * scale, mixture.covariance * np.outer(scale, scale))


def provenance(recipe: Recipe) -> Recipe:
    """Where the numbers come from, for the head of the file."""
    return {
        "source": f"{recipe['source']['package']} {recipe['source']['version']} (PyPI)",
        "libraries": [
            {k: entry[k] for k in ("name", "file", "sha256", "citation")} for entry in recipe["library"]
        ],
        "recipe": "grids/evolution_prior",
        "settings": {k: recipe[k] for k in ("population", "density", "mixture", "floor")},
        "licence": "Fitted parameters of this project; no isochrone is redistributed. Cite the libraries.",
    }


def rounded(values: Array) -> Any:
    """Nested lists with seven significant digits."""
    return json.loads(json.dumps(values.tolist()), parse_float=lambda text: float(f"{float(text):.7g}"))


def document(recipe: Recipe, mixture: Mixture) -> Recipe:
    """The contents of the data file."""
    floor = recipe["floor"]
    return {
        "format": FORMAT,
        "labels": ["teff", "logg", "fe_h"],
        "units": ["K", "dex(cm s-2)", "dex"],
        "fe_h": recipe["mixture"]["fe_h"],
        "provenance": provenance(recipe),
        "weight": rounded(mixture.weight),
        "mean": rounded(mixture.mean),
        "covariance": rounded(mixture.covariance),
        "floor": {"weight": floor["weight"], "mean": floor["mean"], "sigma": floor["sigma"]},
    }


def write(path: Path, content: Recipe) -> None:
    """Write JSON through a temporary file of the same folder."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as file:
        json.dump(content, file, separators=(",", ":"))
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def main() -> None:
    """Read the recipe, build, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--cube", type=Path, help="also keep the softened density, as .npz")
    options = parser.parse_args()
    recipe = tomllib.loads((HERE / "recipe.toml").read_text())
    folder = Path(str(files("lachesis_grids"))) / "grids"
    libraries = [
        Library.read(
            e["name"], folder / e["file"], e["sha256"], e.get("last_phase"), recipe["population"]["age_gyr"]
        )
        for e in recipe["library"]
    ]
    cube = soften(recipe, np.stack([plane(recipe, libraries, fe_h) for fe_h in metallicities(recipe)]))
    if options.cube:
        np.savez_compressed(options.cube, cube=cube.astype("f4"), fe_h=metallicities(recipe))
    table, weight = points_of(recipe, cube)
    print(f"{len(table)} cells, entropy {-float(weight @ np.log(weight)):.3f}", flush=True)
    write(options.output, document(recipe, best_mixture(recipe, table, weight)))


if __name__ == "__main__":
    main()
