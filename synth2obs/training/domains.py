"""The domains of a training: the grid and the surveys, cut to one range and split by star."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from synth2obs.core.chance import chance
from synth2obs.core.config import Section
from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.labels import LabelSpace
from synth2obs.core.names import require_name
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import resolve
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.check import refuse
from synth2obs.io.shard.read import read_shard
from synth2obs.io.surveys.matches import read_twins
from synth2obs.io.trainable import grid_problems, with_usual_labels
from synth2obs.training.layers import layer_of, same_rows, seen_pixels

FIRST = ("teff", "logg", "fe_h", "vmic", "c_fe", "o_fe")
MARGIN = 20.0
"""Å of theory kept beyond the surveys' range: velocity and line spread need it."""

PARTS = ("train", "validation", "test")

FEWEST_TO_TRAIN = 4
"""Stars below which neither a line width nor a density can be fitted."""

FEWEST_HELD_OUT = 2
"""Spectra of the grid that are held out even where chance would leave none: the placebo is made of them."""


class DataConfig(Section):
    """Where spectra come from and how stars are split."""

    grid: str = Field(default="embedded:optical_grid", description="shard of the grid")
    layers: dict[str, str] = Field(
        default={},
        description="shards of further grids with the same spectra (by their labels; some may lack), at other "
        "wavelengths or sharper, by a name of their own: every survey sees the coarsest grid that is sharp enough",
    )
    surveys: dict[str, str] = Field(
        default={"miles": "embedded:miles", "stelib": "embedded:stelib"}, description="shard of each survey"
    )

    @field_validator("surveys")
    @classmethod
    def _named(cls, surveys: dict[str, str]) -> dict[str, str]:
        for name in surveys:
            require_name(name, "survey")
        return surveys

    @field_validator("layers")
    @classmethod
    def _layers_named(cls, layers: dict[str, str]) -> dict[str, str]:
        for name in layers:
            require_name(name, "layer")
        return layers

    same_stars: str = Field(
        default="",
        description="CSV of ids of one star in several surveys (a column a survey), or embedded:same_stars",
    )
    start: float = Field(default=4200.0, gt=0, description="first wavelength in vacuum Å")
    stop: float = Field(default=7350.0, gt=0, description="last wavelength in vacuum Å")
    good_pixels: float = Field(default=0.7, ge=0, le=1, description="smallest share of good pixels of a star")
    max_stars: int = Field(default=0, ge=0, description="stars kept of each survey, 0 for all")
    train: float = Field(default=0.6, gt=0, lt=1, description="share of stars for training")
    validation: float = Field(default=0.1, ge=0, lt=1, description="share for validation; the rest is tested")
    held_out_grid: float = Field(
        default=0.14, gt=0, lt=0.5, description="share of grid spectra held out; two at least"
    )


@dataclass(frozen=True)
class LayerData:
    """Theory on another layer of the rest frame. ``rows`` are its spectra's numbers in the first grid, increasing."""

    spectra: Spectra
    rows: NDArray[np.intp]


@dataclass(frozen=True)
class GridData:
    """Theory. ``values`` are labels (N, K) in the order of ``labels``; ``held_out`` marks its test spectra."""

    spectra: Spectra
    labels: LabelSpace
    values: NDArray[np.float64]
    held_out: NDArray[np.bool_]
    finer: Mapping[str, LayerData] = field(default_factory=dict)

    @property
    def layers(self) -> dict[str, Spectra]:
        """Spectra by the name of their layer; that of the first is empty."""
        return {"": self.spectra, **{name: own.spectra for name, own in self.finer.items()}}


@dataclass(frozen=True)
class SurveyData:
    """A survey's stars; ``part`` is train, validation or test; ``star`` is the same in every survey."""

    spectra: Spectra
    part: NDArray[np.str_]
    star: NDArray[np.str_]
    layer: str = ""

    def rows(self, part: str) -> NDArray[np.intp]:
        """Row numbers of one part."""
        return np.nonzero(self.part == part)[0]


@dataclass(frozen=True)
class Domains:
    """All that a training reads."""

    grid: GridData
    surveys: Mapping[str, SurveyData]


def load_domains(config: DataConfig, seed: int) -> Domains:
    """Read, cut and split everything.

    Raises:
        DataError: If a shard is refused, is of the wrong kind, or has too few stars left to train and to test.
        ConfigError: If no survey is named, or train and validation leave nothing to test.
    """
    if not config.surveys:
        raise ConfigError("data.surveys is empty; name at least one survey and its shard")
    if config.train + config.validation >= 1:
        raise ConfigError(
            f"data.train + data.validation = {config.train + config.validation} leaves no star to test; "
            "lower one of them"
        )
    grid, twins = _grid(config, seed), _twins(config)
    surveys = {
        name: _survey(name, path, config, seed, twins.get(name, {}), grid.layers)
        for name, path in config.surveys.items()
    }
    return Domains(grid, surveys)


def _twins(config: DataConfig) -> dict[str, dict[str, str]]:
    """For every survey, id → common name of stars that others have too."""
    if not config.same_stars:
        return {}
    return read_twins(resolve(config.same_stars), config.surveys)


