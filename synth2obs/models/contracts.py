"""What the parts of a model promise each other: read this first.

The way of a spectrum is labels x → `Emulator` → latent u → `Alignment` (the morph T) → `RestFrameDecoder` and
`GapModel` → coefficients in the order of `layout.Layout` → native pixels. Each registry (`emulator.EMULATORS`,
`alignment.ALIGNMENTS`, `gap.GAPS`) maps names to classes that keep one of these promises; ``tests/laws`` holds every
entry to them. N or B stars, K labels, D latents, L rest-frame cells, F features of the gap.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from synth2obs.core.shapes import shaped


class Module(Protocol):
    """The part of `torch.nn.Module` that others rely on."""

    def state_dict(self) -> dict[str, Any]:
        """All tensors by name; they say all that was learned."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Put them back."""
        ...

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What an optimiser may move."""
        ...


class RestFrameDecoder(Module, Protocol):
    """Latents → rest-frame flux, linear in functions of wavelength that all stars share."""

    rest_wavelength: Float64[Tensor, " cells"]  # vacuum Å
    rest_sigma: Float64[Tensor, " cells"]  # σ of the grid's own resolution in Å
    latent: int
    rank: int

    def __call__(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars cells"]:
        """Normalised flux on the rest grid, (B, D) → (B, L)."""
        ...

    def functions(self) -> Float[Tensor, "cells columns"]:
        """Mean and trunk on the rest grid, shape (L, 1 + K)."""
        ...

    def weights(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars functions"]:
        """Coefficients of the trunk, (B, D) → (B, K), in the precision of u."""
        ...

    def weights_jacobian(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars functions latents"]:
        """∂weights/∂u, shape (B, K, D)."""
        ...


@shaped
class Differences(NamedTuple):
    """What gradient spectra say: how latents differ between two ends, R pairs."""

    upper: Float64[Tensor, "pairs labels"]  # scaled labels of one end
    lower: Float64[Tensor, "pairs labels"]  # and of the other
    change: Float[Tensor, "pairs latents"]  # latents of the upper end minus those of the lower


class Emulator(Module, Protocol):
    """Scaled labels → latents, fitted to a grid.

    A class attribute ``carried`` may name modules to start from. A method ``attach(space, scale)``, if there is one, is
    told names and scale of the labels before the first fit; what it makes of them belongs into the state.
    """

    Config: ClassVar[Any]
    config: Any

    def __init__(self, labels: int, latent: int, spectra: int, config: Any = None) -> None:
        """Not fitted yet; ``spectra`` is the number of grid spectra that it will be fitted to."""
        ...

    @property
    def spectra(self) -> int:
        """Number of grid spectra that it is made for."""
        ...

    @property
    def known(self) -> Float64[Tensor, "stars labels"]:
        """Scaled labels of the spectra that it was fitted to, shape (N, K)."""
        ...

    def __call__(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents"]:
        """Latents of scaled labels, float64, (B, K) → (B, D)."""
        ...

    def jacobian(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents labels"]:
        """∂u/∂x, shape (B, D, K)."""
        ...

    def fit(
        self,
        x: Float64[Tensor, "stars labels"],
        latent: Float[Tensor, "stars latents"],
        weight: Float[Tensor, " latents"],
        differences: Differences | None = None,
    ) -> None:
        """Fit to latents (N, D) of scaled labels (N, K); ``weight`` (D,) is the flux that each latent moves.

        Differences from gradient spectra are used by emulators that can.
        """
        ...

    def covariance(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents latents"]:
        """Of the error of the latents at scaled labels, (B, K) → (B, D, D)."""
        ...


class Morph(Module, Protocol):
    """A map of the latent space that carries the grid's latents to the survey's: T."""

    def __call__(
        self, u: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """T(u), shape (B, D), and ln|det ∂T/∂u|, shape (B,)."""
        ...

    def inverse(
        self, v: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """T⁻¹(v), and minus the log-determinant there."""
        ...

    def jacobian(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars latents latents"]:
        """∂T/∂u, shape (B, D, D)."""
        ...


class Density(Module, Protocol):
    """A density of latents."""

    def log_prob(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, " stars"]:
        """Ln p(u), shape (B,)."""
        ...

    def to_noise(
        self, u: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """Noise of latents, (B, D), and the log-determinant, (B,)."""
        ...

    def from_noise(
        self, noise: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """Latents of noise, and the log-determinant."""
        ...


@shaped
class EncodedStars(NamedTuple):
    """What a morph is taught from: stars of a survey as their spectra and as their labels place them."""

    source: Float[Tensor, "stars latents"]  # theory's latents h(x) of the stars' labels
    latent: Float[Tensor, "stars latents"]  # latents encoded from their spectra
    precision: Float[Tensor, "stars latents latents"]  # inverse covariance of these


class Alignment(Morph, Protocol):
    """A way to find a survey's morph; it starts at the identity."""

    Config: ClassVar[Any]
    config: Any

    def __init__(self, latent: int, config: Any = None) -> None:
        """The identity of D latents."""
        ...

    def attach(self, source: Density, target: Density) -> None:
        """Be told the densities of the grid's and of the survey's latents, which are learned beside."""
        ...

    def loss(
        self, stars: EncodedStars, probes: Float[Tensor, "probes stars latents"]
    ) -> tuple[Float[Tensor, ""], Mapping[str, Float[Tensor, ""]]]:
        """What a step lowers, a scalar, and its unweighted terms by name.

        Args:
            stars: Training stars.
            probes: Random directions for norms of Jacobians, shape (K, N, D).
        """
        ...


