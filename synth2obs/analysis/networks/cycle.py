"""Unpaired translation between theory and observation, with cycles and critics, as a method of a bench."""

from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from synth2obs.analysis.baselines import METHODS, THEORY
from synth2obs.analysis.entrants import Answer, answered
from synth2obs.analysis.networks.contract import Network
from synth2obs.analysis.networks.lessons import Lessons, Pixels
from synth2obs.analysis.networks.translator import (
    OBSERVED,
    SYNTHETIC,
    PairCritic,
    Translator,
    fooled,
    told_apart,
)
from synth2obs.analysis.recovery import held_at
from synth2obs.analysis.trials import free_fit
from synth2obs.core.config import Section
from synth2obs.models.alignment.learn import set_cosine_rate
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import LabelFit
from synth2obs.physics.continuum import profile_continuum

LOOKS = 512
"""Spectra of the grid whose principal components the latent begins with."""

FLOOR = 0.005
"""Least standard deviation of a normalised pixel in a loss."""


class CycleConfig(Section):
    """Settings of the translation."""

    name: Literal["cycle"] = "cycle"
    steps: int = Field(default=600, ge=0, description="optimisation steps; 0 leaves it out")
    batch: int = Field(default=32, ge=2, description="spectra of each domain a step")
    latent: int = Field(default=64, ge=1, description="length of the latent that the domains share")
    hidden: int = Field(default=128, ge=1, description="width of hidden layers")
    learning_rate: float = Field(default=3e-4, gt=0, description="of Adam, falling to zero on a cosine")
    synthetic: float = Field(default=3.0, ge=0, description="weight of χ² per pixel in theory's domain")
    observed: float = Field(default=9.0, ge=0, description="weight of χ² per pixel in the stars' domain")
    critic: float = Field(default=1.0, ge=0, description="weight of the critics")


