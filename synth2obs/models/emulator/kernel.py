"""Labels to latent, h(y): with the decoder this is the emulator of the grid."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class KernelEmulator(nn.Module):
    r"""Kernel ridge regression of latents on sensitivity-scaled labels.

    .. math::
        h(x) = \sum_n \alpha_n \left(1 + \tfrac{|Mx - Mx_n|^2}{2\ell^2}\right)^{-1} + (Mx)^T \beta + \gamma

    M scales each label by the linear response of the spectrum to it, which matters more than the
    regressor: it halves the error at equal cost. ``docs/decoder.md`` has the comparison with networks.

    Args:
        labels: Number of labels K.
        latent: Length D.
        centres: Number of grid spectra N.
        length: Kernel length ℓ, in units of the most important label's standard deviation.
    """

    relevance: Tensor
    centres: Tensor
    alpha: Tensor
    beta: Tensor
    gamma: Tensor

    def __init__(self, labels: int, latent: int, centres: int, length: float = 2.0) -> None:
        super().__init__()
        self.length = length
        for name, shape in {
            "relevance": (labels,),
            "centres": (centres, labels),
            "alpha": (centres, latent),
            "beta": (labels, latent),
            "gamma": (latent,),
        }.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def _kernel(self, scaled: Tensor) -> Tensor:
        squared = torch.cdist(scaled, self.centres).square()
        return 1.0 / (1.0 + squared / (2.0 * self.length**2))

    def forward(self, x: Tensor) -> Tensor:
        """Latents, shape (B, D), of scaled labels (float64), shape (B, K)."""
        scaled = x * self.relevance
        return self._kernel(scaled) @ self.alpha + scaled @ self.beta + self.gamma

    def jacobian(self, x: Tensor) -> Tensor:
        """∂h/∂x, shape (B, D, K)."""
        scaled = x * self.relevance
        slope = -self._kernel(scaled).square() / self.length**2
        products = (self.alpha[:, :, None] * self.centres[:, None]).flatten(1)
        pulled = (slope @ products).unflatten(1, (-1, x.shape[1]))
        jacobian = scaled[:, None, :] * (slope @ self.alpha)[:, :, None] - pulled + self.beta.T
        return jacobian * self.relevance

    @torch.no_grad()
    def fit(self, x: Tensor, latent: Tensor, weight: Tensor, ridge: float = 1e-3) -> None:
        """Closed-form fit.

        Args:
            x: Scaled labels, shape (N, K), float64.
            latent: Latents of the same spectra, shape (N, D).
            weight: Flux that one unit of each latent moves (rms over pixels), shape (D,); it sets the
                sensitivities in flux, not in latent units.
            ridge: Regularisation relative to the kernel's own amplitude of one.
        """
        latent = latent.double()
        self.relevance.copy_(_relevance(x, latent * weight.double()))
        self.centres.copy_(x * self.relevance)
        linear = 10.0
        gram = self._kernel(self.centres) + linear * (1.0 + self.centres @ self.centres.T)
        factor = torch.linalg.cholesky(gram + ridge * torch.eye(len(x), dtype=torch.float64))
        self.alpha.copy_(torch.cholesky_solve(latent, factor))
        self.beta.copy_(linear * self.centres.T @ self.alpha)
        self.gamma.copy_(linear * self.alpha.sum(0))


def _relevance(x: Tensor, response: Tensor) -> Tensor:
    """Root mean square linear response to each label, as a share of the largest, shape (K,)."""
    design = torch.cat([torch.ones_like(x[:, :1]), x], dim=1)
    normal = design.T @ design + 0.1 * torch.eye(design.shape[1], dtype=x.dtype)
    slopes = torch.cholesky_solve(design.T @ response, torch.linalg.cholesky(normal))[1:]
    size = slopes.square().sum(1).sqrt()
    return size / size.max()


def cross_validate(
    emulator: KernelEmulator, x: Tensor, latent: Tensor, weight: Tensor, folds: Sequence[Tensor]
) -> Tensor:
    """Latents predicted for spectra that were left out of the fit, shape (N, D).

    Args:
        emulator: Gives the kernel's length.
        x: Scaled labels, shape (N, K), float64.
        latent: Latents of the same spectra, shape (N, D).
        weight: As for `KernelEmulator.fit`, shape (D,).
        folds: Disjoint index tensors that cover all spectra.
    """
    predicted = torch.empty_like(latent, dtype=torch.float64)
    for fold in folds:
        keep = torch.ones(len(x), dtype=torch.bool)
        keep[fold] = False
        part = KernelEmulator(x.shape[1], latent.shape[1], int(keep.sum()), emulator.length)
        part.fit(x[keep], latent[keep], weight)
        predicted[fold] = part(x[fold])
    return predicted