@shaped
class LabelSlopes(NamedTuple):
    """What a shift of labels does to stars' spectra.

    Args:
        change: ∂r/∂label of J labels in units of the widths of their priors, continuum refitted, shape (J, N, L).
        samples: Cells that carry one cell's information, because a line spread joins them.
    """

    change: Float[Tensor, "moved stars cells"]
    samples: float


@shaped
class GapPosterior(NamedTuple):
    r"""Posterior of the gap in L cells for F features, float64.

    Args:
        mean: :math:`E[D_k(\lambda)]`, shape (F, L).
        covariance: Shape (L, F, F).
        log_evidence: :math:`\ln p(r(\lambda))` with D integrated out, shape (L,).
        scatter: Intrinsic variance :math:`s_d^2(\lambda)` beyond the noise, shape (L,).
        prior_variance: :math:`\tau_k^2(\lambda)`, shape (F, L).
        log_evidence_null: The same likelihood and scatter with D = 0, shape (L,).
        shift: Shift of J labels with M of the features, in widths of its prior, shape (J, M); empty if none was sought.
        shift_covariance: Of it, shape (J M, J M).
    """

    mean: Float64[Tensor, "features cells"]
    covariance: Float64[Tensor, "cells features features"]
    log_evidence: Float64[Tensor, " cells"]
    scatter: Float64[Tensor, " cells"]
    prior_variance: Float64[Tensor, "features cells"]
    log_evidence_null: Float64[Tensor, " cells"]
    shift: Float64[Tensor, "moved linear"]
    shift_covariance: Float64[Tensor, "moves moves"]


class GapModel(Module, Protocol):
    """A survey's gap Δ, linear in a few features of its latents, with a posterior; zero until it is fitted."""

    Config: ClassVar[Any]
    config: Any
    reading: Any
    size: int  # F
    used: Tensor  # how many of them are not held at zero
    sizes: tuple[int, ...]  # numbers of first features with which it can make do, in order; empty: all it has
    mean: Float[Tensor, "features cells"]
    scatter: Float[Tensor, " cells"]  # intrinsic variance

    def __init__(self, reading: Any, cells: int, config: Any = None) -> None:
        """No gap in L cells; ``reading`` is a `gap.reading.LabelReading`."""
        ...

    def features(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars features"]:
        """Features at survey latents, (B, D) → (B, F)."""
        ...

    def features_jacobian(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars features latents"]:
        """∂features/∂u, shape (B, F, D)."""
        ...

    def __call__(self, features: Float[Tensor, "stars features"]) -> Float[Tensor, "stars cells"]:
        """Mean gap, (B, F) → (B, L), in units of the continuum."""
        ...

    def variance(self, features: Float[Tensor, "stars features"]) -> Float[Tensor, "stars cells"]:
        """Its posterior variance, shape (B, L)."""
        ...

    def slopes(self) -> Mapping[str, Float[Tensor, " cells"]]:
        """Change of the mean gap with a standard deviation of a label, by the label's name, shape (L,) each."""
        ...

    def posterior(
        self,
        residual: Float[Tensor, "stars cells"],
        ivar: Float[Tensor, "stars cells"],
        features: Float[Tensor, "stars features"],
        slopes: LabelSlopes | None = None,
    ) -> GapPosterior:
        """Posterior given residuals (N, L) from the prediction without gap, their ivar, and features (N, F).

        With slopes, a shift of labels common to all stars is told from the gap.
        """
        ...

    def update(self, posterior: GapPosterior) -> None:
        """Take a posterior over."""
        ...

    def use(self, count: int) -> None:
        """Make do with the first features, one of ``sizes``, from the next posterior on."""
        ...


@shaped
class PriorTerms(NamedTuple):
    """Half χ² of a prior at some parameters, its gradient and a positive semidefinite curvature."""

    value: Float[Tensor, " stars"]
    gradient: Float[Tensor, "stars parameters"]
    curvature: Float[Tensor, "stars parameters parameters"]


class Prior(Protocol):
    """What is known of scaled labels before a spectrum is seen."""

    def __call__(self, x: Float[Tensor, "stars labels"]) -> PriorTerms:
        """Half χ², gradient and curvature at scaled labels (B, K)."""
        ...
