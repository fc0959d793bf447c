"""What a training starts from: an untrained bridge of the right shapes, beside its data."""

from collections.abc import Mapping

import torch

from synth2obs.core.spectra import Spectra
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
    decoders = {name: _decoder(spectra, config) for name, spectra in grid.layers.items()}
    decoder = decoders.pop("")
    count = int((~grid.held_out).sum())
    emulator = EMULATORS[config.emulator.name](len(grid.labels), decoder.latent, count, config.emulator)
    scale = LabelScale(grid.labels, grid.values)
    if attach := getattr(emulator, "attach", None):
        attach(grid.labels, scale)
    surveys = survey_models(config, domains, {"": decoder, **decoders})
    population = Population.load() if config.population else None
    density = FlowDensity(decoder.latent, config.density).double()
    theory = grid.labels, decoder, emulator, scale
    return Bridge(*theory, surveys, population, density=density, finer=decoders)


def _decoder(grid: Spectra, config: TrainConfig) -> Decoder:
    rest, sigma = (torch.from_numpy(values) for values in (grid.wavelength, grid.line_spread.sigma[0]))
    return Decoder(rest, sigma, **config.decoder.model_dump())


def survey_models(
    config: TrainConfig, domains: Domains, decoders: Mapping[str, Decoder]
) -> dict[str, SurveyModel]:
    """Untrained models of all surveys, for the decoders of a bridge's layers."""
    return {
        name: _survey_model(survey, _sizes(config, name, survey.layer, decoders[survey.layer]))
        for name, survey in domains.surveys.items()
    }


def _sizes(config: TrainConfig, name: str, layer: str, decoder: Decoder) -> SurveyConfig:
    return SurveyConfig(
        latent=decoder.latent,
        samples=len(decoder.mean),
        layer=layer,
        continuum=config.continuum.of(name),
        morph=config.morph,
        density=config.density,
        gap=config.gap,
    )


def _survey_model(survey: SurveyData, sizes: SurveyConfig) -> SurveyModel:
    spectra = survey.spectra
    wavelength = spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[0]
    return SurveyModel(
        sizes,
        torch.as_tensor(wavelength.astype(float)),
        torch.as_tensor(spectra.segment.astype("int64")),
        spectra.line_spread.usual,
    )
