"""A decoder from the spectra of a grid, and what principal components would do."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.decoder.manifold import Manifold
from synth2obs.models.decoder.parts import Part, encode_parts


@shaped
def evenly(rows: Shaped[Tensor, "stars ..."], count: int) -> Shaped[Tensor, "chosen ..."]:
    """At most ``count`` of some rows, evenly spaced among them."""
    places = torch.linspace(0, len(rows) - 1, min(count, len(rows)), dtype=torch.float64)
    return rows[places.round().long()]


@shaped
def coefficients(offset: Float[Tensor, "stars cells"]) -> Float64[Tensor, "stars outputs"]:
    """Coefficients of spectra (N, L) in an orthonormal basis of their span, shape (N, M ≤ N), float64."""
    wide = offset.double()
    values, vectors = torch.linalg.eigh(wide @ wide.T)
    kept = values > 1e-12 * values[-1]
    return vectors[:, kept] * values[kept].sqrt()


@shaped
@torch.no_grad()
def fit_branches(
    parts: Sequence[Part], manifold: Manifold, own: Bool[Tensor, " stars"], spectra: int
) -> None:
    """Give decoders, started from the SVD of the same spectra, the branches of a latent variable model.

    Spectra that are not in the model are encoded by these branches, which are then fitted again to all.

    Args:
        parts: Training spectra on every layer; the decoders' branches are overwritten.
        manifold: Model of some of the spectra.
        own: Which of them the model was made of, in its order, shape (N,), boolean.
        spectra: The first so many of the N may become centres; others, such as the ends of gradient spectra, are close
            to some of these: branches learn from them, but have no units there.
    """
    targets = [_targets(part) for part in parts]
    place = own.long().cumsum(0) - 1
    for part, wanted in zip(parts, targets, strict=True):
        mine = own[part.rows]
        manifold.into(part.decoder.branch, wanted[mine], manifold.latents[place[part.rows[mine]]])
    if bool(own.all()):
        return
    latents = parts[0].decoder.branch.inner.place(encode_parts(parts, len(own)).double())
    latents[own] = manifold.latents
    for part, wanted in zip(parts, targets, strict=True):
        first = int((part.rows < spectra).sum())
        manifold.into(part.decoder.branch, wanted, latents[part.rows], first)


def _targets(part: Part) -> Tensor:
    """Coefficients of the trunk that are nearest to the spectra of a layer, (n, K), float64."""
    table = part.decoder.trunk.table().double()
    offset = (part.flux - part.decoder.mean).double()
    return offset @ (table / table.square().sum(0).clamp(min=1e-300))


@shaped
@torch.no_grad()
def order_latents(
    decoders: Sequence[Decoder], latents: Float[Tensor, "stars latents"]
) -> Float[Tensor, "stars latents"]:
    """Turn the latent space so that each latent moves flux of its own, the one that moves least first.

    White latents stay white, and no spectrum changes. With the mean of (∂S/∂u)ᵀ ∂S/∂u diagonal, `latent_weight` says
    all about how errors of latents show in flux. Of several layers it is the mean over layers.

    Args:
        decoders: Of all layers; their branches are turned.
        latents: Of the grid, shape (N, D).

    Returns:
        The same latents in the new coordinates.
    """
    moved = torch.stack([_moved(decoder, latents) for decoder in decoders]).mean(0)
    turn = torch.linalg.eigh(moved.double()).eigenvectors
    for decoder in decoders:
        decoder.branch.skip.copy_(decoder.branch.skip @ turn)
        decoder.branch.inner.weight.copy_(decoder.branch.inner.weight @ turn)
    return (latents.double() @ turn).float()


def _moved(decoder: Decoder, latents: Tensor) -> Tensor:
    """Sum over stars of (∂S/∂u)ᵀ ∂S/∂u per cell, shape (D, D)."""
    table = decoder.trunk.table()
    gram = table.T @ table / len(table)
    jacobians = map(decoder.branch.jacobian, latents.split(64))
    return torch.stack([torch.einsum("nkd,kl,nle->de", j, gram, j) for j in jacobians]).sum(0)


@shaped
@torch.no_grad()
def latent_weight(
    decoders: Sequence[Decoder], latents: Float[Tensor, "stars latents"]
) -> Float[Tensor, " latents"]:
    """Root mean square flux per unit of each latent over some latents (N, D) and all layers, shape (D,)."""
    squares = torch.stack([_squares(decoder, latents) for decoder in decoders]).mean(0)
    return (squares / len(latents)).sqrt()


def _squares(decoder: Decoder, latents: Tensor) -> Tensor:
    table = decoder.trunk.table()
    gram = table.T @ table / len(table)
    moved = [((gram @ slope) * slope).sum((0, 1)) for slope in decoder.branch.jacobian(latents).split(64)]
    return torch.stack(moved).sum(0)


@shaped
def pca_residual(
    train: Float[Tensor, "stars cells"], test: Float[Tensor, "stars2 cells"], count: int
) -> Float[Tensor, "stars2 cells"]:
    """What principal components of ``train`` leave of ``test``."""
    mean = train.mean(0)
    _, _, vectors = torch.linalg.svd(train - mean, full_matrices=False)
    offset = test - mean
    return offset - offset @ vectors[:count].T @ vectors[:count]


@shaped
def rms_of(values: Float[Tensor, "..."]) -> float:
    """Root mean square of all values, summed in double precision."""
    return values.double().square().mean().sqrt().item()
