"""Settings of a training, read from TOML; an unknown key is refused."""

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Where spectra come from and how stars are split."""

    grid: str = Field(default="embedded:optical_grid", description="shard of the grid")
    surveys: dict[str, str] = Field(
        default={"miles": "embedded:miles", "stelib": "embedded:stelib"}, description="shard of each survey"
    )
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
    held_out_grid: float = Field(default=0.14, gt=0, lt=0.5, description="share of grid spectra held out")


class ModelConfig(Section):
    """Sizes of the networks."""

    latent: int = Field(default=32, ge=4, le=128)
    rank: int = Field(default=128, ge=4, le=512)
    hidden: int = Field(default=512, ge=4, description="radial units of the decoder's branch")
    kernel_length: float = Field(default=2.0, gt=0)
    gap_degree: int = Field(default=2, ge=0, le=2)
    continuum_order: int = Field(default=14, ge=0, le=40)
    morph_layers: int = Field(default=2, ge=0)
    morph_hidden: int = Field(default=32, ge=1)
    density_layers: int = Field(default=2, ge=0)
    density_hidden: int = Field(default=24, ge=1)


class TheoryConfig(Section):
    """Stage A: decoder and label branch on the grid."""

    steps: int = Field(default=400, ge=0)
    learning_rate: float = Field(default=0.01, gt=0, description="of the latents, one as wide as the first")
    spectra: int = Field(
        default=600, ge=8, description="spectra whose latents are optimised; time grows with their cube"
    )


class LatentConfig(Section):
    """Stage B: shared latent; the branch is refined through every survey's instrument."""

    steps: int = Field(default=60, ge=0)
    batch: int = Field(default=12, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0)
    width_stars: int = Field(default=40, ge=4, description="stars used to fit each survey's line width")
    widths: tuple[float, ...] = Field(
        default=(0.9, 1.0, 1.1), min_length=3, description="first widths to try, evenly spaced"
    )


class LabelsConfig(Section):
    """Stage C, first half: labels of the training stars by theory, and the noise theory leaves."""

    iterations: int = Field(default=2, ge=1)


class MorphConfig(Section):
    """Stage C, second half: morphs and densities by maximum likelihood."""

    steps: int = Field(default=150, ge=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    displacement: float = Field(default=0.3, ge=0, description="weight of E|T(u) - u|²")
    jacobian: float = Field(default=3.0, ge=0, description="weight of E|∂T/∂u - I|²")


class GapConfig(Section):
    """Stage D: gaps in closed form, alternating with labels."""

    iterations: int = Field(default=2, ge=1)
    scale: float = Field(default=0.05, gt=0)
    window: int = Field(default=200, ge=8, description="cells over which the prior width is learned")
    outlier: float = Field(
        default=4.0, gt=1, description="stars above this multiple of the median χ² are left out"
    )


class CriticConfig(Section):
    """Stage E: adversarial refinement of gap and scatter."""

    steps: int = Field(default=24, ge=0)
    batch: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    strength: float = Field(default=2e-5, ge=0, description="rms change of the gap in one step, in flux")
    penalty: float = Field(default=1.0, ge=0, description="weight of the R1 penalty")


class EvaluationConfig(Section):
    """Stage F: held-out stars, baselines, placebo."""

    examples: int = Field(default=4, ge=1)
    lines: int = Field(default=15, ge=1)
    placebo_scale: float = Field(default=250.0, gt=0, description="signal to noise per pixel of the placebo")


class TrainConfig(Section):
    """Everything that determines a training."""

    seed: int = 20
    threads: int = Field(default=2, ge=1)
    checkpoint_every: int = Field(default=20, ge=1)
    model_name: str = Field(default="optical", pattern=r"^[\w.-]+$")
    population: bool = Field(default=True, description="use the stellar-evolution prior")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    theory: TheoryConfig = TheoryConfig()
    latent: LatentConfig = LatentConfig()
    labels: LabelsConfig = LabelsConfig()
    morph: MorphConfig = MorphConfig()
    gap: GapConfig = GapConfig()
    critic: CriticConfig = CriticConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
