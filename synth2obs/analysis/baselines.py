"""The baselines: the same bridge with simpler things in the place of a survey's morph and gap."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synth2obs.core.config import Section
from synth2obs.models.alignment import ALIGNMENTS
from synth2obs.models.alignment.learn import teach
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.lessons import encoded_stars
from synth2obs.models.fit.noise import learn_noise
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import refine, update_scatter
from synth2obs.models.fit.result import StarLabels
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.fit.teachers import teachers
from synth2obs.models.gap import GAPS
from synth2obs.models.priors.labels import STELLAR
from synth2obs.models.survey import SurveyModel, make_gap, make_morph


@dataclass(frozen=True, kw_only=True)
class Method:
    """How theory meets spectra: what stands in the place of a survey's morph and gap.

    Args:
        alignment: Entry of `models.alignment.ALIGNMENTS`.
        gap: Entry of `models.gap.GAPS` that is measured; empty for no gap.
        morphed: Whether these parts take part in fits; False is plain theory.
        weighted: Whether fits know the scatter that theory leaves; False is noise alone.
    """

    alignment: str = "identity"
    gap: str = ""
    morphed: bool = True
    weighted: bool = True


THEORY, MORPH = "theory", "morph"

METHODS: dict[str, Method] = {
    THEORY: Method(morphed=False, weighted=False),
    "theory_weighted": Method(morphed=False),
    "constant_residual": Method(gap="constant"),
    "linear_residual": Method(gap="linear"),
    "marginal_alignment": Method(alignment="marginal"),
    MORPH: Method(),
}
"""Everything that is compared, in the order of the tables; the last is the bridge itself as it was configured."""

BASELINES = tuple(name for name in METHODS if name not in (THEORY, MORPH))
"""Those that have to be made."""


def with_survey(bridge: Bridge, name: str, model: SurveyModel) -> Bridge:
    """The bridge with one survey's model replaced; everything else is shared."""
    models = {**{other: bridge.survey(other) for other in bridge.surveys}, name: model}
    made = Bridge(
        bridge.labels,
        bridge.decoder,
        bridge.emulator,
        bridge.scale,
        models,
        bridge.population,
        density=bridge.density,
    )
    made.distance, made.theory_error = bridge.distance, bridge.theory_error
    return made


def bare(model: SurveyModel, gap: str = "", alignment: str = "identity") -> SurveyModel:
    """A survey whose morph and gap are new and do nothing yet; its fitted line width and scatter are kept.

    Args:
        model: The survey; it stays as it is.
        gap: Entry of `models.gap.GAPS`; its own if empty.
        alignment: Entry of `models.alignment.ALIGNMENTS`; its own if empty.
    """
    other, config = copy.deepcopy(model), model.config
    morph = _settings(ALIGNMENTS[alignment or config.morph.name], config.morph)
    kind = _settings(GAPS[gap or config.gap.name], config.gap)
    other.config = config.model_copy(update={"morph": morph, "gap": kind})
    other.morph = make_morph(config.latent, morph)
    other.gap = make_gap(other.gap.reading, config.samples, kind)
    other.gap.scatter.copy_(model.gap.scatter)
    return other


def _settings(entry: Any, like: Section) -> Any:
    """Settings of a registry's entry: those that it shares with another's, its own defaults for the rest."""
    shared = {key: value for key, value in like if key != "name" and key in entry.Config.model_fields}
    return entry.Config(**shared)


def baselines(bridge: Bridge, seen: Observation, stars: StarLabels) -> Mapping[str, Bridge]:
    """Bridges in which one survey has simpler parts, learned as the bridge's own are.

    Theory with learned weights; a constant residual; a residual linear in the stars' own fitted labels; plain
    marginal alignment.

    Args:
        bridge: Trained.
        seen: Training stars of the survey.
        stars: Where they stand.
    """
    weighted = _weighted(bridge, seen, stars)
    return {name: _made(bridge, weighted, METHODS[name], seen, stars) for name in BASELINES}


def _made(
    bridge: Bridge, weighted: SurveyModel, method: Method, seen: Observation, stars: StarLabels
) -> Bridge:
    model = bare(weighted, method.gap or "constant", method.alignment)
    trial = with_survey(bridge, seen.survey, model)
    if any(True for _ in model.morph.parameters()):
        random = torch.Generator().manual_seed(0)
        teach(model.morph, encoded_stars(trial, seen, stars.x), model.config.morph, random)
    if method.gap:
        refine(trial, seen, stars.x, stars.rv)
    return trial


def _weighted(bridge: Bridge, seen: Observation, stars: StarLabels) -> SurveyModel:
    """Theory with the scatter and correlation of its own residuals on training stars."""
    model = bare(bridge.survey(seen.survey), "constant")
    trial = with_survey(bridge, seen.survey, model)
    for scatter in (False, True):
        options = Options(steps=6, refresh=1, morphed=False, scatter=scatter)
        fit = fit_labels(trial, seen, options, stars.x, stars.rv)
        rows = teachers(trial, fit, model.gap.config.outlier).nonzero()[:, 0]
        update_scatter(trial, seen, fit, rows)
        learn_noise(model, seen, fit, rows)
    return model


@torch.no_grad()
def stellar_table(bridge: Bridge, x: Tensor) -> Tensor:
    """Teff, log g, [Fe/H] in their units, shape (N, 3), of scaled labels."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    return bridge.scale.inverse(x)[:, columns]