def label_table(spectra: Spectra) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names of a grid's labels, those of `FIRST` first, and their values (N, K)."""
    names = tuple(name for name in FIRST if name in spectra.labels)
    names += tuple(sorted(set(spectra.labels) - set(names)))
    return names, np.stack([np.asarray(spectra.labels[name], float) for name in names], axis=1)


def _grid(config: DataConfig, seed: int) -> GridData:
    spectra = _cut(_read_grid(config.grid), config, MARGIN)
    names, values = label_table(spectra)
    drawn = np.array([chance(seed, f"grid/{name}") for name in spectra.id])
    held_out = (drawn < config.held_out_grid) | (drawn <= np.sort(drawn)[FEWEST_HELD_OUT - 1])
    finer = {name: _layer(path, spectra) for name, path in config.layers.items()}
    return GridData(spectra, LabelSpace.from_values(names, values), values, held_out, finer)


def _read_grid(path: str) -> Spectra:
    spectra, file = with_usual_labels(_read(path, "grid")), resolve(path)
    refuse(grid_problems(file), file)
    return spectra


def _layer(path: str, first: Spectra) -> LayerData:
    """Another grid, of the spectra that it shares with the first, in the first one's order."""
    spectra = _read_grid(path)
    try:
        rows = same_rows(first.labels, spectra.labels)
    except DataError as error:
        raise DataError(f"{error}", path=resolve(path)) from error
    order = np.argsort(rows)
    order = order[rows[order] >= 0]
    if len(order) < FEWEST_TO_TRAIN:
        raise DataError(
            f"{len(order)} of its {len(rows)} spectra have the labels of one of the first grid's {len(first)}",
            path=resolve(path),
            field="labels",
            remedy="compute it with the sampling, the seed and the ranges of the first grid's recipe",
        )
    return LayerData(replace(spectra.take(order), gradients=None), rows[order])


def _survey(
    name: str,
    path: str,
    config: DataConfig,
    seed: int,
    twins: Mapping[str, str],
    grids: Mapping[str, Spectra],
) -> SurveyData:
    spectra = _read(path, "survey")
    layer = _layer_of(spectra, grids, path)
    spectra = spectra.cut(seen_pixels(spectra, grids[layer])) if layer else _cut(spectra, config)
    assert spectra.ivar is not None
    spectra = spectra.take((spectra.ivar > 0).mean(axis=1) >= config.good_pixels)
    if config.max_stars:
        spectra = spectra.take(_spread(_stars(spectra, twins), seed, config.max_stars))
    if len(spectra) < 8:
        raise DataError(
            f"only {len(spectra)} stars of {name} have {config.good_pixels:.0%} good pixels in "
            f"{config.start:.0f}–{config.stop:.0f} Å",
            path=path,
            remedy="lower data.good_pixels or widen data.start and data.stop",
        )
    star = _stars(spectra, twins)
    drawn = np.array([chance(seed, own) for own in star])
    part = np.select([drawn < config.train, drawn < config.train + config.validation], PARTS[:2], PARTS[2])
    survey = SurveyData(spectra, part, star, layer)
    _check_parts(survey, name, path)
    return survey


def _layer_of(spectra: Spectra, grids: Mapping[str, Spectra], path: str) -> str:
    """The layer that a survey sees; of a single one its instrument says what does not fit."""
    if len(grids) == 1:
        return ""
    try:
        return layer_of(spectra, grids)
    except DataError as error:
        raise DataError(f"{error}", path=resolve(path)) from error


def _check_parts(survey: SurveyData, name: str, path: str) -> None:
    train, test = len(survey.rows("train")), len(survey.rows("test"))
    if train < FEWEST_TO_TRAIN or test < 1:
        raise DataError(
            f"{len(survey.star)} stars of {name} are split into {train} for training and {test} to test; "
            f"{FEWEST_TO_TRAIN} and 1 are needed",
            path=path,
            remedy="give more stars, or change data.train, data.validation or seed",
        )


def _stars(spectra: Spectra, twins: Mapping[str, str]) -> NDArray[np.str_]:
    """Name of each spectrum's star: spectra of one object share it, and so do surveys that share the star."""
    own = spectra.star.tolist()
    common = {name: twins[str(one)] for name, one in zip(own, spectra.id, strict=True) if str(one) in twins}
    return np.array([common.get(name, name) for name in own])


def _spread(stars: NDArray[np.str_], seed: int, count: int) -> NDArray[np.intp]:
    """Rows of a random subset that is the same in every run."""
    drawn = [chance(seed, f"kept/{name}") for name in stars]
    return np.sort(np.argsort(drawn)[:count])


def _read(path: str, kind: str) -> Spectra:
    file = resolve(path)
    spectra = read_shard(file)
    if spectra.kind != kind:
        raise DataError(
            f"is a {spectra.kind}, not a {kind}", path=file, field="kind", remedy=f"give a {kind}'s shard"
        )
    return replace(spectra, flags=None)


def _cut(spectra: Spectra, config: DataConfig, margin: float = 0.0) -> Spectra:
    """What the settings want of the first layer's wavelengths; refused in their own numbers, not in the margin's."""
    cut = cut_wavelengths(spectra, config.start, config.stop)
    return cut_wavelengths(spectra, config.start - margin, config.stop + margin) if margin else cut
