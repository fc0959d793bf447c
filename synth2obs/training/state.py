"""What the stages of a training share: data, bridge, and where each survey's training stars stand."""

from dataclasses import dataclass

import torch
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.emulator.kernel import KernelEmulator
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.priors.population import Population
from synth2obs.models.survey import SurveyConfig, SurveyModel
from synth2obs.training.config import ModelConfig, TrainConfig
from synth2obs.training.domains import Domains, SurveyData


@dataclass
class Stars:
    """Labels and velocities of a survey's training stars, as far as they are known.

    Args:
        x: Scaled labels, shape (N, K), float64.
        rv: km/s, shape (N,).
        chi2: Per pixel, shape (N,).
    """

    x: Tensor
    rv: Tensor
    chi2: Tensor


class State:
    """One training in memory. Stages change ``bridge`` and ``stars`` and nothing else.

    Args:
        config: Settings.
        domains: Data.
    """

    def __init__(self, config: TrainConfig, domains: Domains) -> None:
        torch.manual_seed(config.seed)
        self.config, self.domains = config, domains
        self.bridge = build_bridge(config, domains)
        self.flux = torch.from_numpy(domains.grid.spectra.flux).float()
        self.x = self.bridge.scale(torch.as_tensor(domains.grid.values))
        self.kept = torch.from_numpy(~domains.grid.held_out)
        self.seen = {name: self._prepare(name, survey, "train") for name, survey in domains.surveys.items()}
        self.stars = {name: _unknown(seen, self.x.shape[1]) for name, seen in self.seen.items()}

    def _prepare(self, name: str, survey: SurveyData, part: str) -> Observation:
        return prepare(self.bridge, name, survey.spectra.take(survey.rows(part)))

    def prepare(self, name: str, part: str) -> Observation:
        """A part of a survey's stars, ready to be fitted."""
        return self._prepare(name, self.domains.surveys[name], part)


def _unknown(seen: Observation, labels: int) -> Stars:
    zeros = torch.zeros(len(seen), dtype=torch.float64)
    return Stars(torch.zeros(len(seen), labels, dtype=torch.float64), seen.rv.clone(), zeros)


def build_bridge(config: TrainConfig, domains: Domains) -> Bridge:
    """An untrained bridge of the right shapes."""
    grid, sizes = domains.grid, config.model
    decoder = Decoder(
        torch.from_numpy(grid.spectra.wavelength),
        torch.from_numpy(grid.spectra.line_spread.sigma[0]),
        latent=sizes.latent,
        rank=sizes.rank,
        hidden=sizes.hidden,
    )
    count = int((~grid.held_out).sum())
    emulator = KernelEmulator(len(grid.labels), sizes.latent, count, sizes.kernel_length)
    scale = LabelScale(grid.labels, grid.values)
    surveys = {
        name: _survey_model(survey, sizes, len(decoder.mean)) for name, survey in domains.surveys.items()
    }
    population = Population.load() if config.population else None
    return Bridge(grid.labels, decoder, emulator, scale, surveys, population)


def _survey_model(survey: SurveyData, sizes: ModelConfig, samples: int) -> SurveyModel:
    spectra = survey.spectra
    wavelength = spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[0]
    config = SurveyConfig(
        latent=sizes.latent,
        samples=samples,
        gap_degree=sizes.gap_degree,
        continuum_order=sizes.continuum_order,
        morph_layers=sizes.morph_layers,
        morph_hidden=sizes.morph_hidden,
        density_layers=sizes.density_layers,
        density_hidden=sizes.density_hidden,
    )
    model = SurveyModel(
        config,
        torch.as_tensor(wavelength.astype(float)),
        torch.as_tensor(spectra.segment.astype("int64")),
        spectra.line_spread.usual,
    )
    model.gap.scatter.fill_(0.0)
    return model
