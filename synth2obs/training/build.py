"""What a training starts from: an untrained bridge of the right shapes, beside its data."""

import torch

from synth2obs.models.alignment.density import FlowDensity
from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.emulator import EMULATORS
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.priors.population import Population
from synth2obs.models.survey import SurveyConfig, SurveyModel
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import Domains, SurveyData
from synth2obs.training.state import State


def first_state(config: TrainConfig, domains: Domains) -> State:
    """A training before its first stage; the seed sets every number that is drawn here."""
    torch.manual_seed(config.seed)
    return State(build_bridge(config, domains), domains, config.seed)


def build_bridge(config: TrainConfig, domains: Domains) -> Bridge:
    """An untrained bridge of the right shapes."""
    grid = domains.grid
    decoder = Decoder(
        torch.from_numpy(grid.spectra.wavelength),
        torch.from_numpy(grid.spectra.line_spread.sigma[0]),
        **config.decoder.model_dump(),
    )
    count = int((~grid.held_out).sum())
    emulator = EMULATORS[config.emulator.name](len(grid.labels), decoder.latent, count, config.emulator)
    scale = LabelScale(grid.labels, grid.values)
    if attach := getattr(emulator, "attach", None):
        attach(grid.labels, scale)
    surveys = survey_models(config, domains, decoder)
    population = Population.load() if config.population else None
    density = FlowDensity(decoder.latent, config.density).double()
    return Bridge(grid.labels, decoder, emulator, scale, surveys, population, density=density)


def survey_models(config: TrainConfig, domains: Domains, decoder: Decoder) -> dict[str, SurveyModel]:
    """Untrained models of all surveys, for a decoder."""
    sizes = SurveyConfig(
        latent=decoder.latent,
        samples=len(decoder.mean),
        continuum=config.continuum,
        morph=config.morph,
        density=config.density,
        gap=config.gap,
    )
    return {name: _survey_model(survey, sizes) for name, survey in domains.surveys.items()}


def _survey_model(survey: SurveyData, sizes: SurveyConfig) -> SurveyModel:
    spectra = survey.spectra
    wavelength = spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[0]
    return SurveyModel(
        sizes,
        torch.as_tensor(wavelength.astype(float)),
        torch.as_tensor(spectra.segment.astype("int64")),
        spectra.line_spread.usual,
    )