class CycleNetwork(Network):
    """Theory's spectra as the survey's, and back; see `Network` for the arguments.

    Labels are those of plain theory, fitted to a star's spectrum that was translated to theory's domain.
    """

    Config: ClassVar[Any] = CycleConfig

    def __init__(self, lessons: Lessons, config: Any = None, seed: int = 0) -> None:
        self.config: CycleConfig = config or CycleConfig()
        self.bridge, self.survey, self.normalise = lessons.bridge, lessons.survey, lessons.normalise
        random = torch.Generator().manual_seed(seed)
        look = lessons.synthetic(lessons.rows(LOOKS, random), random, noise=False).flux
        mean, unit = look.mean(0), float(look.std(0).mean())
        size = min(self.config.latent, len(look) - 1, look.shape[1])
        _, spread, axes = torch.linalg.svd(look - mean, full_matrices=False)
        scale = (spread[:size] / len(look) ** 0.5).clamp(min=1e-6)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Translator(mean, axes[:size], scale, self.config.hidden)
            sizes = len(mean), size, self.config.hidden, unit
            self.critics = torch.nn.ModuleList(PairCritic(*sizes) for _ in range(2))
        self._learn(lessons, random)

    def _learn(self, lessons: Lessons, random: torch.Generator) -> None:
        config, rate = self.config, self.config.learning_rate
        players = [torch.optim.Adam(part.parameters(), lr=rate, betas=(0.5, 0.999)) for part in self._parts()]
        for index in range(config.steps):
            theory = lessons.synthetic(lessons.rows(config.batch, random), random, noise=False)
            chosen = torch.randint(len(lessons.stars.flux), (config.batch,), generator=random)
            with torch.enable_grad():
                losses = self._losses((theory, lessons.stars.take(chosen)))
                for player, loss, part in zip(players, losses, self._parts(), strict=True):
                    set_cosine_rate(player, rate, index, config.steps)
                    slopes = torch.autograd.grad(loss, list(part.parameters()), retain_graph=True)
                    for parameter, slope in zip(part.parameters(), slopes, strict=True):
                        parameter.grad = slope
            for player in players:
                player.step()

    def _parts(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """What translates, and what judges."""
        return self.network, self.critics

    def _losses(self, domains: tuple[Pixels, Pixels]) -> tuple[Tensor, Tensor]:
        """Of the translator and of the critics: reconstructions, cycles, and what passes for the other domain."""
        net, weights = self.network, (self.config.synthetic, self.config.observed)
        good = [seen.ivar > 0 for seen in domains]
        latent = [net.encode(domain, seen.flux, good[domain]) for domain, seen in enumerate(domains)]
        own = [net.decode(domain, code) for domain, code in enumerate(latent)]
        total, apart = own[0].new_zeros(()), own[0].new_zeros(())
        for here, there in ((SYNTHETIC, OBSERVED), (OBSERVED, SYNTHETIC)):
            moved = net.decode(there, latent[here])
            back = net.decode(here, net.encode(there, moved, good[here]))
            total = total + weights[here] * (_chi2(own[here], domains[here]) + _chi2(back, domains[here]))
            judge = self.critics[there]
            total = total + self.config.critic * fooled(judge(moved - net.mean, latent[here], good[here]))
            real = judge((own[there] - net.mean).detach(), latent[there].detach(), good[there])
            fake = judge((moved - net.mean).detach(), latent[here].detach(), good[here])
            apart = apart + told_apart(real, fake)
        return total, apart

    @torch.no_grad()
    def answer(self, seen: Observation, start: LabelFit | None = None) -> Answer:
        """As `Entrant` says: plain theory's labels of the translated star, and what these labels make of the star."""
        star = self.normalise(seen.flux, seen.ivar)
        moved = self.network.translate(OBSERVED, SYNTHETIC, star.flux, star.ivar > 0)
        as_theory = replace(seen, flux=torch.where(star.ivar > 0, moved * star.level, 0.0))
        fit = free_fit(self.bridge, as_theory, METHODS[THEORY], start)
        return answered(self.bridge, self._explained(seen, fit))

    @torch.no_grad()
    def held(self, seen: Observation, x: Tensor, rv: Tensor) -> LabelFit:
        """As `Entrant` says; the velocity is that of plain theory at these labels."""
        every, labels = tuple(range(x.shape[1])), self.bridge.scale.inverse(x).numpy()
        return self._explained(seen, held_at(self.bridge, seen, labels, every, rv, morphed=False))

    def _explained(self, seen: Observation, fit: LabelFit) -> LabelFit:
        """A fit of plain theory with the translated spectrum in the place of theory's."""
        good = (seen.ivar > 0) & (fit.ivar > 0)
        ivar = torch.where(good, seen.ivar, 0.0)
        spectrum = self._translated(fit.spectrum.float()).to(fit.spectrum.dtype)
        _, continuum = profile_continuum(spectrum, seen.flux, ivar, seen.continuum_basis)
        off = torch.where(good, seen.flux - continuum * spectrum, 0.0).double()
        level = continuum.where(continuum.abs() > 1e-3, 1e-3)
        return replace(
            fit,
            spectrum=spectrum,
            continuum=continuum,
            ivar=ivar.to(fit.ivar.dtype),
            chi2=(off.square() * ivar).sum(1),
            pixels=good.sum(1),
            residual=(seen.flux / level - spectrum) * good,
        )

    @torch.no_grad()
    def change(self, x: Tensor) -> Tensor:
        """As `Entrant` says."""
        theory = self._theory(x)
        known = torch.isfinite(theory)
        return torch.where(known, self._translated(torch.where(known, theory, 1.0)) - theory, torch.nan)

    @torch.no_grad()
    def cycle_error(self, x: Tensor) -> float:
        """As `Entrant` says, over native pixels."""
        theory, net = self._theory(x), self.network
        known = torch.isfinite(theory)
        pixels = self._as_pixels(torch.where(known, theory, 1.0))
        good = pixels.ivar > 0
        moved = net.translate(SYNTHETIC, OBSERVED, pixels.flux, good)
        back = net.translate(OBSERVED, SYNTHETIC, moved, good)
        return float((pixels.level * (back - pixels.flux))[known].square().mean().sqrt())

    def _theory(self, x: Tensor) -> Tensor:
        labels = self.bridge.scale.inverse(x).numpy()
        return torch.from_numpy(self.bridge.predict(labels, self.survey, morphed=False))

    def _translated(self, flux: Tensor) -> Tensor:
        """Theory's spectra in native pixels (N, P) as the survey's stars would have them."""
        pixels = self._as_pixels(flux)
        moved = self.network.translate(SYNTHETIC, OBSERVED, pixels.flux, pixels.ivar > 0)
        return moved * pixels.level

    def _as_pixels(self, flux: Tensor) -> Pixels:
        return self.normalise(flux, torch.ones_like(flux))


def _chi2(flux: Tensor, seen: Pixels) -> Tensor:
    """Mean over good pixels of the squared difference over the noise."""
    weight = seen.ivar.clamp(max=FLOOR**-2)
    return (weight * (flux - seen.flux).square()).sum() / (seen.ivar > 0).sum().clamp(min=1)
