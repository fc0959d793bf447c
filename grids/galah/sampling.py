"""How far a synthesised spectrum is off for its sampling: one giant, at coarser steps against 0.01 Å."""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from synth2obs.synthesis.engines import make_engine
from synth2obs.synthesis.pixels import Pixels
from synth2obs.synthesis.recipe import Recipe, read_recipe

FINEST = 0.01


def spectrum(recipe: Recipe, step: float, labels: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Flux at the recipe's pixels and their band, computed at one step in Å."""
    own = recipe.model_copy(update={"spectrum": recipe.spectrum.model_copy(update={"step": step})})
    pixels = Pixels.of(own)
    with tempfile.TemporaryDirectory() as folder:
        work, lines = Path(folder) / "work", Path(folder) / "lines"
        work.mkdir()
        flux = make_engine(own, lines).spectrum(labels, work)
    return pixels.matrix @ flux, pixels.segment


def main() -> None:
    """A row for every step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", type=Path, default=Path(__file__).with_name("recipe.toml"))
    parser.add_argument("--star", type=int, default=1, help="number in the recipe's sampling")
    parser.add_argument("--steps", type=float, nargs="+", default=[0.05, 0.04, 0.03, 0.02], help="Å")
    given = parser.parse_args()
    recipe = read_recipe(given.recipe)
    labels = dict(zip(recipe.labels.names, map(float, recipe.table()[given.star]), strict=True))
    print(", ".join(f"{name} {labels[name]:.2f}" for name in ("teff", "logg", "fe_h", "vmic")))
    best, segment = spectrum(recipe, FINEST, labels)
    for step in given.steps:
        flux, _ = spectrum(recipe, step, labels)
        rms = [100.0 * np.sqrt(np.mean((flux - best)[segment == band] ** 2)) for band in np.unique(segment)]
        print(f"{step:g} Å: " + ", ".join(f"{value:.2f}" for value in rms) + " %")


if __name__ == "__main__":
    main()
