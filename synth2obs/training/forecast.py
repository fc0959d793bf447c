"""What a training will take: stars, spectra, time and memory, before anything is trained.

The model of time and memory is plain: constants measured on the embedded data, times stars, spectra, steps and rest
wavelengths. It is no more than that: other machines, and data of another kind, may be off by more than a factor of two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synth2obs.core.told import clock
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import PARTS, Domains, load_domains

CELLS, SPECTRA, KEPT = 7145, 600, 810
"""Of the quick start: rest wavelengths, spectra whose latents are optimised, spectra that are kept."""

SECONDS = {
    "theory step": 0.064,
    "theory end": 12.0,
    "latent step": 0.05,
    "width star": 0.41,
    "label fit": 0.036,
    "morph": 6.8,
    "morph star": 0.023,
    "gap round": 0.051,
    "critic step": 0.1,
    "evaluation": 45.0,
    "test star": 0.64,
    "rest": 20.0,
}
"""On two cores: a step, the closed form at the end of a stage, a training star and round, a star that is tested by all
methods; loading, reports and registering. From trainings of 460, 72 and 69 training stars."""

FIXED = 0.35
"""Share of the time of stars that does not depend on the number of wavelengths: fits look at these a few times only."""

BASE, CELL, STAR = 0.75, 6.2e-8, 1.1e-3
"""GB: torch and MLflow; a rest wavelength of a grid's spectrum; a star of `CELLS` wavelengths."""


@dataclass(frozen=True)
class Forecast:
    """What a training will take.

    Args:
        stars: Number by survey and part (train, validation, test).
        spectra, held_out: Of the grid.
        cells: Rest wavelengths.
        seconds: By stage, on two cores.
        gigabytes: Most memory at once.
    """

    stars: Mapping[str, Mapping[str, int]]
    spectra: int
    held_out: int
    cells: int
    seconds: Mapping[str, float]
    gigabytes: float

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {**vars(self), "total_seconds": sum(self.seconds.values())}

    def lines(self) -> list[str]:
        """For people."""
        stars = [
            f"{name}: " + ", ".join(f"{count} {part}" for part, count in parts.items())
            for name, parts in self.stars.items()
        ]
        stages = ", ".join(f"{name} {clock(seconds)}" for name, seconds in self.seconds.items())
        return [
            *(f"stars     {line}" for line in stars),
            f"grid      {self.spectra} spectra of {self.cells} rest wavelengths, {self.held_out} held out",
            f"time      about {clock(sum(self.seconds.values()))} on two cores, within a factor of two: {stages}",
            f"memory    about {self.gigabytes:.1f} GB, within a factor of two",
        ]


def forecast(config: TrainConfig) -> Forecast:
    """Read and split the data of a training, and say what it will take; nothing is written.

    Raises:
        DataError, ConfigError: As `load_domains`.
    """
    return forecast_of(config, load_domains(config.data, config.seed))


def forecast_of(config: TrainConfig, domains: Domains) -> Forecast:
    """The same for data that are in memory."""
    stars = {
        name: {part: len(survey.rows(part)) for part in PARTS} for name, survey in domains.surveys.items()
    }
    spectra, cells = domains.grid.spectra.flux.shape
    held_out = int(domains.grid.held_out.sum())
    return Forecast(
        stars=stars,
        spectra=spectra,
        held_out=held_out,
        cells=cells,
        seconds=_seconds(config, stars, spectra - held_out, cells / CELLS),
        gigabytes=BASE + CELL * spectra * cells + STAR * cells / CELLS * _count(stars, *PARTS),
    )


def _count(stars: Mapping[str, Mapping[str, int]], *parts: str) -> int:
    return sum(row[part] for row in stars.values() for part in parts)


def _seconds(
    config: TrainConfig, stars: Mapping[str, Mapping[str, int]], kept: int, cells: float
) -> dict[str, float]:
    """By stage; ``cells`` is the number of rest wavelengths in that of the quick start."""
    size = FIXED + (1.0 - FIXED) * cells
    train, test = _count(stars, "train"), _count(stars, "test")
    measured = sum(min(row["train"], config.latent.width_stars) for row in stars.values())
    cubes = (min(kept, config.theory.spectra) / SPECTRA) ** 3
    cost, steps = SECONDS, config.theory.steps
    found = {
        "theory": steps * cost["theory step"] * cubes + kept / KEPT * cost["theory end"],
        "latent": size * (config.latent.steps * cost["latent step"] + measured * cost["width star"]),
        "labels": size * train * (1 + config.labels.iterations) * cost["label fit"],
        "morph": size * (cost["morph"] + train * cost["morph star"]),
        "gap": size * train * config.gap.iterations * cost["gap round"],
        "critic": config.critic.steps * cost["critic step"],
        "evaluation": size * (cost["evaluation"] + test * cost["test star"]),
        "rest": cost["rest"],
    }
    return {name: round(seconds, 1) for name, seconds in found.items() if seconds > 0}
