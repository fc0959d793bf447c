"""Recipes of small shards: a range, a sample and a source, in a TOML file."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.grids import broaden_grid, read_raw_grid
from synth2obs.io.reduce import cut_wavelengths, round_spectra
from synth2obs.io.surveys import read_survey
from synth2obs.io.surveys.matches import read_matches

Recipe = Mapping[str, Mapping[str, Any]]


def read_recipe(path: str | Path) -> Recipe:
    """A recipe file as nested tables.

    Raises:
        ConfigError: If it cannot be read or lacks ``[source]`` and ``[grid]`` or ``[sample]``.
    """
    try:
        recipe = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a recipe in TOML") from error
    if "source" not in recipe or not {"grid", "sample"} & set(recipe):
        raise ConfigError(
            f"{path}: a recipe has [source] and either [grid] or [sample], got {sorted(recipe)}"
        )
    return recipe


def build(recipe: Recipe, folder: str | Path) -> Spectra:
    """The spectra of a recipe; the same source files give the same spectra.

    Args:
        recipe: From `read_recipe`.
        folder: Where the source files lie.

    Raises:
        DataError: If the source cannot be read or nothing is left of it.
    """
    spectra = _grid(recipe, Path(folder)) if "grid" in recipe else _sample(recipe, Path(folder))
    extra = recipe.get("provenance", {})
    return round_spectra(replace(spectra, provenance={**spectra.provenance, **extra, "recipe": dict(recipe)}))


def in_sample(
    labels: Mapping[str, NDArray[np.floating[Any]]], known: Iterable[str], teff: tuple[float, float]
) -> NDArray[np.bool_]:
    """Whether a star has the labels that a sample asks for and a temperature (K) in its range, shape (N,)."""
    chosen = (labels["teff"] >= teff[0]) & (labels["teff"] <= teff[1])
    for name in known:
        chosen = chosen & np.isfinite(labels[name])
    return chosen


def _grid(recipe: Recipe, folder: Path) -> Spectra:
    options = dict(recipe["grid"])
    domain = options.pop("domain")
    spectra = broaden_grid(read_raw_grid(folder / recipe["source"]["file"]), **options)
    names = np.array([f"{domain}_{name.rsplit('_', 1)[1]}" for name in spectra.id])
    return replace(spectra, domain=domain, id=names)


def _sample(recipe: Recipe, folder: Path) -> Spectra:
    source, sample = recipe["source"], recipe["sample"]
    paths = sorted(folder.glob(source["files"]))
    options = {"parameters": folder / source["parameters"]} if "parameters" in source else {}
    spectra = read_survey(sample["survey"], paths, **options)
    chosen = in_sample(spectra.labels, sample["known"], sample["teff"])
    if "matches" in source:
        chosen |= np.isin(spectra.id, _shared(read_matches(folder / source["matches"])))
    if not chosen.any():
        raise DataError("no star is left", path=folder, field="sample", remedy="widen the range of teff")
    return cut_wavelengths(spectra.take(chosen), sample["start"], sample["stop"])


def _shared(matches: Mapping[str, str]) -> list[str]:
    return [*matches, *matches.values()]
