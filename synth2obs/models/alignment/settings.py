"""Settings that all ways to find a morph share."""

from pydantic import Field

from synth2obs.models.alignment.flow import FlowConfig


class AlignmentConfig(FlowConfig):
    """Size of a morph, and how it and the densities beside it are taught."""

    name: str
    steps: int = Field(default=150, ge=0, description="Adam steps")
    learning_rate: float = Field(
        default=2e-3, gt=0, description="of the first step; falls to 0 on half a cosine"
    )
    gated: bool = Field(
        default=True,
        description="whether a morph stays only if validation stars ask for it and keep their labels",
    )
    displacement: float = Field(default=0.3, ge=0, description="weight of E|T(u) - u|²")
    jacobian: float = Field(default=3.0, ge=0, description="weight of E|∂T/∂u - I|²")


class DensityConfig(FlowConfig):
    """Size of a density."""

    hidden: int = Field(default=24, ge=1, description="width of the two hidden layers of each conditioner")
