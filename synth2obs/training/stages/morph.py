"""Stage C, second half: densities and morphs by maximum likelihood, conditional on labels."""

from collections.abc import Mapping

import torch
from torch import Tensor

from synth2obs.models.alignment.conditional import alignment, precision_of
from synth2obs.models.alignment.density import Density
from synth2obs.models.fit.task import encode
from synth2obs.training.stages.base import StageBase
from synth2obs.training.stages.theory import grid_latents
from synth2obs.training.state import State

SHRINK = 0.1
"""Share of the identity in the covariance that starts a density: there are few stars per dimension."""


class MorphStage(StageBase):
    r"""Learn p_d(u) and T_d from encoded stars.

    T_d is learned *given labels*: :math:`\sum_n |T(h(y_n)) - u_n|^2_{\Sigma_n} + \lambda_1 E|T - I|^2 +
    \lambda_2 E|\partial T - I|^2`. Matching the two clouds of latents instead would move mean labels by the
    difference of the populations; that is kept as the baseline *marginal alignment*, made of the densities.
    """

    name = "morph"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.config = state.config.morph
        self.steps = self.config.steps
        self.latents: dict[str, tuple[Tensor, Tensor]] = {}
        bridge = state.bridge
        flows = [bridge.density, *(part for n in bridge.surveys for part in self._parts(n))]
        self.optimise([p for flow in flows for p in flow.parameters()], self.config.learning_rate)

    def _parts(self, name: str) -> tuple[torch.nn.Module, Density]:
        model = self.state.bridge.survey(name)
        return model.morph, model.density

    def extra(self) -> dict[str, Tensor]:
        """Encoded stars: so that a resume need not encode again."""
        return {
            f"{n}/{k}": t for n, pair in self.latents.items() for k, t in zip(("u", "p"), pair, strict=True)
        }

    def load_extra(self, tensors: Mapping[str, Tensor]) -> None:
        """Put encoded stars back."""
        names = {key.rsplit("/", 1)[0] for key in tensors}
        self.latents = {name: (tensors[f"{name}/u"], tensors[f"{name}/p"]) for name in names}

    def step(self, index: int) -> dict[str, float]:
        """One Adam step over all surveys."""
        assert self.optimizer is not None
        if not self.latents:
            self._encode()
        self.cosine(index, self.config.learning_rate)
        random = self.generator(index)
        terms = [self._survey_loss(name, random) for name in self.state.bridge.surveys]
        grid = -self.state.bridge.density.log_prob(self.latents["grid"][0]).mean()
        loss = grid / self.state.bridge.decoder.latent + sum(term["total"] for term in terms)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], 10.0)
        self.optimizer.step()
        metrics = {"loss": loss.item(), "grid/nll": grid.item()}
        for name, term in zip(self.state.bridge.surveys, terms, strict=True):
            metrics |= {f"{name}/{key}": value.item() for key, value in term.items()}
        return metrics

    def _survey_loss(self, name: str, random: torch.Generator) -> dict[str, Tensor]:
        model = self.state.bridge.survey(name)
        u, precision = self.latents[name]
        source = self.state.bridge.emulator(self.state.stars[name].x).detach()
        probes = torch.randn((1, *source.shape), generator=random, dtype=source.dtype)
        terms = alignment(model.morph, source, u, precision, probes)
        nll = -model.density.log_prob(u).mean() / u.shape[1]
        total = terms.total(self.config.displacement, self.config.jacobian, u.shape[1]) + nll
        return {**terms._asdict(), "nll": nll, "total": total}

    @torch.no_grad()
    def _encode(self) -> None:
        bridge = self.state.bridge
        latents = grid_latents(self.state)[self.state.kept].double()
        self.latents = {"grid": (latents, torch.zeros(0, dtype=torch.float64))}
        _start_density(bridge.density, latents)
        for name in bridge.surveys:
            fit = encode(bridge, self.state.seen[name])
            self.latents[name] = (fit.theta, precision_of(fit.covariance))
            _start_density(bridge.survey(name).density, fit.theta)


def _start_density(density: Density, u: Tensor) -> None:
    """Give the density's affine part the mean and the shrunk covariance of a sample."""
    centre = u.mean(0)
    covariance = (1 - SHRINK) * torch.cov(u.T) + SHRINK * torch.eye(u.shape[1], dtype=u.dtype)
    factor = torch.linalg.cholesky(torch.linalg.inv(covariance)).T
    density.set_affine(factor, -factor @ centre)
