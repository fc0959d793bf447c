"""The engines by name."""

from pathlib import Path

from synth2obs.synthesis.engine import Engine
from synth2obs.synthesis.recipe import Recipe
from synth2obs.synthesis.turbospectrum import Turbospectrum

ENGINES = {"turbospectrum": Turbospectrum}
"""Engines by the name that a recipe gives."""


def make_engine(recipe: Recipe, cache: Path) -> Engine:
    """The engine of a recipe, ready to run.

    Args:
        recipe: What it is to compute.
        cache: Folder for converted line lists.

    Raises:
        EngineMissingError: If it, or data of it, are not installed.
        ConfigError: If it cannot do what the recipe says.
    """
    return ENGINES[recipe.engine.name](recipe.engine, recipe.spectrum, recipe.line_list, cache)
