"""What a bridge knows of one survey: morph, gap, density, noise, width of lines and distortion of wavelengths."""

from typing import cast

import torch
from jaxtyping import Float, Float64, Int, Shaped
from pydantic import Field
from torch import Tensor, nn

from synth2obs.core.config import Section
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.shapes import shaped
from synth2obs.core.wavelengths import bands
from synth2obs.models import alignment, gap
from synth2obs.models.alignment import ALIGNMENTS, AnyAlignmentConfig
from synth2obs.models.alignment.density import FlowDensity
from synth2obs.models.alignment.settings import AlignmentConfig, DensityConfig
from synth2obs.models.contracts import Alignment, GapModel, RestFrameDecoder
from synth2obs.models.distortion import WavelengthDistortion
from synth2obs.models.gap import GAPS, AnyGapConfig
from synth2obs.models.gap.posterior import GapConfig
from synth2obs.models.gap.reading import LabelReading
from synth2obs.models.label_map import LabelMap
from synth2obs.models.layout import Coefficients, Layout
from synth2obs.models.noise.survey_noise import SurveyNoise
from synth2obs.models.projection.shared import Functions, Through
from synth2obs.physics.broadening import Broadening
from synth2obs.physics.continuum import ContinuumConfig
from synth2obs.physics.instrument import Instrument

ALIGNMENT = cast(AlignmentConfig, ALIGNMENTS[alignment.DEFAULT].Config())
GAP = cast(GapConfig, GAPS[gap.DEFAULT].Config())
"""What is meant where a configuration says nothing."""


class SurveyConfig(Section):
    """What a survey's model is made of."""

    latent: int = Field(ge=1, description="length D of the latent")
    samples: int = Field(ge=1, description="length L of the rest grid")
    layer: str = Field(default="", description="of the rest frame that the survey sees; empty: the first")
    continuum: ContinuumConfig = ContinuumConfig()
    morph: AnyAlignmentConfig = ALIGNMENT
    density: DensityConfig = DensityConfig()
    gap: AnyGapConfig = GAP


SHIFTED = {"teff": 200.0, "logg": 0.4, "fe_h": 0.3, "vmic": 0.5}
"""Labels of which all stars may need a shift, and the width of its prior: what nothing but lines that agree tells."""

LSF_SHAPE = ("lsf_hermite", "lsf_kernel", "lsf_offset")
"""What describes a line spread that is no Gaussian."""


