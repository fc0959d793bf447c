"""The baselines: the same bridge with simpler things in the place of a survey's morph and gap."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from synth2obs.models.alignment.marginal import MarginalAlignment
from synth2obs.models.alignment.morph import Morph
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import Rounds, refine_gap, update_correlation, update_scatter
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.gap.model import Gap
from synth2obs.models.priors.labels import STELLAR
from synth2obs.models.survey import SurveyModel


@dataclass(frozen=True)
class Stars:
    """Training stars of a survey and where they stand: what a baseline may learn from."""

    seen: Observation
    x: Tensor
    rv: Tensor


def with_survey(bridge: Bridge, name: str, model: SurveyModel) -> Bridge:
    """The bridge with one survey's model replaced; everything else is shared."""
    models = {**{other: bridge.survey(other) for other in bridge.surveys}, name: model}
    return Bridge(bridge.labels, bridge.decoder, bridge.emulator, bridge.scale, models, bridge.population)


def bare(model: SurveyModel, degree: int) -> SurveyModel:
    """A survey without morph, its gap zero and of the given degree; its fitted line width is kept."""
    other = copy.deepcopy(model)
    other.config = replace(model.config, gap_degree=degree)
    other.morph = Morph(model.config.latent, model.morph.config).double()
    other.gap = Gap(other.config.features, model.config.samples)
    other.gap.scatter.copy_(model.gap.scatter)
    return other


def baselines(
    bridge: Bridge, name: str, stars: Stars, rounds: Rounds, iterations: int
) -> Mapping[str, Bridge]:
    """Bridges in which one survey has simpler parts.

    Theory with learned weights; a constant residual; a residual linear in the stars' own fitted labels; plain
    marginal alignment.
    """
    weighted = with_survey(bridge, name, _weighted(bridge, name, stars))
    found = {"theory_weighted": weighted}
    for method, degree in (("constant_residual", 0), ("linear_residual", 1)):
        trial = with_survey(bridge, name, bare(weighted.survey(name), degree))
        x, rv = stars.x, stars.rv
        for _ in range(iterations):
            fit, _ = refine_gap(trial, stars.seen, x, rv, rounds)
            x, rv = fit.theta, fit.rv
        found[method] = trial
    found["marginal_alignment"] = with_survey(bridge, name, _marginal(bridge, weighted.survey(name)))
    return found


def _weighted(bridge: Bridge, name: str, stars: Stars) -> SurveyModel:
    """Theory with the scatter and correlation of its own residuals on training stars."""
    model = bare(bridge.survey(name), 0)
    trial = with_survey(bridge, name, model)
    for scatter in (False, True):
        options = Options(steps=6, refresh=1, morphed=False, scatter=scatter)
        fit = fit_labels(trial, stars.seen, options, stars.x, stars.rv)
        update_scatter(model, stars.seen, fit, bridge.decoder.rest_wavelength)
        update_correlation(model, fit)
    return model


def _marginal(bridge: Bridge, weighted: SurveyModel) -> SurveyModel:
    model = bare(weighted, 0)
    aligned: nn.Module = MarginalAlignment(bridge.density, weighted.density)
    # It is called as a morph is, and is no flow.
    model.morph = aligned  # type: ignore[assignment]
    return model


@torch.no_grad()
def stellar_table(bridge: Bridge, x: Tensor) -> Tensor:
    """Teff, log g, [Fe/H] in their units, shape (N, 3), of scaled labels."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    return bridge.scale.inverse(x)[:, columns]
