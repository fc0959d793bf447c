"""Stage E: a small critic refines the gap, where whitened residuals of stars and of the model can be told apart."""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from synth2obs.core.config import Section
from synth2obs.models.alignment.critic import Critic, critic_losses, r1_penalty
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.surprise import fitted_anew, surprise
from synth2obs.models.fit.task import fit_labels
from synth2obs.training.stages.base import StageBase
from synth2obs.training.state import State

SMOOTH_PER_CORRELATION = 0.28
"""σ of the smoothing that gives white noise an integrated autocorrelation of 1: 1 / (2 √π)."""

TOLERANCE = 1e-3
"""Largest rise of −ln likelihood per pixel on validation stars with which a refinement is still kept."""

SCATTER_STEP = 0.01
"""Rms change of ln scatter in one step."""


class CriticConfig(Section):
    """Stage E: adversarial refinement of gap and scatter."""

    steps: int = Field(default=0, ge=0, description="steps of critic and gap in turn; 0: no critic")
    batch: int = Field(default=16, ge=2, description="stars a step")
    learning_rate: float = Field(default=1e-3, gt=0, description="of the critic")
    strength: float = Field(default=2e-5, ge=0, description="rms change of the gap in one step, in flux")
    penalty: float = Field(default=1.0, ge=0, description="weight of the R1 penalty")