@shaped
class SurveyModel(nn.Module):
    """One survey's parts; the identity, without gap, until it is trained.

    Args:
        config: Sizes.
        wavelength: The survey's usual native pixels in vacuum Å, shape (P,).
        segment: Detector of each pixel, shape (P,).
        line_spread: The survey's usual one at these pixels, a single group.
    """

    wavelength: Float64[Tensor, " pixels"]
    segment: Int[Tensor, " pixels"]
    lsf_sigma: Float64[Tensor, " pixels"]
    lsf_hermite: Tensor | None
    lsf_kernel: Tensor | None
    lsf_offset: Tensor | None
    width_scale: Tensor
    width_scale_error: Tensor
    unexplained: Float[Tensor, " cells"]
    shift: Tensor
    shift_error: Tensor
    distortion: WavelengthDistortion
    noise: SurveyNoise
    label_map: LabelMap
    morph: Alignment
    gap: GapModel

    def __init__(
        self,
        config: SurveyConfig,
        wavelength: Float[Tensor, " pixels"],
        segment: Shaped[Tensor, " pixels"],
        line_spread: LineSpread,
    ) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("wavelength", wavelength.double())
        self.register_buffer("segment", segment.long())
        for name, values in _buffers(line_spread).items():
            self.register_buffer(name, values)
        self.register_buffer("width_scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("width_scale_error", torch.full((), torch.nan, dtype=torch.float64))
        for name in ("shift", "shift_error"):
            self.register_buffer(name, torch.full((len(SHIFTED),), torch.nan, dtype=torch.float64))
        self.register_buffer("unexplained", torch.zeros(config.samples))
        self.distortion = WavelengthDistortion(self.wavelength, self.segment)
        self.noise = SurveyNoise()
        self.label_map = LabelMap()
        self.morph = make_morph(config.latent, config.morph)
        self.density = FlowDensity(config.latent, config.density).double()
        self.gap = make_gap(LabelReading(config.latent), config.samples, config.gap)

    @property
    def line_spread(self) -> LineSpread:
        """The usual line spread, of one star."""
        shape = {name.removeprefix("lsf_"): getattr(self, name) for name in LSF_SHAPE}
        return LineSpread.single(self.lsf_sigma, **shape)

    @property
    def true_wavelength(self) -> Float64[Tensor, " pixels"]:
        """Where the usual pixels really are in vacuum Å, the survey's distortion taken out."""
        return self.distortion.corrected(self.wavelength, self.segment)

    @property
    def correlation(self) -> float:
        """Neighbouring pixels that carry one pixel's information, where theory's error is all the noise there is."""
        return self.noise.pixels(float(self.wavelength.log().diff().median()))

    def native(self) -> tuple[Tensor, ...]:
        """What the usual pixels and line spread are made of."""
        shape = (getattr(self, name) for name in LSF_SHAPE)
        always = self.wavelength, self.segment, self.lsf_sigma, self.width_scale, self.distortion.weight
        return (*always, *(part for part in shape if part is not None))

    def layout(self, decoder: RestFrameDecoder) -> Layout:
        """Columns of this survey's functions and of their coefficients."""
        return Layout(decoder.rank, self.gap.size)

    def through(
        self,
        decoder: RestFrameDecoder,
        instrument: Instrument,
        segment: Int[Tensor, " pixels"],
        width: float = 1.0,
    ) -> Through:
        """Coefficients → native pixels that all stars share; see `project` for the functions.

        Args:
            decoder: Of the rest frame.
            instrument: With shared pixels.
            segment: Their detectors, shape (P,).
            width: Factor on the survey's σ beside ``width_scale``.
        """
        return Through(instrument, self.functions(decoder), float(self.width_scale) * width, segment)

    def functions(
        self, decoder: RestFrameDecoder, broadening: Broadening | None = None, step: float = 0.0
    ) -> Functions:
        """Rest-frame functions of theory and gap; those of rotating stars with a broadening that all share.

        Args:
            decoder: Of the rest frame.
            broadening: What all stars share.
            step: Spacing of the rest grid in ln λ; for a broadening.
        """
        parts = bands(decoder.rest_wavelength.numpy())
        still = Functions(decoder.functions(), self.gap.mean.T, parts)
        return still if broadening is None else still.broadened(broadening, step)

    def project(
        self,
        decoder: RestFrameDecoder,
        instrument: Instrument,
        rv: Float[Tensor, " stars"],
        stars: Int[Tensor, " stars"] | None = None,
        broadening: Broadening | None = None,
        width: float = 1.0,
    ) -> Float[Tensor, "stars pixels columns"]:
        """All functions in native pixels in the order of `layout`, shape (B, P, 1 + K + F).

        Theory passes the whole instrument. The gap was measured in the survey's own spectra, so only the shift and the
        pixels act on it: it is at the survey's resolution, not at the grid's, whatever the ``width``, a factor on the
        survey's σ beside ``width_scale``. A broadening that all stars share acts on both.
        """
        rest = self.functions(decoder, broadening, instrument.step)
        theory = instrument.project(rest.sharp, rv, float(self.width_scale) * width, stars)
        return torch.cat([theory, instrument.project(rest.seen, rv, 0.0, stars)], dim=-1)

    def spreads(
        self, instrument: Instrument, rv: Float[Tensor, " stars"], stars: Int[Tensor, " stars"] | None = None
    ) -> tuple[Float[Tensor, "stars pixels"], Float[Tensor, "stars pixels"]]:
        """σ in native pixels, in units of the continuum: that by which a fit weighs a pixel, and that of what is left.

        Where theory fails it fails in its gradients, too, and a gap that is right on average does not mend these: such
        pixels weigh no more than theory's own errors allow, whatever the gap leaves. Both are widths of residuals,
        which no line spread or broadening acts on.
        """
        left = self.gap.scatter
        both = torch.stack([torch.maximum(left, self.unexplained), left], dim=1).sqrt()
        weigh, leave = instrument.project(both, rv, 0.0, stars).unbind(-1)
        return weigh, leave

    def holds_scatter(self) -> bool:
        """Whether there is any error of theory to reckon with."""
        return bool(self.gap.scatter.any()) or bool(self.unexplained.any())

    def coefficients(self, decoder: RestFrameDecoder, u: Float[Tensor, "stars latents"]) -> Coefficients:
        """Coefficients of what `project` gives, but the scatter, at survey latents u (float64), and ∂/∂u."""
        slopes = decoder.weights_jacobian(u), self.gap.features_jacobian(u)
        return Coefficients(self.value(decoder, u), torch.cat([torch.zeros_like(u)[:, None], *slopes], dim=1))

    def value(
        self, decoder: RestFrameDecoder, u: Float[Tensor, "stars latents"]
    ) -> Float[Tensor, "stars coefficients"]:
        """The value of `coefficients` alone, shape (B, M)."""
        return self.layout(decoder).join(decoder.weights(u), self.gap.features(u))


def make_morph(latent: int, config: AlignmentConfig) -> Alignment:
    """The morph that a configuration names, the identity, in float64."""
    morph = ALIGNMENTS[config.name](latent, config)
    assert isinstance(morph, nn.Module)
    return cast(Alignment, morph.double())


def make_gap(reading: LabelReading, cells: int, config: GapConfig) -> GapModel:
    """The gap model that a configuration names, zero."""
    return GAPS[config.name](reading, cells, config)


def _buffers(spread: LineSpread) -> dict[str, Tensor | None]:
    """A line spread of one group as tensors, by the names of their buffers."""
    rows = {"lsf_sigma": spread.sigma[0], "lsf_offset": spread.offset}
    for name in ("hermite", "kernel"):
        profile = getattr(spread, name)
        rows[f"lsf_{name}"] = None if profile is None else profile[0]
    return {
        name: None if rows[name] is None else torch.tensor(rows[name], dtype=torch.float64)
        for name in ("lsf_sigma", *LSF_SHAPE)
    }
