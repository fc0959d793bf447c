"""Invertible maps of the latent space: a survey's morph and the density of its stars.

The only module that knows nflows. Its coupling layers are used with scales that are exactly one, and shifts
that are exactly zero, at the start of training.
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from synth2obs.core.config import Section
from synth2obs.core.shapes import shaped
from synth2obs.models.alignment.without_plots import without_pyplot

# nflows imports pyplot and never uses it; whoever morphs needs no plots.
with without_pyplot():
    from nflows.distributions.normal import DiagonalNormal
    from nflows.flows.base import Flow
    from nflows.transforms.base import CompositeTransform, Transform
    from nflows.transforms.coupling import (
        AdditiveCouplingTransform,
        AffineCouplingTransform,
        CouplingTransform,
        PiecewiseRationalQuadraticCouplingTransform,
    )


class FlowConfig(Section):
    """A chain of coupling layers, after an optional affine map of all dimensions."""

    layers: int = Field(
        default=2, ge=0, description="coupling layers; an even number treats all dimensions alike"
    )
    hidden: int = Field(default=32, ge=1, description="width of the two hidden layers of each conditioner")
    kind: Literal["affine", "additive", "spline"] = Field(
        default="affine", description="Real NVP, NICE, or rational quadratic splines within ±tail"
    )
    linear: bool = Field(default=True, description="whether a global matrix and shift come first")
    max_log_scale: float = Field(
        default=1.0, gt=0, description="bound on |ln scale| of a layer: keeps the inverse accurate in float32"
    )
    bins: int = Field(default=8, ge=2, description="spline bins per dimension")
    tail: float = Field(
        default=5.0, gt=0, description="half width of the splines; they are the identity outside"
    )


class Conditioner(nn.Module):
    """Parameters of a coupling layer from the dimensions that it leaves alone; zero at the start."""

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden_features = hidden  # nflows scales spline parameters by its square root
        self.net = _zero_ended_mlp(inputs, outputs, hidden)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        """Parameters, shape (B, outputs), from inputs (B, inputs); nflows passes a context, here always None."""
        parameters: Tensor = self.net(inputs)
        return parameters


class BoundedAffineCoupling(AffineCouplingTransform):
    """``v = u·exp(s) + t`` with ``s = m·tanh(a/m)``: identity at ``a = t = 0``, ``|s| < m``."""

    def __init__(self, mask: Tensor, net: Callable[[int, int], nn.Module], *, max_log_scale: float) -> None:
        super().__init__(mask, net)
        self.max_log_scale = max_log_scale

    def _scale_and_shift(self, transform_params: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = transform_params.tensor_split([self.num_transform_features], dim=1)
        return torch.exp(self.max_log_scale * torch.tanh(raw / self.max_log_scale)), shift


@shaped
class AffineMap(Transform):
    """``v = L·U·u + b``, L unit lower, U upper triangular with diagonal ``exp(d)``; starts as the identity.

    Every matrix whose leading minors are positive has this form; those near the identity do.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.lower = nn.Parameter(torch.zeros(dim, dim))
        self.upper = nn.Parameter(torch.zeros(dim, dim))
        self.log_diagonal = nn.Parameter(torch.zeros(dim))
        self.shift = nn.Parameter(torch.zeros(dim))

    def factors(self) -> tuple[Float[Tensor, "latents latents"], Float[Tensor, "latents latents"]]:
        """The triangular matrices L and U, shape (D, D) each."""
        one = torch.eye(len(self.shift), dtype=self.shift.dtype, device=self.shift.device)
        return self.lower.tril(-1) + one, self.upper.triu(1) + torch.diag(self.log_diagonal.exp())

    def forward(
        self, inputs: Float[Tensor, "stars latents"], context: Tensor | None = None
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """``v`` and ``ln|det|``, shapes (B, D) and (B,); the context is ignored."""
        lower, upper = self.factors()
        return inputs @ upper.T @ lower.T + self.shift, self.log_diagonal.sum().expand(len(inputs))

    def inverse(
        self, inputs: Float[Tensor, "stars latents"], context: Tensor | None = None
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """``u`` and minus ``ln|det|``, by two triangular solves."""
        lower, upper = self.factors()
        half = torch.linalg.solve_triangular(lower, (inputs - self.shift).T, upper=False, unitriangular=True)
        u = torch.linalg.solve_triangular(upper, half, upper=True).T
        return u, -self.log_diagonal.sum().expand(len(inputs))

    @torch.no_grad()
    def set(self, matrix: Float[Tensor, "latents latents"], shift: Float[Tensor, " latents"]) -> None:
        """Make the map ``v = matrix·u + shift``; L and U follow from it."""
        lower, upper = _lu(matrix)
        self.lower.copy_(lower.tril(-1))
        self.upper.copy_(upper.triu(1))
        self.log_diagonal.copy_(upper.diagonal().log())
        self.shift.copy_(shift)


def _lu(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """LU factors without pivoting, in float64; pivots must be positive."""
    upper = matrix.detach().double().clone()
    lower = torch.eye(len(upper), dtype=upper.dtype, device=upper.device)
    for k in range(len(upper)):
        if not upper[k, k] > 0:
            raise ValueError(
                f"leading minor {k + 1} of matrix is not positive (pivot {upper[k, k]:.3g}); "
                "a morph must keep the orientation of every leading subspace, reorder or regularise the map"
            )
        lower[k + 1 :, k] = upper[k + 1 :, k] / upper[k, k]
        upper[k + 1 :] -= lower[k + 1 :, k : k + 1] * upper[k]
    return lower, upper.triu()


def _zero_ended_mlp(inputs: int, outputs: int, hidden: int) -> nn.Sequential:
    """Two hidden layers; the output is exactly zero until trained."""
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last)


def _masks(dim: int, layers: int) -> Iterator[Tensor]:
    """Halves of the dimensions that split by each bit of their index in turn, then by its complement.

    Any two dimensions fall on different sides of some mask, and no permutation has to be undone.
    """
    index, bits = torch.arange(dim), max((dim - 1).bit_length(), 1)
    for layer in range(layers):
        yield ((index >> (layer // 2) % bits) + layer) % 2


Net = Callable[[int, int], nn.Module]


def _affine(mask: Tensor, net: Net, config: FlowConfig) -> CouplingTransform:
    return BoundedAffineCoupling(mask, net, max_log_scale=config.max_log_scale)


def _additive(mask: Tensor, net: Net, config: FlowConfig) -> CouplingTransform:
    return AdditiveCouplingTransform(mask, net)


def _spline(mask: Tensor, net: Net, config: FlowConfig) -> CouplingTransform:
    layer = PiecewiseRationalQuadraticCouplingTransform(
        mask, net, num_bins=config.bins, tails="linear", tail_bound=config.tail
    )
    # Equal bins with unit slopes at the knots are the identity; nflows adds its minimum to softplus(slope).
    slope = math.log(math.expm1(1.0 - layer.min_derivative))
    bias = layer.transform_net.net[-1].bias.data.view(layer.num_transform_features, -1)
    bias[:, 2 * config.bins :] = slope
    return layer


COUPLINGS: dict[str, Callable[[Tensor, Net, FlowConfig], CouplingTransform]] = {
    "affine": _affine,
    "additive": _additive,
    "spline": _spline,
}


def coupling_chain(dim: int, config: FlowConfig) -> CompositeTransform:
    """The affine map, if any, then the coupling layers; the identity at the start."""
    if dim < 2:
        raise ValueError(f"dim must be >= 2 for a coupling flow, got {dim}")

    def net(inputs: int, outputs: int) -> nn.Module:
        return Conditioner(inputs, outputs, config.hidden)

    layers: list[Transform] = [AffineMap(dim)] if config.linear else []
    layers += [COUPLINGS[config.kind](mask, net, config) for mask in _masks(dim, config.layers)]
    return CompositeTransform(layers)


def density_flow(dim: int, config: FlowConfig) -> Flow:
    """A flow from latents to normal noise, whose mean and width are learned, too."""
    return Flow(coupling_chain(dim, config), DiagonalNormal([dim]))
