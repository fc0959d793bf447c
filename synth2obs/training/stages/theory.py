"""Stage A: latents of the grid and the decoder are found together, then labels are mapped to the latents."""

from collections.abc import Mapping

import torch
from torch import Tensor

from synth2obs.core.errors import ConfigError
from synth2obs.models.decoder.branch import Branch
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.decoder.manifold import Manifold
from synth2obs.models.emulator.kernel import cross_validate
from synth2obs.training.stages.base import StageBase
from synth2obs.training.state import State

FOLDS = 5
QUIET = 1e-3
"""Noise in normalised flux with which the grid itself is encoded: about that of its own arithmetic."""

KERNEL_RATE = 3.0
"""Learning rate of the kernel's settings, in that of the latents."""

STEPS = 8
"""Gauss–Newton steps from the origin: after four most spectra change no more, after eight all."""

LARGEST = 2.0
"""Largest change of a latent in one step."""

DAMPING = 1e-3
"""Of the first step, relative to the diagonal."""


class TheoryStage(StageBase):
    """Trunk from the SVD of the grid, branch from a latent variable model of its coefficients; then h(y)."""

    name = "theory"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.config, self.steps = state.config.theory, state.config.theory.steps
        rows, decoder = state.kept.nonzero()[:, 0], state.bridge.decoder
        if min(len(rows), self.config.spectra) <= decoder.latent:
            raise ConfigError(
                f"model.latent = {decoder.latent} needs more spectra than that, theory.spectra = "
                f"{self.config.spectra} of the grid's {len(rows)} are used; lower model.latent or raise theory.spectra"
            )
        decoder.start_from(state.flux[rows])
        self.chosen = evenly(rows, self.config.spectra)
        offset = state.flux[self.chosen] - decoder.mean
        self.scale = _rms(offset)
        self.manifold = Manifold(coefficients(offset), decoder.latent)
        self.optimizer = torch.optim.Adam([{"params": [p]} for p in self.manifold.parameters()])

    def step(self, index: int) -> dict[str, float]:
        """One Adam step in the latents and the kernel."""
        assert self.optimizer is not None
        self.cosine(index, self.config.learning_rate)
        self.optimizer.param_groups[1]["lr"] *= KERNEL_RATE
        loss, left_out = self.manifold()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item(), "left_out_rms": left_out.item() * self.scale}

    def extra(self) -> dict[str, Tensor]:
        """Latents and kernel."""
        return dict(self.manifold.state_dict())

    def load_extra(self, tensors: Mapping[str, Tensor]) -> None:
        """Put `extra` back."""
        self.manifold.load_state_dict(tensors)

    @torch.no_grad()
    def finish(self) -> dict[str, float]:
        """Build the branch, encode the grid, fit h(y), and measure both on spectra that took no part."""
        bridge, kept, x = self.state.bridge, self.state.kept, self.state.x
        rows = kept.nonzero()[:, 0]
        fit_branch(bridge.decoder, self.manifold, self.state.flux[rows], torch.isin(rows, self.chosen))
        latents = grid_latents(self.state)
        weight = latent_weight(self.state, latents[kept])
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


def evenly(rows: Tensor, count: int) -> Tensor:
    """At most ``count`` of some rows, evenly spaced among them."""
    places = torch.linspace(0, len(rows) - 1, min(count, len(rows)), dtype=torch.float64)
    return rows[places.round().long()]


def coefficients(offset: Tensor) -> Tensor:
    """Coefficients of spectra (N, L) in an orthonormal basis of their span, shape (N, M ≤ N), float64."""
    wide = offset.double()
    values, vectors = torch.linalg.eigh(wide @ wide.T)
    kept = values > 1e-12 * values[-1]
    return vectors[:, kept] * values[kept].sqrt()


@torch.no_grad()
def fit_branch(decoder: Decoder, manifold: Manifold, flux: Tensor, own: Tensor) -> None:
    """Give a decoder, started from the SVD of the same spectra, the branch of a latent variable model.

    Spectra that are not in the model are encoded by that branch, which is then fitted again to all.

    Args:
        decoder: Its branch is overwritten.
        manifold: Model of some of the spectra.
        flux: Training spectra, shape (N, L).
        own: Which of them the model was made of, in its order, shape (N,), boolean.
    """
    table = decoder.trunk.table().double()
    targets = (flux - decoder.mean).double() @ (table / table.square().sum(0).clamp(min=1e-300))
    manifold.into(decoder.branch, targets[own])
    if not bool(own.all()):
        latents = decoder.branch.inner.place(encode_flux(decoder, flux).double())
        latents[own] = manifold.latents
        manifold.into(decoder.branch, targets, latents)


