"""What a bridge knows of one survey: morph, gap, density, noise and the survey's own width of lines."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synth2obs.core.line_spread import LineSpread
from synth2obs.core.wavelengths import bands
from synth2obs.models.alignment.density import Density
from synth2obs.models.alignment.flow import FlowConfig
from synth2obs.models.alignment.morph import Morph
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.fit.objective import Coefficients
from synth2obs.models.gap.model import Gap
from synth2obs.models.projection.shared import Functions, Through
from synth2obs.physics.instrument import Instrument

BEND = 2.5
"""Labels in the gap's features level off at this many grid standard deviations: it never runs away."""

JACOBIAN_STEP = 1e-5


@dataclass(frozen=True, kw_only=True)
class SurveyConfig:
    """Sizes of a survey's parts.

    Args:
        latent: Length D of the latent.
        samples: Length L of the rest grid.
        gap_degree: Degree of the gap in (Teff, log g, [Fe/H]): 0, 1 or 2.
        continuum_order: Degree of the Chebyshev continuum on each detector.
        morph_layers, morph_hidden: Size of the morph; 0 layers leave its affine part alone.
        density_layers, density_hidden: Size of the density.
    """

    latent: int
    samples: int
    gap_degree: int = 1
    continuum_order: int = 16
    morph_layers: int = 2
    morph_hidden: int = 32
    density_layers: int = 4
    density_hidden: int = 32

    @property
    def features(self) -> int:
        """Number of features of the gap."""
        return (1, 4, 10)[self.gap_degree]


LSF_SHAPE = ("lsf_hermite", "lsf_kernel", "lsf_offset")
"""What describes a line spread that is no Gaussian."""


