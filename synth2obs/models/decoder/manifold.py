r"""Latents of a grid and a Gaussian process from them to its spectra, found together: where a decoder comes from.

Spectra with D free labels lie on a D-dimensional manifold. A Gaussian process latent variable model (Lawrence 2005,
JMLR 6, 1783) finds coordinates on it without the labels, by maximum likelihood in the latents U themselves:

.. math::
    -\ln p = \tfrac{M}{2} \ln |K| + \tfrac12 \mathrm{tr}(K^{-1} C C^T) + \tfrac12 |U|^2 ,\qquad
    K_{nm} = a\,\phi(u_n, u_m) + b\, u_n^T u_m + c + s^2 \delta_{nm}

with φ of `branch.Radial`. C are coefficients of the spectra in any orthonormal basis: only their products enter,
so that pixels cost nothing. The mean of the process is the decoder's branch, in closed form.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.models.decoder.branch import Branch, radial

IMPORTANCE = 0.75
"""Latents start with the standard deviation of the flux that they move, to this power."""

JITTER = 1e-9
"""Relative to the kernel's amplitude: what keeps a kernel matrix positive in double precision."""


@shaped
class Hyper(NamedTuple):
    """Settings of the kernel, all positive; lengths in units of the first latent's standard deviation at the start."""

    amplitude: Float[Tensor, ""]
    length: Float[Tensor, ""]
    tilt: Float[Tensor, ""]
    linear: Float[Tensor, ""]
    constant: Float[Tensor, ""]
    noise: Float[Tensor, ""]

    def kernel(
        self, a: Float[Tensor, "stars latents"], b: Float[Tensor, "units latents"]
    ) -> Float[Tensor, "stars units"]:
        """Covariance without noise between latents, (N, D) and (M, D) → (N, M)."""
        return self.amplitude * radial(a, b, self.length, self.tilt) + self.linear * a @ b.T + self.constant

    def gram(self, latents: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars stars"]:
        """Covariance with noise among latents, (N, D) → (N, N)."""
        white = (self.noise + JITTER) * torch.eye(len(latents), dtype=latents.dtype, device=latents.device)
        return self.kernel(latents, latents) + white


START = (1.0, 4.0, 0.3, 1.0, 1.0, 1e-5)
"""`Hyper` before training; the variance of a coefficient is one."""


@shaped
class Manifold(nn.Module):
    """Latents of the spectra of a grid, and the kernel, as parameters in float64.

    Args:
        coefficients: Of the spectra about their mean in an orthonormal basis, shape (N, M); any unit.
        latent: Number of latents D < N.

    Raises:
        ValueError: If there are too few spectra.
    """

    products: Tensor
    spread: Tensor

    def __init__(self, coefficients: Float[Tensor, "stars outputs"], latent: int) -> None:
        super().__init__()
        if len(coefficients) <= latent:
            raise ValueError(
                f"latent must be below the number of spectra, got {latent} for {len(coefficients)}; lower it"
            )
        scaled = coefficients.double()
        scaled = scaled / scaled.square().mean().sqrt()
        self.outputs = scaled.shape[1]
        self.register_buffer("products", scaled @ scaled.T)
        start = start_latents(scaled, latent)
        self.register_buffer("spread", start.std(0))
        self.latents = nn.Parameter(start)
        self.logs = nn.Parameter(torch.tensor(START, dtype=torch.float64).log())

    def hyper(self) -> Hyper:
        """The kernel."""
        return Hyper(*self.logs.exp())

    def forward(self) -> tuple[Float64[Tensor, ""], Float64[Tensor, ""]]:
        """Negative log posterior per coefficient without its constant, and the rms error left out, in units of all's.

        The second is of every spectrum predicted from its latent and all others (Rasmussen & Williams 2006, eq. 5.12).
        """
        factor = torch.linalg.cholesky(self.hyper().gram(self.latents))
        inverse = torch.cholesky_inverse(factor)
        count = len(self.latents) * self.outputs
        fit = self.outputs * factor.diagonal().log().sum() + 0.5 * (inverse * self.products).sum()
        prior = 0.5 * (self.latents / self.spread).square().sum()
        with torch.no_grad():
            pulled = (inverse @ self.products * inverse).sum(1) / inverse.diagonal().square()
        return (fit + prior) / count, (pulled.sum() / count).sqrt()

    @torch.no_grad()
    def into(
        self,
        branch: Branch,
        targets: Float[Tensor, "stars functions"],
        latents: Float[Tensor, "stars latents"] | None = None,
        first: int | None = None,
    ) -> None:
        """Put the mean of the process given some spectra into a branch whose latents are white.

        Of more spectra than the branch has units, evenly spaced ones become centres; all take part in the fit
        (subset of regressors, Rasmussen & Williams 2006, eq. 8.14).

        Args:
            branch: Overwritten.
            targets: Coefficients of the trunk, shape (N, K).
            latents: Of the same spectra, in this manifold's own coordinates; None: those found here.
            first: Centres are among the first so many; None: among all.
        """
        points, hyper = self.latents if latents is None else latents, self.hyper()
        count = len(points) if first is None else first
        units = min(count, branch.inner.out_features)
        centres = points[torch.linspace(0, count - 1, units).round().long()]
        weights = _regressed(hyper, points, centres, targets.double())
        mean = self.latents.mean(0)
        scale = torch.linalg.cholesky((self.latents - mean).T @ (self.latents - mean) / len(self.latents))
        slope = hyper.linear * weights.T @ centres
        inner = branch.inner
        inner.weight.copy_(scale)
        inner.bias.copy_(mean)
        inner.length.copy_(hyper.length)
        inner.tilt.copy_(hyper.tilt)
        inner.centres.zero_()[:units] = centres
        branch.outer.weight.zero_()[:, :units] = hyper.amplitude * weights.T
        branch.skip.copy_(slope @ scale)
        branch.offset.copy_(slope @ mean + hyper.constant * weights.sum(0))


def _regressed(hyper: Hyper, points: Tensor, centres: Tensor, targets: Tensor) -> Tensor:
    """Weights of the centres, shape (M, K)."""
    if len(centres) == len(points):
        return torch.cholesky_solve(targets, torch.linalg.cholesky(hyper.gram(points)))
    inner = hyper._replace(noise=JITTER * torch.ones_like(hyper.noise)).gram(centres)
    penalty = hyper.noise.sqrt() * torch.linalg.cholesky(inner).T
    design = torch.cat([hyper.kernel(points, centres), penalty])
    zeros = torch.zeros_like(targets[:1]).expand(len(centres), -1)
    return _least_squares(design, torch.cat([targets, zeros]))


def _least_squares(design: Tensor, targets: Tensor) -> Tensor:
    """By QR, because torch.linalg.lstsq on several threads gives other bits in every call."""
    q, r = torch.linalg.qr(design)
    return torch.linalg.solve_triangular(r, q.mT @ targets, upper=True)


@shaped
def start_latents(
    coefficients: Float64[Tensor, "stars outputs"], latent: int
) -> Float64[Tensor, "stars latents"]:
    """Nonlinear principal components in closed form, shape (N, D).

    The first D/8 latents are principal components. The next ones are those of what a kernel regression on the latents
    so far, each spectrum left out in turn, does not predict; and so on by doubling. So no latent is spent on what
    follows from others.

    Args:
        coefficients: Shape (N, M), float64.
        latent: Number of latents D.
    """
    directions = coefficients.new_zeros(0, coefficients.shape[1])
    left = coefficients
    for count in sorted({max(1, latent // 8), max(1, latent // 4), max(1, latent // 2), latent}):
        left = left - left @ directions.T @ directions
        found = torch.linalg.svd(left, full_matrices=False)[2][: count - len(directions)]
        directions = torch.linalg.qr(torch.cat([directions, found]).T)[0].T
        latents = _scaled(coefficients @ directions.T)
        hyper = Hyper(*torch.tensor((*START[:5], 1e-4), dtype=coefficients.dtype))
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(hyper.gram(latents)))
        left = inverse @ coefficients / inverse.diagonal()[:, None]
    return latents


def _scaled(latents: Tensor) -> Tensor:
    spread = latents.std(0)
    return latents / spread * (spread / spread.max()) ** IMPORTANCE
