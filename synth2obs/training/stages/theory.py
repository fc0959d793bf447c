"""Stage A: the decoder learns the grid through Gauss–Newton encodings, then labels are mapped to its latents."""

import torch
from torch import Tensor

from synth2obs.models.decoder import Branch
from synth2obs.models.emulator import cross_validate
from synth2obs.training.stages.base import StageBase
from synth2obs.training.state import State

FOLDS = 5
QUIET = 1e-3
"""Noise in normalised flux with which the grid itself is encoded: about that of its own arithmetic."""


class TheoryStage(StageBase):
    """Decoder from the SVD of the grid, refined on masked and noisy grid spectra; then h(y)."""

    name = "theory"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.config = state.config.theory
        self.steps = self.config.steps
        self.rows = state.kept.nonzero()[:, 0]
        self.published = self.config.gradient == "published"
        state.bridge.decoder.start_from(state.flux[self.rows], whiten=not self.published)
        decoder = state.bridge.decoder
        groups = [
            {"params": list(decoder.branch.parameters())},
            {"params": list(decoder.trunk.parameters())},
        ]
        self.optimizer = torch.optim.Adam(groups, lr=self.config.learning_rate)

    def step(self, index: int) -> dict[str, float]:
        """One Adam step on a batch of grid spectra with random masks and noise."""
        assert self.optimizer is not None
        self.cosine(index, self.config.learning_rate)
        self.optimizer.param_groups[1]["lr"] *= self.config.trunk_rate
        decoder, random = self.state.bridge.decoder, self.generator(index)
        rows = self.rows[torch.randint(len(self.rows), (self.config.batch,), generator=random)]
        pixels = torch.randperm(len(decoder.mean), generator=random)
        if not self.published:
            pixels = pixels[: self.config.pixels]
        clean = (self.state.flux[rows] - decoder.mean)[:, pixels]
        ivar, noise = _random_noise(clean.shape, random)
        basis = decoder.trunk.table()[pixels]
        u = encode_linear(decoder.branch, basis, clean + noise, ivar, self.config.gradient)
        misfit = decoder.branch(u) @ basis.T - clean
        loss = misfit.square().mean() / QUIET**2 * 1e-2
        if not self.published:
            loss = loss + 1e-3 * u.square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item(), "rms": misfit.detach().square().mean().sqrt().item()}

    @torch.no_grad()
    def finish(self) -> dict[str, float]:
        """Encode the grid, fit h(y), and measure both on spectra that took no part."""
        bridge, kept = self.state.bridge, self.state.kept
        latents = grid_latents(self.state)
        weight = latent_weight(self.state, latents[kept])
        x = self.state.x
        folds = torch.arange(int(kept.sum())).chunk(FOLDS)
        predicted = cross_validate(bridge.emulator, x[kept], latents[kept].double(), weight, folds)
        bridge.emulator.fit(x[kept], latents[kept].double(), weight)
        for name in bridge.surveys:
            bridge.survey(name).readout.copy_(_readout(latents[kept].double(), x[kept][:, :3]))
        crossed = bridge.decoder(predicted.float()) - self.state.flux[kept]
        errors = held_out_errors(self.state, latents)
        return {
            **{f"decoder/{name}": value for name, value in errors.items()},
            "decoder/emulator_cross_validated_rms": _rms(crossed),
        }


def encode_linear(branch: Branch, basis: Tensor, residual: Tensor, ivar: Tensor, gradient: str) -> Tensor:
    """Latents of residuals about the mean spectrum from the origin, differentiable in branch and basis.

    Args:
        branch: `models.decoder.Branch`.
        basis: Trunk at the chosen pixels, shape (P, K).
        residual, ivar: Shape (B, P).
        gradient: ``gauss-newton``: (JᵀWJ + I)⁻¹JᵀWr, two steps. ``published``: z = −∇L of half the summed squared
            error without errors, as in Gradient Origin Networks (Bond-Taylor & Willcocks 2021), kept for comparison.
    """
    if gradient == "published":
        at_origin = branch.jacobian(residual.new_zeros(1, branch.skip.shape[1]))[0]
        return ((residual * (ivar > 0)) @ basis) @ at_origin
    normal = torch.einsum("pk,bp,pl->bkl", basis, ivar, basis)
    return encode_reduced(branch, normal, (residual * ivar) @ basis)


