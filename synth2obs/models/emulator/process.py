"""Gaussian process from labels to latents, with a kernel that knows which labels act linearly."""

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor, nn

from synth2obs.core.labels import LabelSpace
from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import Differences
from synth2obs.models.emulator.carbon import FreeCarbon
from synth2obs.models.emulator.evidence import learn
from synth2obs.models.emulator.posterior import left_out_spread, open_covariance, open_variance
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.emulator.settings import EmulatorConfig
from synth2obs.models.emulator.structured import Pulled, StructuredKernel, slopes
from synth2obs.models.projection.memo import Memo

KEPT = 3
"""Preparations that are kept: inputs of the centres, the factor and the products."""

AGAIN = 5
"""A fit that begins with settings learned before takes so many times fewer steps."""


class ProcessConfig(EmulatorConfig):
    """Settings of the Gaussian process."""

    name: Literal["process"] = Field(default="process", description="entry of the registry")
    core: int = Field(default=4, ge=1, description="first labels, which change how elements act: the star's")
    steps: int = Field(default=150, ge=0, description="Adam steps of the kernel's settings")
    learned_from: int = Field(
        default=400,
        ge=8,
        description="spectra that the kernel's settings are learned from; all take part in the fit",
    )


@shaped
class ProcessEmulator(nn.Module):
    r"""Mean of a Gaussian process given the grid's spectra and, where there are any, its gradient spectra.

    .. math:: h(x) = \bar u + \sum_n k(x, x_n)\, \alpha_n

    with the kernel of `structured` in the labels and, where a grid has C and O, in free carbon (`carbon`); its settings
    by marginal likelihood. A gradient spectrum is the exact difference of
    two spectra; so it is a linear observation of the process, and both ends are centres.

    Args:
        labels: Number of labels K.
        latent: Length D.
        spectra: Number of grid spectra N.
        config: Kernel.
    """

    Config: ClassVar[Any] = ProcessConfig
    carried: ClassVar[tuple[str, ...]] = ("carbon", "kernel")

    centres: Tensor
    ends: Tensor
    alpha: Tensor
    end_alpha: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, labels: int, latent: int, spectra: int, config: Any = None) -> None:
        super().__init__()
        self.config: ProcessConfig = config or ProcessConfig()
        self.core = min(self.config.core, labels)
        self.kernel = StructuredKernel(self.core, labels - self.core)
        self.carbon = FreeCarbon(labels)
        for name, shape in {
            "centres": (spectra, labels),
            "alpha": (spectra, latent),
            "ends": (0, labels),
            "end_alpha": (0, latent),
            "mean": (latent,),
            "spread": (latent, latent),
        }.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self._memo = Memo(KEPT)

    def attach(self, space: LabelSpace, scale: LabelScale) -> None:
        """Be told names and scale of the labels, before a fit: free carbon becomes the last of the core labels."""
        if self.carbon.attach(space, scale):
            self.kernel = StructuredKernel(self.core + 1, len(space) - self.core)

    @property
    def spectra(self) -> int:
        """Number of grid spectra."""
        return len(self.centres)

    @property
    def known(self) -> Float64[Tensor, "stars labels"]:
        """Scaled labels of the spectra that it was fitted to, shape (N, K)."""
        return self.centres

    @property
    def places(self) -> Float64[Tensor, "rows labels"]:
        """Scaled labels of spectra and ends of differences, shape (N + 2R, K)."""
        return torch.cat([self.centres, self.ends])

    @property
    def weights(self) -> Float64[Tensor, "rows latents"]:
        """α of all `places`."""
        return torch.cat([self.alpha, self.end_alpha])

    def forward(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents"]:
        """Latents, shape (B, D), of scaled labels (float64), shape (B, K)."""
        inputs, pulled = self._inputs(x), self._products()
        level = self.kernel.level(inputs, pulled.centres) @ pulled.weights
        return self.mean + self.kernel.grown(inputs)[:, None] * level

    def jacobian(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents labels"]:
        """∂h/∂x, shape (B, D, K)."""
        core, at = self.kernel.core, self._inputs(x)
        inner = slopes(self.kernel, at, self._products())
        grown = (self(x) - self.mean)[:, :, None] * self.kernel.growth
        slope = self.kernel.by_labels(at, torch.cat([inner[:, :, :core] + grown, inner[:, :, core:]], dim=2))
        if not self.carbon.known:
            return slope
        by_carbon = slope[:, :, self.core, None] * self.carbon.slope(x)[:, None, :]
        return torch.cat([slope[:, :, : self.core], slope[:, :, core:]], dim=2) + by_carbon

    def covariance(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents latents"]:
        """Of the error of h(x), shape (B, D, D): the process's variance, in the unit of left-out spectra."""
        own = self.kernel.own(self._inputs(x)) + self.kernel.variance
        left = open_variance(self._factor(), self._cross(x), own)
        return left[:, None, None] * self.spread

    def open_covariance(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars stars"]:
        """Between the errors at labels (B, K), relative to one another, (B, B): what the fit leaves open."""
        inputs = self._inputs(x)
        return open_covariance(self._factor(), self._cross(x), self.kernel(inputs, inputs))

    @torch.no_grad()
    def fit(
        self,
        x: Float64[Tensor, "stars labels"],
        latent: Float[Tensor, "stars latents"],
        weight: Float[Tensor, " latents"],
        differences: Differences | None = None,
    ) -> None:
        """Learn the kernel, then fit in closed form.

        Args:
            x: Scaled labels, shape (N, K), float64.
            latent: Latents of the same spectra, shape (N, D).
            weight: Flux that one unit of each latent moves (rms over pixels), shape (D,); what moves more flux counts
                more for the kernel.
            differences: Of latents between pairs of labels, from gradient spectra.
        """
        self.centres.copy_(x)
        if self.carbon.known and not bool(self.kernel.learned):
            self.carbon.learn(x)
        self.mean.copy_(latent.double().mean(0))
        targets = latent.double() - self.mean
        rows = torch.linspace(0, len(x) - 1, min(len(x), self.config.learned_from)).round().long()
        steps = self.config.steps // AGAIN if bool(self.kernel.learned) else self.config.steps
        learn(self.kernel, self._labels(x[rows]), (targets * weight.double())[rows], steps)
        if differences is not None:
            self.ends = torch.cat([differences.upper, differences.lower])
            targets = torch.cat([targets, differences.change.double()])
        self._solve(targets)

    def _solve(self, targets: Tensor) -> None:
        """Weights of all places from what was observed there, (N + R, D)."""
        design = _differenced(torch.eye(len(self.places), dtype=torch.float64), self.spectra)
        factor = self._factor()
        weights = design @ torch.cholesky_solve(targets, factor)
        self.alpha, self.end_alpha = weights[: self.spectra].clone(), weights[self.spectra :].clone()
        self.spread.copy_(left_out_spread(factor, targets, self.spectra))

    def _cross(self, x: Tensor) -> Tensor:
        """Kernel between labels (B, K) and what was observed, (B, N + R)."""
        return _differenced(self.kernel(self._inputs(x), self._centres()), self.spectra)

    def _inputs(self, x: Tensor) -> Tensor:
        """Acting labels of the kernel of labels (B, K)."""
        return self.kernel.acting(self._labels(x))

    def _labels(self, x: Tensor) -> Tensor:
        """Core labels, free carbon if it is known, and elements."""
        if not self.carbon.known:
            return x
        return torch.cat([x[:, : self.core], self.carbon(x)[:, None], x[:, self.core :]], dim=1)

    def _centres(self) -> Tensor:
        """Inputs of all `places`, kept until these change."""
        parts = self.centres, self.ends, self.kernel.gain, *self.carbon.buffers()
        return self._memo.get(("centres",), parts, lambda: self._inputs(self.places))

    def _factor(self) -> Tensor:
        """Lower Cholesky factor of the kernel matrix of what was observed, kept until that or the kernel changes."""
        parts = (*self.kernel.parameters(), *self.carbon.buffers(), self.centres, self.ends)
        return self._memo.get(("factor",), parts, lambda: torch.linalg.cholesky(self._observed()))

    def _observed(self) -> Tensor:
        """Kernel matrix of what was observed, (N + R, N + R).

        A difference has the noise of a spectrum times the square of its share of the labels' spread.
        """
        places, count = self._centres(), self.spectra
        kernel = _differenced(_differenced(self.kernel(places, places), count).T, count)
        half = len(self.ends) // 2
        apart = (self.ends[:half] - self.ends[half:]).square().sum(1)
        white = torch.cat([torch.ones(count, dtype=apart.dtype), apart.clamp(max=2.0)])
        return kernel + torch.diag(self.kernel.variance * white)

    def _products(self) -> Pulled:
        """Centres, and weights times what they have grown by, kept until one changes."""

        def make() -> Pulled:
            places = self._centres()
            return Pulled(self.weights * self.kernel.grown(places)[:, None], places)

        parts = self.alpha, self.end_alpha, self._centres(), self.kernel.growth
        return self._memo.get(("products",), parts, make)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As many ends as were saved."""
        for name in ("ends", "end_alpha"):
            saved = state.get(prefix + name)
            if saved is not None:
                setattr(self, name, torch.zeros_like(saved))
        super()._load_from_state_dict(state, prefix, *rest)


def _differenced(columns: Tensor, spectra: int) -> Tensor:
    """Columns (B, N + 2R) of places as columns (B, N + R) of observations: upper minus lower ends."""
    upper, lower = (
        columns[:, spectra:].chunk(2, dim=1) if columns.shape[1] > spectra else (columns[:, :0],) * 2
    )
    return torch.cat([columns[:, :spectra], upper - lower], dim=1)
