"""Settings of a training, read from TOML; every section stands beside the code that it is for."""

from typing import Any

from pydantic import Field, model_validator

from synth2obs.core.config import Section
from synth2obs.core.names import PATTERN
from synth2obs.models.alignment import AnyAlignmentConfig
from synth2obs.models.alignment.settings import DensityConfig
from synth2obs.models.decoder.decoder import DecoderConfig
from synth2obs.models.emulator import DEFAULT as EMULATOR
from synth2obs.models.emulator import EMULATORS, AnyEmulatorConfig
from synth2obs.models.gap import AnyGapConfig
from synth2obs.models.survey import ALIGNMENT, GAP
from synth2obs.physics.continuum import ContinuumConfig
from synth2obs.training.domains import DataConfig
from synth2obs.training.evaluation_config import EvaluationConfig, ThresholdsConfig
from synth2obs.training.renamed import renamed
from synth2obs.training.stages.anchors import AnchorsConfig
from synth2obs.training.stages.critic import CriticConfig
from synth2obs.training.stages.instrument import LatentConfig
from synth2obs.training.stages.labels import LabelsConfig
from synth2obs.training.stages.theory import TheoryConfig


class TrainConfig(Section):
    """Everything that determines a training."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, tree: Any) -> Any:
        return renamed(tree)

    seed: int = Field(default=20, description="of every random number and of the split of stars")
    threads: int = Field(
        default=2,
        ge=1,
        description="of torch and BLAS, at most: never more than CPUs are free to the process",
    )
    checkpoint_every: int = Field(default=20, ge=1, description="steps between checkpoints")
    model_name: str = Field(
        default="optical", pattern=f"^{PATTERN}$", description="name in the model registry"
    )
    population: bool = Field(default=True, description="use the stellar-evolution prior")
    data: DataConfig = DataConfig()
    decoder: DecoderConfig = DecoderConfig()
    emulator: AnyEmulatorConfig = EMULATORS[EMULATOR].Config()
    continuum: ContinuumConfig = ContinuumConfig()
    density: DensityConfig = DensityConfig()
    theory: TheoryConfig = TheoryConfig()
    latent: LatentConfig = LatentConfig()
    labels: LabelsConfig = LabelsConfig()
    morph: AnyAlignmentConfig = ALIGNMENT
    gap: AnyGapConfig = GAP
    critic: CriticConfig = CriticConfig()
    anchors: AnchorsConfig = AnchorsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    thresholds: ThresholdsConfig = ThresholdsConfig()
