"""What the stages of a training share: data, bridge, and where each survey's training stars stand."""

import torch
from torch import Tensor

from synth2obs.core.errors import DataError
from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder.parts import Part
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.result import StarLabels
from synth2obs.training.domains import Domains, SurveyData


class State:
    """One training in memory. Stages change ``bridge`` and ``stars`` and nothing else; ``seen`` follows the bridge.

    Args:
        bridge: As it is before the first stage.
        domains: Data.
        seed: Of every stage's random numbers.
        theory_held: Whether what the grid taught stays as it is.
    """

    def __init__(self, bridge: Bridge, domains: Domains, seed: int, *, theory_held: bool = False) -> None:
        self.bridge, self.domains, self.seed, self.theory_held = bridge, domains, seed, theory_held
        self.flux = torch.from_numpy(domains.grid.spectra.flux).float()
        self.x = self.bridge.scale(torch.as_tensor(domains.grid.values))
        self.kept = torch.from_numpy(~domains.grid.held_out)
        self.finer = {
            name: torch.from_numpy(own.spectra.flux).float() for name, own in domains.grid.finer.items()
        }
        self.seen = {name: self._prepare(name, survey, "train") for name, survey in domains.surveys.items()}
        self.distortion = {name: self._distortion(name) for name in self.seen}
        self.stars = {name: _unknown(seen, self.x.shape[1]) for name, seen in self.seen.items()}

    def parts(self) -> list[Part]:
        """The grid's spectra on every layer of the bridge, in its order."""
        rows = {name: torch.from_numpy(own.rows) for name, own in self.domains.grid.finer.items()}
        first = Part(self.bridge.decoder, self.flux, torch.arange(len(self.flux)))
        layers = self.bridge.layers
        return [first, *(Part(layers[name], self.finer[name], rows[name]) for name in layers if name)]

    def theory(self, survey: str) -> Part:
        """The grid's spectra on the rest frame that a survey sees."""
        return dict(zip(self.bridge.layers, self.parts(), strict=True))[
            self.bridge.survey(survey).config.layer
        ]

    def _prepare(self, name: str, survey: SurveyData, part: str) -> Observation:
        try:
            return prepare(self.bridge, name, survey.spectra.take(survey.rows(part)))
        except DataError as error:
            raise DataError(f"{name}: {error}") from error

    def _distortion(self, name: str) -> Tensor:
        return self.bridge.survey(name).distortion.weight.clone()

    def follow(self) -> None:
        """Prepare the training stars again of surveys whose wavelengths turned out to be distorted otherwise."""
        for name, survey in self.domains.surveys.items():
            now = self._distortion(name)
            if not torch.equal(now, self.distortion[name]):
                self.seen[name], self.distortion[name] = self._prepare(name, survey, "train"), now

    def prepare(self, name: str, part: str) -> Observation:
        """A part of a survey's stars, ready to be fitted."""
        return self._prepare(name, self.domains.surveys[name], part)


def _unknown(seen: Observation, labels: int) -> StarLabels:
    zeros = torch.zeros(len(seen), dtype=torch.float64)
    return StarLabels(torch.zeros(len(seen), labels, dtype=torch.float64), seen.rv.clone(), zeros)
