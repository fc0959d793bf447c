"""A bridge with one survey's parts replaced."""

import copy
from typing import Any

from synth2obs.core.config import Section
from synth2obs.models.alignment import ALIGNMENTS
from synth2obs.models.bridge import Bridge
from synth2obs.models.gap import GAPS
from synth2obs.models.label_map import LabelMap
from synth2obs.models.survey import SurveyModel, make_gap, make_morph


def with_survey(bridge: Bridge, name: str, model: SurveyModel) -> Bridge:
    """The bridge with one survey's model replaced; everything else is shared."""
    models = {**{other: bridge.survey(other) for other in bridge.surveys}, name: model}
    return bridge.of_same_theory(models)


def bare(model: SurveyModel, gap: str = "", alignment: str = "identity") -> SurveyModel:
    """A survey whose morph, gap and label map are new and do nothing yet; line width, scatter and weights are kept.

    Args:
        model: The survey; it stays as it is.
        gap: Entry of `models.gap.GAPS`, with all its features; its own if empty, with those that it uses.
        alignment: Entry of `models.alignment.ALIGNMENTS`; its own if empty.
    """
    other, config = copy.deepcopy(model), model.config
    morph = _settings(ALIGNMENTS[alignment or config.morph.name], config.morph)
    kind = _settings(GAPS[gap or config.gap.name], config.gap)
    other.config = config.model_copy(update={"morph": morph, "gap": kind})
    other.label_map = LabelMap()
    other.morph = make_morph(config.latent, morph)
    other.gap = make_gap(other.gap.reading, config.samples, kind)
    other.gap.scatter.copy_(model.gap.scatter)
    if not gap:
        other.gap.use(int(model.gap.used))
    return other


def _settings(entry: Any, like: Section) -> Any:
    """Settings of a registry's entry: those that it shares with another's, its own defaults for the rest."""
    shared = {key: value for key, value in like if key != "name" and key in entry.Config.model_fields}
    return entry.Config(**shared)
