"""A decoder from the spectra of a grid, and what principal components would do."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.decoder.encode import encode_flux
from synth2obs.models.decoder.manifold import Manifold
from synth2obs.models.decoder.parts import Part


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
def fit_branch(
    decoder: Decoder,
    manifold: Manifold,
    flux: Float[Tensor, "stars cells"],
    own: Bool[Tensor, " stars"],
    near: Float[Tensor, "rows cells"] | None = None,
) -> None:
    """Give a decoder, started from the SVD of the same spectra, the branch of a latent variable model.

    Spectra that are not in the model are encoded by that branch, which is then fitted again to all.

    Args:
        decoder: Its branch is overwritten.
        manifold: Model of some of the spectra.
        flux: Training spectra, shape (N, L).
        own: Which of them the model was made of, in its order, shape (N,), boolean.
        near: Spectra close to some of these, such as the ends of gradient spectra, shape (R, L): the branch learns from
            them, but has no units there.
    """
    spectra = len(flux)
    if near is not None:
        flux, own = torch.cat([flux, near]), torch.cat([own, torch.zeros(len(near), dtype=torch.bool)])
    targets = _targets(decoder, flux)
    manifold.into(decoder.branch, targets[own])
    if not bool(own.all()):
        latents = decoder.branch.inner.place(encode_flux(decoder, flux).double())
        latents[own] = manifold.latents
        manifold.into(decoder.branch, targets, latents, spectra)


@shaped
@torch.no_grad()
def follow_branch(
    first: Decoder, manifold: Manifold, part: Part, latents: Float[Tensor, "stars latents"]
) -> None:
    """Give the decoder of another layer a branch of the same latents, by the same kernel.

    Latents are those of the first layer alone: it has all spectra, and what was measured in it stays what it is.

    Args:
        first: Decoder with the branch of the model, as `fit_branch` leaves it.
        manifold: The model.
        part: Spectra of the other layer, numbered among those that have latents; its decoder's branch is overwritten.
        latents: Encoded from the first layer, shape (N, D).
    """
    places = first.branch.inner.place(latents[part.rows].double())
    manifold.into(part.decoder.branch, _targets(part.decoder, part.flux), places)


def _targets(decoder: Decoder, flux: Tensor) -> Tensor:
    """Coefficients of the trunk that are nearest to spectra, (N, L) → (N, K), float64."""
    table = decoder.trunk.table().double()
    return (flux - decoder.mean).double() @ (table / table.square().sum(0).clamp(min=1e-300))


@shaped
@torch.no_grad()
def order_latents(
    decoder: Decoder, latents: Float[Tensor, "stars latents"], others: Sequence[Decoder] = ()
) -> Float[Tensor, "stars latents"]:
    """Turn the latent space so that each latent moves flux of its own, the one that moves least first.

    White latents stay white, and no spectrum changes. With the mean of (∂S/∂u)ᵀ ∂S/∂u diagonal, `latent_weight` says
    all about how errors of latents show in flux.

    Args:
        decoder: Its branch is turned.
        latents: Of the grid, shape (N, D).
        others: Decoders of the same latents, which are turned with it.

    Returns:
        The same latents in the new coordinates.
    """
    table = decoder.trunk.table()
    gram = table.T @ table / len(table)
    moved = [
        torch.einsum("nkd,kl,nle->de", j, gram, j) for j in map(decoder.branch.jacobian, latents.split(64))
    ]
    turn = torch.linalg.eigh(torch.stack(moved).sum(0).double()).eigenvectors
    for own in (decoder, *others):
        own.branch.skip.copy_(own.branch.skip @ turn)
        own.branch.inner.weight.copy_(own.branch.inner.weight @ turn)
    return (latents.double() @ turn).float()


@shaped
@torch.no_grad()
def latent_weight(decoder: Decoder, latents: Float[Tensor, "stars latents"]) -> Float[Tensor, " latents"]:
    """Root mean square flux per unit of each latent over some latents (N, D), shape (D,)."""
    table = decoder.trunk.table()
    gram = table.T @ table / len(table)
    moved = [((gram @ slope) * slope).sum((0, 1)) for slope in decoder.branch.jacobian(latents).split(64)]
    return (torch.stack(moved).sum(0) / len(latents)).sqrt()


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
