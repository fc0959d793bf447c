"""Stage A: latents of the grid and the decoder are found together, then labels are mapped to the latents."""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from synth2obs.core.config import Section
from synth2obs.core.errors import ConfigError
from synth2obs.models.decoder.from_grid import (
    coefficients,
    evenly,
    fit_branch,
    follow_branch,
    latent_weight,
    order_latents,
    rms_of,
)
from synth2obs.models.decoder.manifold import Manifold
from synth2obs.models.emulator.cross_validation import cross_validate
from synth2obs.training.gradients import gradient_ends
from synth2obs.training.stages.base import StageBase
from synth2obs.training.state import State
from synth2obs.training.theory_errors import grid_latents, held_out_errors, trust

FOLDS = 5

KERNEL_RATE = 3.0
"""Learning rate of the kernel's settings, in that of the latents."""


GRADIENTS = 3.0
"""Weight of a gradient spectrum, as the change between its ends, beside a spectrum where the trunk is chosen."""


class TheoryConfig(Section):
    """Stage A: decoder and label branch on the grid."""

    steps: int = Field(default=400, ge=0, description="Adam steps")
    learning_rate: float = Field(default=0.01, gt=0, description="of the latents, one as wide as the first")
    spectra: int = Field(
        default=600, ge=8, description="spectra whose latents are optimised; time grows with their cube"
    )


class TheoryStage(StageBase):
    """Trunk from the SVD of the grid, branch from a latent variable model of its coefficients; then h(y)."""

    name = "theory"

    def __init__(self, state: State, config: TheoryConfig) -> None:
        super().__init__(state)
        self.config, self.steps = config, config.steps
        rows, decoder = state.kept.nonzero()[:, 0], state.bridge.decoder
        if min(len(rows), self.config.spectra) <= decoder.latent:
            raise ConfigError(
                f"decoder.latent = {decoder.latent} needs more spectra than that, theory.spectra = "
                f"{self.config.spectra} of the grid's {len(rows)} are used; "
                "lower decoder.latent or raise theory.spectra"
            )
        self.ends = gradient_ends(state)
        also = None if self.ends is None else GRADIENTS * self.ends.change
        decoder.start_from(state.flux[rows], also=also)
        for part in state.parts()[1:]:
            part.decoder.start_from(part.take(state.kept).flux)
        self.chosen = evenly(rows, self.config.spectra)
        offset = state.flux[self.chosen] - decoder.mean
        self.scale = rms_of(offset)
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
        ends, own = self.ends, torch.isin(rows, self.chosen)
        fit_branch(
            bridge.decoder, self.manifold, self.state.flux[rows], own, None if ends is None else ends.flux
        )
        latents, others = grid_latents(self.state), self.state.parts()[1:]
        for part in others:
            follow_branch(bridge.decoder, self.manifold, part.take(kept), latents[kept])
        latents = order_latents(bridge.decoder, latents, [part.decoder for part in others])
        weight = latent_weight(bridge.decoder, latents[kept])
        folds = torch.arange(int(kept.sum())).chunk(FOLDS)
        differences = None if ends is None else ends.differences(bridge.decoder)
        bridge.emulator.fit(x[kept], latents[kept].double(), weight, differences)
        predicted = cross_validate(bridge.emulator, x[kept], latents[kept].double(), weight, folds)
        trust(self.state, latents, weight)
        for name in bridge.surveys:
            bridge.survey(name).gap.reading.learn(latents[kept].double(), x[kept])
        crossed = bridge.decoder(predicted.float()) - self.state.flux[kept]
        errors = held_out_errors(self.state, latents)
        return {
            **{f"decoder/{name}": value for name, value in errors.items()},
            "decoder/emulator_cross_validated_rms": rms_of(crossed),
        }
