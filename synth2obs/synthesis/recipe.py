"""Recipes of theoretical grids: everything that a grid depends on, in one TOML file."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from synth2obs.core.config import Section
from synth2obs.core.config_io import load_config
from synth2obs.synthesis.sampling import SAMPLINGS, SamplingConfig
from synth2obs.synthesis.sampling.table import TableConfig
from synth2obs.synthesis.settings import (
    EngineConfig,
    GridConfig,
    LineListConfig,
    OutputConfig,
    SpectrumConfig,
)

Array = NDArray[np.float64]
REQUIRED = ("teff", "logg", "fe_h")
PHYSICS = {"engine", "line_list", "spectrum"}
PLAIN = ("teff", "logg", "fe_h", "vmic")


class LabelsConfig(Section):
    """Labels of a grid and their ranges."""

    ranges: dict[str, tuple[float, float]] = Field(
        description="of `teff` (K), `logg`, `fe_h`, and where wanted `vmic` (km/s) and single elements"
    )
    elements: tuple[str, ...] = Field(default=(), description="elements with a label of their own, e.g. `Mg`")
    element_range: tuple[float, float] = Field(
        default=(-1.2, 1.2), description="of `<x>_fe` without a range, dex"
    )

    @model_validator(mode="after")
    def _complete(self) -> "LabelsConfig":
        missing = [name for name in REQUIRED if name not in self.ranges]
        if missing:
            raise ValueError(f"labels.ranges must have {', '.join(missing)}")
        for name, (low, high) in self.ranges.items():
            if name not in self.names:
                raise ValueError(
                    f"labels.ranges.{name} is no label of this grid; add the element to labels.elements"
                )
            if not low < high:
                raise ValueError(f"labels.ranges.{name} must increase, got {[low, high]}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Label names in the order of the grid."""
        plain = tuple(name for name in PLAIN if name in self.ranges)
        return plain + tuple(f"{element.lower()}_fe" for element in self.elements)

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Range of every label."""
        return {name: self.ranges.get(name, self.element_range) for name in self.names}


class GradientsConfig(Section):
    """Points and steps of gradient spectra."""

    points: tuple[dict[str, float], ...] = Field(
        default=(), description="labels of each point; abundances that are left out are 0"
    )
    steps: dict[str, float] = Field(
        default_factory=dict,
        description="half of the central difference by label; 50 K, and 0.1 for all others",
    )

    def step(self, name: str) -> float:
        """Step of a label, in its unit."""
        return self.steps.get(name, 50.0 if name == "teff" else 0.1)


class Recipe(Section):
    """A theoretical grid."""

    grid: GridConfig
    seed: int = Field(default=1, ge=0, description="of the sampling")
    labels: LabelsConfig
    sampling: SamplingConfig
    engine: EngineConfig = EngineConfig()
    line_list: tuple[LineListConfig, ...] = Field(min_length=1)
    spectrum: SpectrumConfig
    output: OutputConfig
    gradients: GradientsConfig = GradientsConfig()

    def table(self) -> Array:
        """Labels of every spectrum, shape (N, K)."""
        return self.draw(self.grid.spectra, self.seed)

    def draw(self, spectra: int, seed: int) -> Array:
        """Labels drawn as the recipe says, of another number or seed than its own, shape (spectra, K)."""
        sampling = SAMPLINGS[self.sampling.name](self.sampling)
        return np.round(sampling.draw(self.labels.names, self.labels.limits, spectra, seed), 6)

    @property
    def physics(self) -> str:
        """Digest of what a spectrum depends on besides its labels; settings that are left alone do not enter."""
        dumped = self.model_dump(mode="json", include=PHYSICS, exclude_defaults=True)
        dumped.get("engine", {}).pop("time_limit", None)
        for lines in dumped["line_list"]:
            lines.get("overlay", {}).pop("file", None)
        text = json.dumps({name: value for name, value in dumped.items() if value}, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe; a label table is looked for beside it.

    Raises:
        ConfigError: If it cannot be read, has unknown keys, or a value is out of range.
    """
    path = Path(path)
    recipe = load_config(Recipe, path)
    if not isinstance(recipe.sampling, TableConfig):
        return recipe
    beside = recipe.sampling.model_copy(update={"file": str(path.parent / recipe.sampling.file)})
    return recipe.model_copy(update={"sampling": beside})
