"""All methods on one survey of known truth."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.baselines import ABLATIONS, METHODS, MORPH, THEORY, Method, lesson, made
from synth2obs.analysis.proof.instrument_scores import instrument_scores
from synth2obs.analysis.proof.line_scores import Found, find, line_scores
from synth2obs.analysis.proof.star_scores import at_truth, excess, gap_explained, label_scores
from synth2obs.analysis.proof.statistics import Score
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.recovery import fitted_labels, label_errors
from synth2obs.analysis.star_lines import StarLines, star_lines
from synth2obs.analysis.trials import free_fit
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit, StarLabels
from synth2obs.models.fit.task import fit_labels

Report = Callable[[str], None]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A trained bridge and the stars of one simulated survey.

    Args:
        bridge: Trained.
        name: Of the survey in it.
        train: Training stars.
        stars: Where training left their labels.
        held: Held-out stars, cut to the range that was trained.
        truth: About them.
    """

    bridge: Bridge
    name: str
    train: Observation
    stars: StarLabels
    held: Spectra
    truth: Truth


@dataclass
class Scores:
    """Scores by method and key, those of the instrument, and the arrays behind them."""

    methods: dict[str, dict[str, Score]] = field(default_factory=dict)
    instrument: dict[str, Score] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)

    def jsonable(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """Value and error of every score of every method, null where there is none."""
        return {method: row_of(row) for method, row in self.methods.items()}


def row_of(row: Mapping[str, Score]) -> dict[str, dict[str, float | None]]:
    """Value and error of every score, null where there is none."""
    return {key: {"value": _number(s.value), "error": _number(s.error)} for key, s in row.items()}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@torch.no_grad()
def score(survey: Survey, ablations: Sequence[str], draws: int, report: Report = lambda text: None) -> Scores:
    """Every method of `METHODS`, and some of `ABLATIONS`, on the held-out stars.

    Args:
        survey: Trained, with the truth.
        ablations: Names of those that are wanted.
        draws: Bootstrap samples for an error.
        report: Told what is being done.
    """
    seen = prepare(survey.bridge, survey.name, survey.held)
    truth, model = survey.truth, survey.bridge.survey(survey.name)
    scores = Scores(instrument=instrument_scores(model, truth))
    scores.arrays |= {"labels_true": truth.held_labels, "label_names": truth.label_names}
    start: LabelFit | None = None
    theory: NDArray[np.float64] | None = None
    for name, method, bridge, began in _bridges(survey, ablations):
        report(f"scoring {name.replace('_', ' ')}")
        free = free_fit(bridge, seen, method, None if bridge is survey.bridge else start)
        left = excess(seen, at_truth(bridge, seen, truth, morphed=method.morphed), truth.noise)
        start, theory = (free, left) if theory is None else (start, theory)
        row = {"gap_explained": gap_explained(theory, left, truth.held_spectrum, draws)}
        row |= label_scores(bridge, free, truth, draws)
        seconds = Score(time.monotonic() - began)
        scores.arrays |= {
            f"{name}_excess": left,
            f"{name}_labels": fitted_labels(bridge, free),
            f"{name}_label_errors": label_errors(bridge, free),
        }
        if method.morphed and bool(bridge.survey(survey.name).gap.mean.any()):
            found = find(bridge, survey.name, truth, _followed(survey, bridge, method))
            row |= line_scores(found, truth, draws)
            scores.arrays |= _gap_arrays(name, found)
        scores.methods[name] = {**row, "seconds": seconds}
    return scores


def _bridges(survey: Survey, ablations: Sequence[str]) -> Iterator[tuple[str, Method, Bridge, float]]:
    """What each method fits with, theory first, made when its turn comes; and when that began."""
    bridge = survey.bridge
    first = None
    wanted: Mapping[str, Method] = {**METHODS, **{name: ABLATIONS[name] for name in ablations}}
    for name, method in wanted.items():
        began = time.monotonic()
        own = name in (THEORY, MORPH) or (
            name in ABLATIONS and method.alignment == "identity" and not method.gap
        )
        if own:
            yield name, method, bridge, began
            continue
        first = first or lesson(bridge, survey.train, survey.stars)
        yield name, method, made(bridge, first, method), began


def _followed(survey: Survey, bridge: Bridge, method: Method) -> StarLines:
    """The training stars, in which a method follows lines."""
    options = Options(steps=6, refresh=1, scatter=method.weighted, population=method.population)
    fit = fit_labels(bridge, survey.train, options, survey.stars.x, survey.stars.rv)
    return star_lines(bridge, survey.train, fit)


def _gap_arrays(name: str, found: Found) -> Arrays:
    return {
        "wavelength": found.wavelength,
        f"{name}_gap": found.seen,
        f"{name}_gap_error": found.gap["gap_error"],
        f"{name}_difference": found.gap["difference_mean"],
        f"{name}_line_wavelength": np.array([line.wavelength for line in found.lines]),
        f"{name}_line_element": np.array([line.element for line in found.lines], dtype="U8"),
        f"{name}_line_probability": np.array([line.probability for line in found.lines]),
        f"{name}_line_unexplained": np.array([line.unexplained for line in found.lines]),
        f"{name}_line_significance": np.array([line.significance for line in found.lines]),
    }
