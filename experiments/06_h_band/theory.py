"""Theory itself at a giant's labels: the recipe's engine, its spectra kept."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from synth2obs.synthesis.engines import make_engine
from synth2obs.synthesis.installed import read_lines
from synth2obs.synthesis.line_lists import Line, Species
from synth2obs.synthesis.pixels import Pixels
from synth2obs.synthesis.recipe import Recipe
from synth2obs.synthesis.work import Store, Task

EVERYTHING = {"faintest": None}
NAMES = {"atom": "atoms", "cn": "CN", "co": "CO", "feh": "FeH"}


class Theory:
    """Spectra of a recipe's physics at any labels.

    Args:
        recipe: Of the grid.
        folder: Where spectra and converted lines are kept.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.recipe, self.folder, self.pixels = recipe, folder, Pixels.of(recipe)
        self.store = Store(folder, recipe.physics)

    def __call__(self, name: str, labels: Mapping[str, float]) -> Tensor:
        """Flux on the grid's pixels, (L,); ``name`` is that of its file."""
        task = Task(name, labels)
        if self.store.read(task) is None:
            place = Path(tempfile.mkdtemp(dir=self.folder))
            self.store.write(task, make_engine(self.recipe, self.folder / "lines").spectrum(labels, place))
            shutil.rmtree(place)
        flux = self.store.read(task)
        assert flux is not None
        return torch.from_numpy(self.pixels.matrix @ flux.astype(np.float64))

    def alone(self, name: str, labels: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Flux (L,) with hydrogen and one of the recipe's line lists alone, relative to hydrogen's, by list."""
        found = {}
        for config in self.recipe.line_list:
            part = Theory(self.recipe.model_copy(update={"line_list": (config,)}), self.folder)
            what = config.file.removeprefix("linemake:moog").removesuffix(".gz")
            what = ", ".join(config.species) if config.species else NAMES.get(what, what)
            found[what] = part(f"{name}_{what}", labels).numpy()
        hydrogen = np.max(list(found.values()), axis=0)
        return {what: flux / hydrogen for what, flux in found.items()}

    def lines(self) -> list[tuple[Species, Line]]:
        """Every line of the files that the recipe names, those included that it leaves out as too faint."""
        found = []
        for config in self.recipe.line_list:
            for species, rows in read_lines(config.model_copy(update=EVERYTHING)).items():
                found += [(species, line) for line in rows]
        return found
