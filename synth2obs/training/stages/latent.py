"""Stage B: one latent for all domains, the distortion of every survey's wavelengths and the width of its lines."""

import torch
from torch import Tensor

from synth2obs.models.decoder.encode import encode_reduced
from synth2obs.models.decoder.from_grid import latent_weight
from synth2obs.training.gradients import gradient_ends
from synth2obs.training.stages.instrument import InstrumentStage, LatentConfig
from synth2obs.training.state import State
from synth2obs.training.theory_errors import grid_latents, trust


class LatentStage(InstrumentStage):
    """Refine the branch on grid spectra that pass every survey's instrument, mask and noise.

    The decoder sees theory only: were it trained on stars, it would learn the gap that is to be measured.
    """

    name = "latent"

    def __init__(self, state: State, config: LatentConfig) -> None:
        super().__init__(state, config)
        # Latents are the first layer's: what other layers do for them is not refined.
        self.through = [name for name in state.bridge.surveys if not state.bridge.survey(name).config.layer]
        self.steps = self.config.steps if self.through else 0
        self.rows = state.kept.nonzero()[:, 0]
        self.optimise(state.bridge.decoder.branch.parameters(), self.config.learning_rate)

    def step(self, index: int) -> dict[str, float]:
        """One Adam step through one survey, the surveys in turn."""
        assert self.optimizer is not None
        self.cosine(index, self.config.learning_rate)
        normal, moment, power = self._observed(self.through[index % len(self.through)], index)
        branch = self.state.bridge.decoder.branch
        u = encode_reduced(branch, normal, moment)
        g = branch(u)
        misfit = power - 2.0 * (moment * g).sum(1) + (g[:, None] @ normal @ g[..., None])[:, 0, 0]
        loss = (0.5 * misfit + 0.5 * u.square().sum(1)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item() / len(g[0])}

    @torch.no_grad()
    def _observed(self, name: str, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """BᵀWB, BᵀWr and rᵀWr per pixel scale of grid spectra as real stars of a survey would show them."""
        random = self.generator(index)
        seen, bridge = self.state.seen[name], self.state.bridge
        rows = self.rows[torch.randint(len(self.rows), (self.config.batch,), generator=random)]
        stars = torch.randint(len(seen), (self.config.batch,), generator=random)
        rv = 20.0 * torch.randn(self.config.batch, generator=random, dtype=torch.float64)
        width = float(bridge.survey(name).width_scale)
        basis = seen.instrument.project(bridge.decoder.trunk.table(), rv, width, stars)
        clean = seen.instrument(self.state.flux[rows] - bridge.decoder.mean, rv, width, stars)
        ivar = seen.ivar[stars] * seen.flux[stars].square() * seen.instrument.valid(rv, width, stars)
        noise = torch.randn(clean.shape, generator=random) * ivar.clamp(min=1e-20).rsqrt() * (ivar > 0)
        residual = clean + noise
        weighted = basis * ivar[..., None]
        moment = (weighted.mT @ residual[..., None])[..., 0]
        return weighted.mT @ basis, moment, (ivar * residual.square()).sum(1)

    @torch.no_grad()
    def finish(self) -> dict[str, float]:
        """Refit h(y) to the final latents, then measure each survey's instrument: wavelengths, and width of lines."""
        state = self.state
        latents, kept = grid_latents(state), state.kept
        weight = latent_weight(state.bridge.decoder, latents[kept])
        ends = gradient_ends(state)
        differences = None if ends is None else ends.differences(state.bridge.decoder)
        state.bridge.emulator.fit(state.x[kept], latents[kept].double(), weight, differences)
        trust(state, latents, weight)
        return super().finish()
