r"""A kernel between labels that knows what labels do to spectra.

Labels are a few *core* labels z (Teff, log g, [Fe/H], vmic), which change everything, and elements d, which act almost
linearly, with a response that depends on the core labels. With R = 1 / (1 + r²/2), a rational quadratic of a scaled
distance r (Rasmussen & Williams 2006, eq. 4.19), and :math:`q = \sum_e w_e^2 d_e d'_e`,

.. math::
    k(x, x') = e^{\beta^T (z + z')} \left[ a R_0(z, z') + (b + q)\, R_1(z, z') R_2(d, d')
               + c\,(1 + z^T z') + g\, q \right] .

R₀ is the star whose elements follow iron; R₁ says how fast an element's response changes with the core labels, R₂ how
its lines saturate; :math:`e^{\beta^T z}`, that cool, metal-rich spectra vary more than others. Before all that,
:math:`d_e` is multiplied by :math:`e^{\gamma_e^T z}` (`StructuredKernel.acting`): the lines of an element grow with the
core labels at a rate of its own, by ionisation, excitation and the abundance of iron that d is relative to.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from synth2obs.core.shapes import shaped

SHARE = 0.1
"""Of the linear terms at the start."""

JITTER = 1e-6
"""Least variance of the noise, relative to the kernel: weights that cancel further have no digits left."""


LARGEST = 3.0
"""Bound of |γᵀz|, reached smoothly: far from the grid no element acts e³ times as strongly."""


class Radii(NamedTuple):
    """Values of R₀, R₁, R₂ between stars and centres, shape (B, N) each; −2 ∂R/∂r² is R²."""

    core: Tensor
    response: Tensor
    saturation: Tensor


@shaped
class StructuredKernel(nn.Module):
    """The kernel above between acting labels; its settings are logarithms, but for β and γ.

    Args:
        core: Number of core labels, which come first.
        elements: Number of labels after them.
    """

    length: Tensor
    strength: Tensor
    reach: Tensor
    amplitude: Tensor
    growth: Tensor
    gain: Tensor
    noise: Tensor
    learned: Tensor

    def __init__(self, core: int, elements: int) -> None:
        super().__init__()
        self.core = core
        starts = {
            "length": torch.ones(2, core),
            "strength": torch.full((elements,), -2.5),
            "reach": torch.full((elements,), -3.0),
            "amplitude": torch.tensor([0.0, -1.0, 0.0, -1.0]),
            "growth": torch.zeros(core),
            "gain": torch.zeros(elements, core),
            "noise": torch.tensor(-8.6),
        }
        for name, start in starts.items():
            self.register_parameter(name, nn.Parameter(start.double(), requires_grad=False))
        self.register_buffer("learned", torch.zeros((), dtype=torch.bool))

    def acting(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars labels"]:
        """Core labels, and elements times exp(γᵀz), shape (B, K)."""
        z, d = x[:, : self.core], x[:, self.core :]
        return torch.cat([z, d * (LARGEST * self._bounded(z)).exp()], dim=1)

    def by_labels(
        self, acting: Float64[Tensor, "stars labels"], slope: Float64[Tensor, "stars latents labels"]
    ) -> Float64[Tensor, "stars latents labels"]:
        """Slopes (B, D, K) by acting labels (B, K) as slopes by the labels that they were made of."""
        bounded = self._bounded(acting[:, : self.core])
        near, far = slope[:, :, : self.core], slope[:, :, self.core :]
        moved = acting[:, self.core :] * (1.0 - bounded.square())
        near = near + (far * moved[:, None, :]) @ self.gain
        return torch.cat([near, far * (LARGEST * bounded).exp()[:, None, :]], dim=2)

    def _bounded(self, z: Tensor) -> Tensor:
        return (z @ self.gain.T / LARGEST).tanh()

    def scales(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inverse lengths of R₀ and R₁ in the core labels and of R₂ in the elements, shapes (C,), (C,), (E,)."""
        inverse = (-self.length).exp()
        return inverse[0], inverse[1], self.reach.exp()

    def radii(self, x: Float64[Tensor, "stars labels"], y: Float64[Tensor, "rows labels"]) -> Radii:
        """R₀, R₁, R₂ between labels (B, K) and (N, K)."""
        z, d = x[:, : self.core], x[:, self.core :]
        pairs = (z, y[:, : self.core]), (z, y[:, : self.core]), (d, y[:, self.core :])
        return Radii(*(_rational(a * s, b * s) for (a, b), s in zip(pairs, self.scales(), strict=True)))

    def products(self, x: Float64[Tensor, "stars labels"], y: Float64[Tensor, "rows labels"]) -> Tensor:
        """Q of the elements, shape (B, N)."""
        return self._weighted(x) @ y[:, self.core :].T

    def _weighted(self, x: Tensor) -> Tensor:
        """Elements times w², (B, E)."""
        return x[:, self.core :] * (2.0 * self.strength).exp()

    def grown(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, " stars"]:
        """Exp(βᵀz), shape (B,)."""
        return (x[:, : self.core] @ self.growth).exp()

    def forward(self, x: Float64[Tensor, "stars labels"], y: Float64[Tensor, "rows labels"]) -> Tensor:
        """Covariance without noise between labels, (B, K) and (N, K) → (B, N)."""
        return self.level(x, y).mul(self.grown(x)[:, None]).mul(self.grown(y))

    def level(self, x: Float64[Tensor, "stars labels"], y: Float64[Tensor, "rows labels"]) -> Tensor:
        """What the brackets of k hold, that is k but for its exponential, shape (B, N)."""
        a, b, c, g = self.amplitude.exp()
        radii, weighted = self.radii(x, y), self._weighted(x)
        share = SHARE * torch.cat([c * x[:, : self.core], g * weighted], dim=1)
        linear = torch.addmm(SHARE * c, share, y.T)
        response = torch.addmm(b, weighted, y[:, self.core :].T)
        return linear.addcmul_(radii.response * radii.saturation, response).addcmul_(radii.core, a)

    def own(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, " stars"]:
        """k(x, x), shape (B,)."""
        a, b, c, g = self.amplitude.exp()
        z, d = x[:, : self.core], x[:, self.core :]
        q = (d.square() * (2.0 * self.strength).exp()).sum(1)
        inner = a + b + q + SHARE * (c * (1.0 + z.square().sum(1)) + g * q)
        return inner * self.grown(x).square()

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As many core labels and elements as were saved; the same gain for all where none was."""
        length, strength = state.get(prefix + "length"), state.get(prefix + "strength")
        if length is not None and strength is not None:
            state.setdefault(prefix + "gain", length.new_zeros(len(strength), length.shape[1]))
        for name, own in self.named_parameters():
            saved = state.get(prefix + name)
            if saved is not None and saved.shape != own.shape:
                setattr(self, name, nn.Parameter(torch.zeros_like(saved), requires_grad=False))
        self.core = self.length.shape[1]
        super()._load_from_state_dict(state, prefix, *rest)

    @property
    def variance(self) -> Float64[Tensor, ""]:
        """Of the noise."""
        return self.noise.exp() + JITTER * self.amplitude.exp().sum()


def _rational(a: Tensor, b: Tensor) -> Tensor:
    """R between rows (B, K) and (N, K): 1 / (1 + r²/2), r² by one product, the rest in place."""
    far = torch.addmm(1.0 + 0.5 * b.square().sum(1), a, b.T, alpha=-1.0)
    return far.add_(0.5 * a.square().sum(1)[:, None]).clamp_(min=1.0).reciprocal_()


@shaped
class Pulled:
    """Products of weights and centres that `slopes` needs again and again.

    Args:
        weights: Weights of the centres, shape (N, D).
        centres: Labels of the centres, shape (N, K).
    """

    def __init__(
        self, weights: Float64[Tensor, "rows latents"], centres: Float64[Tensor, "rows labels"]
    ) -> None:
        self.weights, self.centres = weights, centres
        self.products = weights[:, :, None] * centres[:, None, :]

    def by(self, factor: Tensor, labels: slice) -> tuple[Tensor, Tensor]:
        """Σ_n f_bn α_nd, (B, D), and Σ_n f_bn α_nd x_nk of some labels, (B, D, k), for factors (B, N)."""
        part = self.products[:, :, labels]
        return factor @ self.weights, (factor @ part.flatten(1)).unflatten(1, part.shape[1:])


@shaped
def slopes(
    kernel: StructuredKernel, x: Float64[Tensor, "stars labels"], pulled: Pulled
) -> Float64[Tensor, "stars latents labels"]:
    """∂/∂x of Σ_n k(x, x_n) α_n in acting labels but for the growth's own slope, shape (B, D, K).

    Args:
        kernel: Its settings.
        x: Acting labels, shape (B, K).
        pulled: Of the weights times exp(βᵀz_n), and the centres.
    """
    a, b, c, g = kernel.amplitude.exp()
    (r0, r1, r2), q = kernel.radii(x, pulled.centres), kernel.products(x, pulled.centres)
    scales = [scale.square() for scale in kernel.scales()]
    core, rest = slice(0, kernel.core), slice(kernel.core, None)
    near = _inward(pulled, a * r0.square(), x, core, scales[0])
    near = near + _inward(pulled, r1.square() * r2 * (b + q), x, core, scales[1])
    near = near + SHARE * c * pulled.products[:, :, core].sum(0)
    far = _inward(pulled, r1 * r2.square() * (b + q), x, rest, scales[2])
    far = far + (2.0 * kernel.strength).exp() * pulled.by(r1 * r2 + SHARE * g, rest)[1]
    return torch.cat([near, far], dim=2) * kernel.grown(x)[:, None, None]


def _inward(pulled: Pulled, factor: Tensor, x: Tensor, labels: slice, scale: Tensor) -> Tensor:
    """−Σ_n f_bn α_nd (x_bk − x_nk) s_k: what a radial function's slope f contributes, shape (B, D, k)."""
    weights, products = pulled.by(factor, labels)
    return scale * (products - weights[:, :, None] * x[:, None, labels])