class SurveyModel(nn.Module):
    """One survey's parts; the identity, without gap, until it is trained.

    Args:
        config: Sizes.
        wavelength: The survey's usual native pixels in vacuum Å, shape (P,).
        segment: Detector of each pixel, shape (P,).
        line_spread: The survey's usual one at these pixels, a single group.
    """

    wavelength: Tensor
    segment: Tensor
    lsf_sigma: Tensor
    lsf_hermite: Tensor | None
    lsf_kernel: Tensor | None
    lsf_offset: Tensor | None
    width_scale: Tensor
    width_scale_error: Tensor
    correlation: Tensor
    readout: Tensor

    def __init__(
        self,
        config: SurveyConfig,
        wavelength: Tensor,
        segment: Tensor,
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
        self.register_buffer("correlation", torch.ones((), dtype=torch.float64))
        self.register_buffer("readout", torch.zeros(3, config.latent, dtype=torch.float64))
        self.morph = Morph(
            config.latent, FlowConfig(layers=config.morph_layers, hidden=config.morph_hidden)
        ).double()
        self.density = Density(
            config.latent, config=FlowConfig(layers=config.density_layers, hidden=config.density_hidden)
        ).double()
        self.gap = Gap(config.features, config.samples)

    @property
    def line_spread(self) -> LineSpread:
        """The usual line spread, of one star."""
        shape = {name.removeprefix("lsf_"): getattr(self, name) for name in LSF_SHAPE}
        return LineSpread.single(self.lsf_sigma, **shape)

    def native(self) -> tuple[Tensor, ...]:
        """What the usual pixels and line spread are made of."""
        shape = (getattr(self, name) for name in LSF_SHAPE)
        always = self.wavelength, self.segment, self.lsf_sigma, self.width_scale
        return (*always, *(part for part in shape if part is not None))

    def sharp(self, decoder: Decoder) -> Tensor:
        """Functions that the line spread acts on: mean and trunk on the rest grid, shape (L, 1 + K)."""
        return torch.cat([decoder.mean[:, None], decoder.trunk.table()], dim=1)

    def seen(self) -> Tensor:
        """Functions that are already as the survey sees them: gap and scatter, shape (L, F + 1)."""
        return torch.cat([self.gap.mean.T, self.gap.scatter.sqrt()[:, None]], dim=1)

    def through(self, decoder: Decoder, instrument: Instrument, segment: Tensor) -> Through:
        """Coefficients → native pixels that all stars share; see `project` for the functions.

        Args:
            decoder: Of the rest frame.
            instrument: With shared pixels.
            segment: Their detectors, shape (P,).
        """
        parts = bands(decoder.rest_wavelength.numpy())
        functions = Functions(self.sharp(decoder), self.seen()[:, :-1], parts)
        return Through(instrument, functions, float(self.width_scale), segment)

    def project(
        self, decoder: Decoder, instrument: Instrument, rv: Tensor, stars: Tensor | None = None
    ) -> Tensor:
        """All functions in native pixels, shape (B, P, 1 + K + F + 1): mean, trunk, gap, scatter.

        Theory passes the whole instrument. Gap and scatter were measured in the survey's own spectra, so only
        the shift and the pixels act on them: they are at the survey's resolution, not at the grid's.
        """
        sharp = instrument.project(self.sharp(decoder), rv, float(self.width_scale), stars)
        return torch.cat([sharp, instrument.project(self.seen(), rv, 0.0, stars)], dim=-1)

    def features(self, u: Tensor) -> Tensor:
        """The gap's features at survey latents u, shape (B, F)."""
        return _features(self._labels(u)[0], self.config.gap_degree)[0]

    def coefficients(self, decoder: Decoder, u: Tensor) -> Coefficients:
        """Coefficients of what `project` gives, but the scatter, at survey latents u (float64), and ∂/∂u."""
        bent, by_u = self._labels(u)
        slope = _features(bent, self.config.gap_degree)[1]
        narrow = u.to(decoder.branch.skip.dtype)
        jacobian = torch.cat(
            [torch.zeros_like(u)[:, None], decoder.branch.jacobian(narrow).to(u.dtype), slope @ by_u], dim=1
        )
        return Coefficients(self.value(decoder, u), jacobian)

    def value(self, decoder: Decoder, u: Tensor) -> Tensor:
        """The value of `coefficients` alone, shape (B, M)."""
        narrow = u.to(decoder.branch.skip.dtype)
        return torch.cat(
            [torch.ones_like(u[:, :1]), decoder.branch(narrow).to(u.dtype), self.features(u)], dim=1
        )

    def without_gap(self, coefficients: Tensor) -> Tensor:
        """The same coefficients (B, M), or their Jacobian (B, M, Q), with those of the gap at zero."""
        return torch.cat(
            [
                coefficients[:, : -self.config.features],
                torch.zeros_like(coefficients[:, -self.config.features :]),
            ],
            dim=1,
        )

    def _labels(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised (5040 K / Teff, log g, [Fe/H]) read linearly from u, bent at ±BEND; and ∂/∂u."""
        bent = BEND * torch.tanh(u @ self.readout.T / BEND)
        return bent, (1.0 - (bent / BEND).square())[..., None] * self.readout

    def morph_jacobian(self, u: Tensor) -> Tensor:
        """∂T/∂u by forward differences in float64, shape (B, D, D)."""
        batch, dim = u.shape
        shifted = u[:, None, :] + JACOBIAN_STEP * torch.eye(dim, dtype=u.dtype)
        moved = self.morph(shifted.reshape(-1, dim))[0].view(batch, dim, dim)
        return ((moved - self.morph(u)[0][:, None]) / JACOBIAN_STEP).mT


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


def _features(values: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """Polynomial features of three values, shape (B, F), and their Jacobian (B, F, 3)."""
    count, size = values.shape
    eye = torch.eye(size, dtype=values.dtype)
    parts, slopes = [torch.ones_like(values[:, :1])], [values.new_zeros(count, 1, size)]
    if degree >= 1:
        parts.append(values)
        slopes.append(eye.expand(count, -1, -1))
    if degree >= 2:
        rows, columns = torch.triu_indices(size, size).unbind()
        parts.append(values[:, rows] * values[:, columns])
        slopes.append(eye[rows] * values[:, columns, None] + eye[columns] * values[:, rows, None])
    return torch.cat(parts, dim=1), torch.cat(slopes, dim=1)
