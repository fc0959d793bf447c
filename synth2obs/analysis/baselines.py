"""The baselines: the same bridge with simpler things in the place of a survey's morph and gap."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from synth2obs.analysis.bare import bare, with_survey
from synth2obs.core.labels import STELLAR
from synth2obs.models.alignment.learn import teach
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.lessons import encoded_stars
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.refine import ROUND, refine
from synth2obs.models.fit.result import LabelFit, StarLabels
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.survey import SurveyModel


@dataclass(frozen=True, kw_only=True)
class Method:
    """How theory meets spectra: what stands in the place of a survey's morph and gap.

    Args:
        alignment: Entry of `models.alignment.ALIGNMENTS`.
        gap: Entry of `models.gap.GAPS` that is measured; empty for no gap.
        morphed: Whether these parts take part in fits; False is plain theory.
        weighted: Whether fits know the scatter that theory leaves; False is noise alone.
        population: Whether fits use the stellar-evolution prior, if the bridge has one.
    """

    alignment: str = "identity"
    gap: str = ""
    morphed: bool = True
    weighted: bool = True
    population: bool = True


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

ABLATIONS: dict[str, Method] = {
    "alignment": Method(alignment="conditional", gap="quadratic"),
    "all_features": Method(gap="quadratic"),
    "no_population": Method(population=False),
    "no_weights": Method(weighted=False),
}
"""The morph with a part added or left out; those without alignment and gap of their own have the bridge's."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Training stars by theory with weighted pixels: what every baseline begins with.

    Args:
        model: The survey without morph and gap, with the weights that the bridge's own fits have.
        seen: Training stars.
        fit: Their labels.
    """

    model: SurveyModel
    seen: Observation
    fit: LabelFit


def baselines(bridge: Bridge, seen: Observation, stars: StarLabels) -> Mapping[str, Bridge]:
    """Bridges in which one survey has simpler parts, learned as the bridge's own are.

    Theory with learned weights; a constant residual; a residual linear in the stars' own fitted labels; plain
    marginal alignment.

    Args:
        bridge: Trained.
        seen: Training stars of the survey.
        stars: Where they stand.
    """
    first = lesson(bridge, seen, stars)
    return {name: made(bridge, first, METHODS[name]) for name in BASELINES}


def lesson(bridge: Bridge, seen: Observation, stars: StarLabels) -> Lesson:
    """The stars by theory with weighted pixels; arguments as for `baselines`."""
    model = bare(bridge.survey(seen.survey), "constant")
    model.gap.scatter.copy_(model.unexplained)
    fit = fit_labels(with_survey(bridge, seen.survey, model), seen, ROUND, stars.x, stars.rv)
    return Lesson(model=model, seen=seen, fit=fit)


def made(bridge: Bridge, first: Lesson, method: Method) -> Bridge:
    """A bridge in which one survey has a method's parts."""
    seen, fit = first.seen, first.fit
    model = bare(first.model, method.gap or "constant", method.alignment)
    trial = with_survey(bridge, seen.survey, model)
    aligned = any(True for _ in model.morph.parameters())
    if aligned:
        random = torch.Generator().manual_seed(0)
        teach(model.morph, encoded_stars(trial, seen, fit.x), model.config.morph, random)
    if method.gap and aligned:
        fit = fit_labels(trial, seen, ROUND, fit.x, fit.rv)
    if method.gap:
        refine(trial, seen, fit)
    return trial


@torch.no_grad()
def stellar_table(bridge: Bridge, x: Tensor) -> Tensor:
    """Teff, log g, [Fe/H] in their units, shape (N, 3), of scaled labels."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    return bridge.scale.inverse(x)[:, columns]
