"""The surveys of a bench: where each lies, how it is trained, and what it depends on."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synth2obs.analysis.baselines import METHODS
from synth2obs.analysis.proof.settings import ProveConfig
from synth2obs.analysis.proof.simulate import SURVEY, SURVEY_FILE, THEORY_FILE, file_of, surveys_of
from synth2obs.analysis.proof.twist import Twist
from synth2obs.core.config_io import Setting, digest, flatten, load_config, parse_config
from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.files import file_sha256
from synth2obs.io.embedded import resolve
from synth2obs.training.config import TrainConfig
from synth2obs.training.run import MAY_CHANGE

FORMAT = "synth2obs-proof/3"

OURS = ("grid", "surveys", "same_stars", "start", "stop")
"""Settings of ``data`` that a scenario says itself."""

NOT_TOLD = ("data.grid", "data.surveys", *MAY_CHANGE)
"""Settings of a training that do not tell one survey of a bench from another."""

SPLIT = {"train": 0.85, "validation": 0.1}
"""Held-out stars lie in a shard of their own, so that nearly all others can train."""


@dataclass(frozen=True)
class Case:
    """One simulation of a bench, of one survey or two of the same stars.

    Args:
        scenario: Name of its table in the configuration.
        name: Of its folder, its run and its table.
        twist: What it changes.
        folder: Where everything of it lies.
        training: Settings of its training.
        made: Digest of all that simulation and training depend on.
        scored: Digest of all that its scores depend on.
    """

    scenario: str
    name: str
    twist: Twist
    folder: Path
    training: TrainConfig
    made: str
    scored: str

    @property
    def surveys(self) -> tuple[str, ...]:
        """Names of its surveys in the training."""
        return surveys_of(self.twist)

    def title(self, survey: str) -> str:
        """What one of its surveys is called in tables."""
        return self.name if survey == SURVEY else f"{self.name}-{survey}"


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> ProveConfig:
    """A bench from TOML and ``key=value`` overrides.

    Raises:
        ConfigError: For an unknown key or a value out of range, in the tables for trainings too.
    """
    config = load_config(ProveConfig, path, overrides)
    training_of(config, Path())
    return config


def training_of(config: ProveConfig, folder: Path, surveys: Sequence[str] = (SURVEY,)) -> TrainConfig:
    """Settings of the training on a folder's shards of some surveys.

    Raises:
        ConfigError: For an unknown setting, or one that a scenario says itself.
    """
    tree = dict(config.training)
    data = dict(tree.get("data", {}))
    if taken := sorted(set(OURS) & set(data)):
        raise ConfigError(
            f"training.data.{taken[0]}: a scenario says it itself; change [simulation], or remove it"
        )
    own = {
        "grid": str(folder / THEORY_FILE),
        "surveys": {name: str(folder / file_of(name, SURVEY_FILE)) for name in surveys},
        "start": config.simulation.start,
        "stop": config.simulation.stop,
    }
    tree = {"seed": config.seed, "model_name": "proof", **tree, "data": {**SPLIT, **data, **own}}
    return parse_config(TrainConfig, tree, source="training")


def chosen(config: ProveConfig, names: Sequence[str]) -> list[str]:
    """Scenarios of a configuration, in its order; all if none is named.

    Raises:
        ConfigError: For one that it does not have.
    """
    for name in names:
        if name not in config.scenarios:
            raise ConfigError(f"no scenario {name!r}; the configuration has {', '.join(config.scenarios)}")
    return [name for name in config.scenarios if not names or name in names]


def cases_of(config: ProveConfig, out: Path, names: Sequence[str]) -> Iterator[Case]:
    """The surveys of some scenarios.

    Raises:
        DataError: If an input file is missing.
    """
    for scenario in names:
        for key, twist in config.scenarios[scenario].cases().items():
            name = f"{scenario}-{key}" if key else scenario
            training = training_of(config, out / name, surveys_of(twist))
            fixed = _settings(config, twist, training)
            how: dict[str, Setting] = {
                "draws": config.draws,
                "methods": " ".join((*METHODS, *config.ablations)),
                **{f"networks.{key}": value for key, value in flatten(config.networks).items()},
            }
            yield Case(scenario, name, twist, out / name, training, digest(fixed), digest({**fixed, **how}))


def _settings(config: ProveConfig, twist: Twist, training: TrainConfig) -> dict[str, Setting]:
    """All that simulation and training depend on, the content of their input files included."""
    inputs = {config.simulation.grid, config.simulation.template, twist.nature, twist.second} - {""}
    settings: dict[str, Setting] = {"seed": config.seed, "format": FORMAT}
    settings["twist"] = json.dumps(asdict(twist), sort_keys=True)
    settings |= {f"simulation.{key}": value for key, value in flatten(config.simulation).items()}
    told = {key: value for key, value in flatten(training).items() if not key.startswith(NOT_TOLD)}
    settings |= {f"training.{key}": value for key, value in told.items()}
    return settings | {f"file.{file}": file_sha256(resolve(file)) for file in sorted(inputs)}


def is_scored(case: Case) -> bool:
    """Whether its scores are there, of these very settings and data."""
    return stored(case.folder / "scores.json").get("digest") == case.scored


def scored_cases(config: ProveConfig, out: Path) -> Iterator[Case]:
    """All surveys of a configuration that are scored, by whichever call."""
    for scenario in config.scenarios:
        # Scenarios that nobody asked for may lack their files.
        with suppress(DataError):
            yield from (case for case in cases_of(config, out, [scenario]) if is_scored(case))


def stored(path: Path) -> dict[str, Any]:
    """A JSON file's content; empty if there is none, or no whole one."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