class CriticStage(StageBase):
    """Adversarial refinement.

    Real: residuals of stars. Fake: the model's own, i.e. a correction of the gap at the labels of the survey's own
    stars, plus correlated intrinsic scatter (its size corrected too) and fresh noise under a real star's mask and
    ivar. Labels, velocities and the morph are held: the critic may shape the gap, never what a label means. The
    correction is refused if it lowers the likelihood of the validation stars.
    """

    name = "critic"

    def __init__(self, state: State, config: CriticConfig) -> None:
        super().__init__(state)
        self.config = config
        self.steps = self.config.steps
        self.critics = torch.nn.ModuleDict({name: Critic() for name in state.bridge.surveys})
        self.change = torch.nn.ParameterDict(
            {name: _no_change(state.bridge.survey(name).gap.mean) for name in state.bridge.surveys}
        )
        self.residuals: dict[str, dict[str, Tensor]] = {}
        rate = self.config.learning_rate
        self.optimizer = torch.optim.Adam(self.critics.parameters(), lr=rate, betas=(0.5, 0.99))

    def extra(self) -> dict[str, Tensor]:
        """Critics, the correction so far, and the residuals that they see."""
        flat = {f"critics/{key}": value for key, value in self.critics.state_dict().items()}
        flat |= {f"change/{key}": value.detach() for key, value in self.change.items()}
        for name, fields in self.residuals.items():
            flat |= {f"residuals/{name}/{key}": value for key, value in fields.items()}
        return flat

    def load_extra(self, tensors: Mapping[str, Tensor]) -> None:
        """Put them back."""
        cut = len("critics/")
        self.critics.load_state_dict({k[cut:]: v for k, v in tensors.items() if k.startswith("critics/")})
        for key, value in tensors.items():
            parts = key.split("/")
            if parts[0] == "change":
                self.change[parts[1]].data.copy_(value)
            elif parts[0] == "residuals":
                self.residuals.setdefault(parts[1], {})[parts[2]] = value

    def step(self, index: int) -> dict[str, float]:
        """One critic step and one gap step on one survey."""
        names = self.state.bridge.surveys
        name = names[index % len(names)]
        if name not in self.residuals:
            self.residuals[name] = self._fit(name)
        assert self.optimizer is not None
        random, critic = self.generator(index), self.critics[name]
        real, fake = self._real(name, random), self._fake(name, random)
        critic_loss, _ = critic_losses(critic, real, fake.detach())
        self.optimizer.zero_grad()
        (critic_loss + self.config.penalty * r1_penalty(critic, real)).backward()
        self.optimizer.step()
        _, gap_loss = critic_losses(critic, real, fake)
        (slope,) = torch.autograd.grad(gap_loss, [self.change[name]])
        with torch.no_grad():
            self.change[name][:-1] -= self.config.strength * _unit(slope[:-1])
            self.change[name][-1] -= SCATTER_STEP * _unit(slope[-1])
        return {f"{name}/critic_loss": critic_loss.item(), f"{name}/gap_loss": gap_loss.item()}

    @torch.no_grad()
    def _fit(self, name: str) -> dict[str, Tensor]:
        bridge, stars = self.state.bridge, self.state.stars[name]
        fit = fit_labels(bridge, self.state.seen[name], Options(steps=4, refresh=1), stars.x, stars.rv)
        scale = (fit.ivar.sqrt() * fit.continuum.abs()).float()
        features = bridge.gap_features(name, fit.x).float()
        noise = (self.state.seen[name].ivar.clamp(min=1e-20).rsqrt() * fit.ivar.sqrt()).float() * (
            fit.ivar > 0
        )
        return {
            "real": (fit.residual * scale).float(),
            "scale": scale,
            "noise": noise,
            "features": features,
            "rv": fit.rv,
        }

    def _batch(self, name: str, random: torch.Generator) -> Tensor:
        count = len(self.residuals[name]["rv"])
        return torch.randint(count, (min(self.config.batch, count),), generator=random)

    def _real(self, name: str, random: torch.Generator) -> Tensor:
        rows, fields = self._batch(name, random), self.residuals[name]
        return torch.stack([fields["real"][rows], (fields["scale"][rows] > 0).float()], dim=1)

    def _fake(self, name: str, random: torch.Generator) -> Tensor:
        """Whitened residuals that the model itself would leave, at labels of the survey's own population."""
        rows, labels, fields = self._batch(name, random), self._batch(name, random), self.residuals[name]
        seen, model = self.state.seen[name], self.state.bridge.survey(name)
        stars, rv = seen.instrument_rows(rows), fields["rv"][rows]
        native = seen.instrument(fields["features"][labels] @ self.change[name][:-1], rv, 0.0, stars)
        wider = seen.instrument(self.change[name][-1].expand(len(rows), -1), rv, 0.0, stars).exp()
        scale, own = fields["scale"][rows], fields["noise"][rows]
        smooth = _smooth_noise(scale.shape, model.correlation, random)
        scatter = (1.0 - own.square()).clamp(min=0.0).sqrt() * smooth * wider
        white = own * torch.randn(scale.shape, generator=random)
        mask = (scale > 0).float()
        return torch.stack([(native * scale + scatter + white) * mask, mask], dim=1)

    @torch.no_grad()
    def finish(self) -> dict[str, float]:
        """Keep each survey's correction only if there are validation stars and they do not object."""
        metrics: dict[str, float] = {}
        for name in self.state.bridge.surveys:
            known = len(self.state.domains.surveys[name].rows("validation")) > 0
            seen = self.state.prepare(name, "validation") if known else None
            gap, change = self.state.bridge.survey(name).gap, self.change[name]
            untouched = gap.mean.clone(), gap.scatter.clone()
            before = 0.0 if seen is None else float(surprise(fitted_anew(self.state.bridge, seen)).median())
            gap.mean.add_(change[:-1])
            gap.scatter.mul_((2.0 * change[-1]).exp())
            after = 0.0 if seen is None else float(surprise(fitted_anew(self.state.bridge, seen)).median())
            kept = known and after <= before + TOLERANCE
            if not kept:
                gap.mean.copy_(untouched[0])
                gap.scatter.copy_(untouched[1])
            metrics |= {
                f"{name}/validation_nll_before": before,
                f"{name}/validation_nll_after": after,
                f"{name}/kept": float(kept),
                f"{name}/change_rms": change[:-1].square().mean().sqrt().item(),
                f"{name}/scatter_change_rms": change[-1].square().mean().sqrt().item(),
            }
        return metrics


def _no_change(gap: Tensor) -> torch.nn.Parameter:
    """Zero change of every feature's gap, and of ln scatter in the last row."""
    return torch.nn.Parameter(torch.zeros(len(gap) + 1, gap.shape[1]))


def _unit(slope: Tensor) -> Tensor:
    return slope / slope.square().mean().sqrt().clamp(min=1e-20)


def _smooth_noise(shape: torch.Size, correlation: float, random: torch.Generator) -> Tensor:
    """Unit normal noise whose integrated autocorrelation is that of the residuals."""
    sigma = max(SMOOTH_PER_CORRELATION * correlation, 0.3)
    reach = int(4 * sigma) + 1
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
    kernel = (kernel / kernel.square().sum().sqrt())[None, None]
    white = torch.randn((shape[0], 1, shape[1] + 2 * reach), generator=random)
    return torch.nn.functional.conv1d(white, kernel)[:, 0]