def encode_linear(
    branch: Branch, basis: Tensor, residual: Tensor, ivar: Tensor, gradient: str, steps: int = STEPS
) -> Tensor:
    """Latents of residuals about the mean spectrum from the origin, differentiable in branch and basis.

    Args:
        branch: `models.decoder.branch.Branch`, or anything with its ``skip``, value and Jacobian.
        basis: Trunk at the chosen pixels, shape (P, K).
        residual, ivar: Shape (B, P).
        gradient: ``gauss-newton``: damped steps with (JᵀWJ + I)⁻¹JᵀWr. ``published``: one, z = −∇L of half the
            summed squared error without errors, as in Gradient Origin Networks (Bond-Taylor & Willcocks 2021).
        steps: Gauss–Newton steps.
    """
    if gradient == "published":
        at_origin = branch.jacobian(residual.new_zeros(1, branch.skip.shape[1]))[0]
        return ((residual * (ivar > 0)) @ basis) @ at_origin
    normal = torch.einsum("pk,bp,pl->bkl", basis, ivar, basis)
    return encode_reduced(branch, normal, (residual * ivar) @ basis, steps)


def encode_reduced(branch: Branch, normal: Tensor, moment: Tensor, steps: int = STEPS) -> Tensor:
    """Damped Gauss–Newton encoding from BᵀWB (B, K, K) and BᵀWr (B, K); shape (B, D).

    A step that raises −ln p of a spectrum is undone and damped for that spectrum alone, as in `models.fit.solver`.
    """
    u = normal.new_zeros(len(moment), branch.skip.shape[1])
    damping = normal.new_full((len(moment), 1), DAMPING)
    energy = _energy(branch, normal, moment, u)
    for _ in range(steps):
        jacobian = branch.jacobian(u)
        misfit = moment - torch.einsum("bkl,bl->bk", normal, branch(u))
        right = torch.einsum("bkd,bk->bd", jacobian, misfit) - u
        left = jacobian.mT @ normal @ jacobian
        left = left + torch.diag_embed(1.0 + damping * (1.0 + left.detach().diagonal(dim1=1, dim2=2)))
        step = torch.cholesky_solve(right[..., None], torch.linalg.cholesky(left))[..., 0]
        trial = u + step.clamp(-LARGEST, LARGEST)
        found = _energy(branch, normal, moment, trial)
        better = (found <= energy)[:, None]
        u, energy = torch.where(better, trial, u), torch.minimum(found, energy)
        damping = torch.where(better, damping * 0.2, damping * 8.0)
    return u


@torch.no_grad()
def _energy(branch: Branch, normal: Tensor, moment: Tensor, u: Tensor) -> Tensor:
    g = branch(u)
    return (torch.einsum("bkl,bl->bk", normal, g) * g - 2.0 * moment * g).sum(1) + u.square().sum(1)


@torch.no_grad()
def grid_latents(state: State) -> Tensor:
    """Latents of all grid spectra, shape (N, D)."""
    return encode_flux(state.bridge.decoder, state.flux)


@torch.no_grad()
def encode_flux(decoder: Decoder, flux: Tensor) -> Tensor:
    """Latents of complete spectra on the rest grid with errors of `QUIET`, shape (N, L) → (N, D)."""
    basis = decoder.trunk.table().double() / QUIET
    normal = basis.T @ basis
    parts = [
        encode_reduced(decoder.branch, normal.expand(len(part), -1, -1), part.double() @ basis / QUIET)
        for part in (flux - decoder.mean).split(64)
    ]
    return torch.cat(parts).float()


@torch.no_grad()
def latent_weight(state: State, latents: Tensor) -> Tensor:
    """Root mean square flux per unit of each latent over the spectra, shape (D,)."""
    decoder = state.bridge.decoder
    table = decoder.trunk.table()
    gram = table.T @ table / len(table)
    moved = [((gram @ slope) * slope).sum((0, 1)) for slope in decoder.branch.jacobian(latents).split(64)]
    return (torch.stack(moved).sum(0) / len(latents)).sqrt()


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