def encode_reduced(branch: Branch, normal: Tensor, moment: Tensor) -> Tensor:
    """Gauss–Newton encoding from BᵀWB (B, K, K) and BᵀWr (B, K), in two steps; shape (B, D)."""
    u = normal.new_zeros(len(moment), branch.skip.shape[1])
    eye = torch.eye(u.shape[1])
    for _ in range(2):
        jacobian = branch.jacobian(u)
        misfit = moment - torch.einsum("bkl,bl->bk", normal, branch(u))
        right = torch.einsum("bkd,bk->bd", jacobian, misfit) - u
        left = jacobian.mT @ normal @ jacobian + eye
        u = u + torch.cholesky_solve(right[..., None], torch.linalg.cholesky(left))[..., 0]
    return u


@torch.no_grad()
def grid_latents(state: State) -> Tensor:
    """Latents of all grid spectra, shape (N, D)."""
    decoder, gradient = state.bridge.decoder, state.config.theory.gradient
    basis = decoder.trunk.table()
    parts = [
        encode_linear(decoder.branch, basis, part - decoder.mean, torch.full_like(part, QUIET**-2), gradient)
        for part in state.flux.split(64)
    ]
    return torch.cat(parts)


@torch.no_grad()
def latent_weight(state: State, latents: Tensor) -> Tensor:
    """Root mean square flux per unit of each latent, shape (D,)."""
    decoder = state.bridge.decoder
    slope = decoder.branch.jacobian(latents.mean(0, keepdim=True))[0]
    return (decoder.trunk.table() @ slope).square().mean(0).sqrt()


def _random_noise(shape: torch.Size, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inverse variances for S/N 50–5000 with 0–70 % of pixels missing, and noise to match."""
    snr = 50.0 * 100.0 ** torch.rand(shape[0], 1, generator=random)
    missing = 0.7 * torch.rand(shape[0], 1, generator=random)
    mask = torch.rand(shape, generator=random) >= missing
    return mask * snr.square(), torch.randn(shape, generator=random) / snr


def _readout(latents: Tensor, stellar: Tensor) -> Tensor:
    """Linear map from latent to scaled (Teff, log g, [Fe/H]), shape (3, D)."""
    normal = latents.T @ latents + 1e-2 * torch.eye(latents.shape[1], dtype=torch.float64)
    return torch.cholesky_solve(latents.T @ stellar, torch.linalg.cholesky(normal)).T


@torch.no_grad()
def held_out_errors(state: State, latents: Tensor) -> dict[str, float]:
    """Errors of decoder and emulator on grid spectra that took no part, with principal components beside them.

    Args:
        state: Training.
        latents: Of all grid spectra, from `grid_latents`.
    """
    bridge, flux, held = state.bridge, state.flux, ~state.kept
    decoded = bridge.decoder(latents[held]) - flux[held]
    emulated = bridge.decoder(bridge.emulator(state.x[held]).float()) - flux[held]
    return {
        "rms": _rms(decoded),
        "median": decoded.abs().median().item(),
        "emulator_rms": _rms(emulated),
        "pca_rms": _rms(pca_residual(flux[state.kept], flux[held], bridge.decoder.latent)),
    }


def pca_residual(train: Tensor, test: Tensor, count: int) -> Tensor:
    """What principal components of ``train`` leave of ``test``."""
    mean = train.mean(0)
    _, _, vectors = torch.linalg.svd(train - mean, full_matrices=False)
    offset = test - mean
    return offset - offset @ vectors[:count].T @ vectors[:count]


def _rms(values: Tensor) -> float:
    return values.double().square().mean().sqrt().item()
