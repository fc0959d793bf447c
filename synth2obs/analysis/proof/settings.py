"""Settings of a bench: the survey that is simulated, and what each scenario changes in it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from synth2obs.analysis.baselines import ABLATIONS
from synth2obs.analysis.networks import NetworksConfig
from synth2obs.analysis.proof.observe import Defects
from synth2obs.analysis.proof.twist import Twist
from synth2obs.core.config import Section, choice
from synth2obs.core.names import require_name

DIRECTION = {"teff": 1.0, "logg": 1.0, "fe_h": -1.0, "alpha_fe": 1.0}


class SimulationConfig(Section):
    """The survey that every scenario begins with."""

    grid: str = Field(default="embedded:optical_grid", description="shard of the grid that theory is made of")
    template: str = Field(
        default="embedded:miles", description="survey whose instrument, masks and noise are used"
    )
    start: float = Field(default=4200.0, gt=0, description="first wavelength in vacuum Å")
    stop: float = Field(default=7350.0, gt=0, description="last wavelength in vacuum Å")
    stars: int = Field(default=300, ge=16, description="stars of the survey, held-out ones included")
    held: float = Field(
        default=0.3, gt=0, lt=1, description="share of stars, and of nature's spectra, that only score"
    )
    nature_share: float = Field(
        default=0.3, gt=0, lt=1, description="share of the grid that is nature, not theory"
    )
    snr: float = Field(default=100.0, gt=0, description="median signal to noise per pixel")
    rv_spread: float = Field(default=40.0, ge=0, description="standard deviation of velocities in km/s")
    continuum: float = Field(
        default=0.3, ge=0, description="standard deviation of tilt and bend of ln continuum"
    )
    drift: float = Field(
        default=0.0,
        description="standard deviations by which the stars' mean lies beyond the grid's, along direction",
    )
    direction: dict[str, float] = Field(
        default=DIRECTION,
        min_length=1,
        description="weights of the standardised labels along which stars drift",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "SimulationConfig":
        if not self.start < self.stop:
            raise ValueError(f"start {self.start} must be below stop {self.stop}, in Å")
        return self


class ScenarioConfig(Section, ABC):
    """What a scenario changes; every one says its cases."""

    name: str

    @abstractmethod
    def cases(self) -> Mapping[str, Twist]:
        """What is changed in each of its surveys, by a name that is empty where there is one."""


class Placebo(ScenarioConfig):
    """Nature and theory have the same physics: whatever gap is found is the method's own."""

    name: Literal["placebo"] = "placebo"

    def cases(self) -> Mapping[str, Twist]:
        """One, with nothing changed."""
        return {"": Twist()}


class LackingLines(ScenarioConfig):
    """What scenarios say whose theory lacks lines that nature has, or has them too weak."""

    share: float = Field(default=0.3, gt=0, le=0.5, description="share of the grid's lines that theory lacks")
    strength: float = Field(default=1.0, gt=0, le=1, description="share of such a line that theory lacks")
    response: float = Field(
        default=0.05, gt=0, description="least change of flux per dex at a line of an element"
    )

    @property
    def lacking(self) -> Twist:
        """One survey of theirs."""
        return Twist(missing=self.share, strength=self.strength, response=self.response)


class MissingLines(LackingLines):
    """Theory lacks lines that nature has, or has them too weak."""

    name: Literal["missing_lines"] = "missing_lines"

    def cases(self) -> Mapping[str, Twist]:
        """One."""
        return {"": self.lacking}


class FewStars(LackingLines):
    """Missing lines, with few stars to learn them from."""

    name: Literal["few_stars"] = "few_stars"
    stars: tuple[Annotated[int, Field(ge=16)], ...] = Field(
        default=(30, 60, 120, 300),
        min_length=2,
        description="stars that train; those that score are always the same",
    )

    def cases(self) -> Mapping[str, Twist]:
        """One for each number of stars."""
        return {f"{stars:d}": replace(self.lacking, stars=stars) for stars in self.stars}


