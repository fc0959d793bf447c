"""The domains of a training: the grid and the surveys, cut to one range and split by star."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    surveys: dict[str, str] = Field(
        default={"miles": "embedded:miles", "stelib": "embedded:stelib"}, description="shard of each survey"
    )

    @field_validator("surveys")
    @classmethod
    def _named(cls, surveys: dict[str, str]) -> dict[str, str]:
        for name in surveys:
            require_name(name, "survey")
        return surveys

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
class GridData:
    """Theory. ``values`` are labels (N, K) in the order of ``labels``; ``held_out`` marks its test spectra."""

    spectra: Spectra
    labels: LabelSpace
    values: NDArray[np.float64]
    held_out: NDArray[np.bool_]


@dataclass(frozen=True)
class SurveyData:
    """A survey's stars; ``part`` is train, validation or test; ``star`` is the same in every survey."""

    spectra: Spectra
    part: NDArray[np.str_]
    star: NDArray[np.str_]

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
    twins = _twins(config)
    surveys = {
        name: _survey(name, path, config, seed, twins.get(name, {})) for name, path in config.surveys.items()
    }
    return Domains(_grid(config, seed), surveys)


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
    spectra = with_usual_labels(_read(config.grid, "grid", config))
    file = resolve(config.grid)
    refuse(grid_problems(file), file)
    names, values = label_table(spectra)
    drawn = np.array([chance(seed, f"grid/{name}") for name in spectra.id])
    held_out = (drawn < config.held_out_grid) | (drawn <= np.sort(drawn)[FEWEST_HELD_OUT - 1])
    return GridData(spectra, LabelSpace.from_values(names, values), values, held_out)


def _survey(name: str, path: str, config: DataConfig, seed: int, twins: Mapping[str, str]) -> SurveyData:
    spectra = _read(path, "survey", config)
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
    survey = SurveyData(spectra, part, star)
    _check_parts(survey, name, path)
    return survey


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


def _read(path: str, kind: str, config: DataConfig) -> Spectra:
    file = resolve(path)
    spectra = read_shard(file)
    if spectra.kind != kind:
        raise DataError(
            f"is a {spectra.kind}, not a {kind}", path=file, field="kind", remedy=f"give a {kind}'s shard"
        )
    margin = MARGIN if kind == "grid" else 0.0
    spectra = cut_wavelengths(spectra, config.start - margin, config.stop + margin)
    return replace(spectra, flags=None)