class TwoSurveys(LackingLines):
    """The same stars through two instruments, each with half of the lines that theory lacks."""

    name: Literal["two_surveys"] = "two_surveys"
    second: str = Field(
        default="embedded:stelib", min_length=1, description="survey whose instrument the second one has"
    )

    def cases(self) -> Mapping[str, Twist]:
        """One, of two surveys."""
        return {"": replace(self.lacking, second=self.second)}


class LabelShift(ScenarioConfig):
    """Placebos whose stars drift away from the grid's population."""

    name: Literal["label_shift"] = "label_shift"
    drifts: tuple[float, ...] = Field(
        default=(0.0, 0.5, 1.0, 1.5),
        min_length=2,
        description="standard deviations along simulation.direction",
    )

    def cases(self) -> Mapping[str, Twist]:
        """One for each drift."""
        return {f"{drift:g}": Twist(drift=drift) for drift in self.drifts}


class OtherPhysics(ScenarioConfig):
    """Nature is another grid: other lines, atmospheres or a non-LTE."""

    name: Literal["other_physics"] = "other_physics"
    nature: str = Field(
        min_length=1, description="shard of a grid with the same labels and a physics of its own"
    )

    def cases(self) -> Mapping[str, Twist]:
        """One."""
        return {"": Twist(nature=self.nature)}


class Instrument(ScenarioConfig):
    """Placebos whose instrument is not what its files say."""

    name: Literal["instrument"] = "instrument"
    line_spread: float = Field(default=1.05, gt=0, description="width of lines over the width that is stated")
    zero_point: float = Field(default=0.0, description="offset of all wavelengths in km/s")
    stretch: float = Field(
        default=25.0,
        description="offset of wavelengths in km/s at the red end; the blue end has the opposite",
    )
    noise: float = Field(default=1.3, gt=0, description="noise over the noise that is stated")

    def cases(self) -> Mapping[str, Twist]:
        """One for each defect that there is."""
        wrong = {
            "line_spread": Defects(line_spread=self.line_spread),
            "wavelength": Defects(zero_point=self.zero_point, stretch=self.stretch),
            "noise": Defects(noise=self.noise),
        }
        return {key: Twist(defects=defects) for key, defects in wrong.items() if defects != Defects()}


SCENARIOS: dict[str, type[ScenarioConfig]] = {
    "placebo": Placebo,
    "missing_lines": MissingLines,
    "label_shift": LabelShift,
    "other_physics": OtherPhysics,
    "instrument": Instrument,
    "few_stars": FewStars,
    "two_surveys": TwoSurveys,
}
"""Every kind of scenario; ``name`` in a table ``[scenarios.<name>]`` chooses one, by default the table's own name."""

if TYPE_CHECKING:
    AnyScenario = ScenarioConfig
else:
    AnyScenario = choice(SCENARIOS, "placebo")

Ablation = Annotated[str, Field(pattern=f"^({'|'.join(ABLATIONS)})$")]


class ProveConfig(Section):
    """A bench: surveys, scenarios, trainings."""

    seed: int = Field(default=20, description="of every draw, and of the training unless that has its own")
    draws: int = Field(default=200, ge=10, description="bootstrap samples for an error")
    ablations: tuple[Ablation, ...] = Field(
        default=(), description="parts of the morph to be left out in turn"
    )
    networks: NetworksConfig = NetworksConfig()
    simulation: SimulationConfig = SimulationConfig()
    scenarios: dict[str, AnyScenario] = Field(min_length=1, description="by a name of their own")
    training: dict[str, Any] = Field(default={}, description="settings of `synth2obs train`")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, tree: Any) -> Any:
        """A table of a scenario's own name need not repeat it."""
        tables = tree.get("scenarios") if isinstance(tree, Mapping) else None
        if not isinstance(tables, Mapping):
            return tree
        named = {
            key: {"name": key, **table} if isinstance(table, Mapping) and key in SCENARIOS else table
            for key, table in tables.items()
        }
        return {**tree, "scenarios": named}

    @field_validator("scenarios")
    @classmethod
    def _names(cls, scenarios: dict[str, Any]) -> dict[str, Any]:
        """They name folders and metrics."""
        for name in scenarios:
            require_name(name, "scenario")
        return scenarios
