"""All methods on one survey of known truth."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.baselines import ABLATIONS, METHODS, MORPH, THEORY, Method, lesson, made
from synth2obs.analysis.bootstrap import Score
from synth2obs.analysis.entrants import BridgeEntrant, Entrant
from synth2obs.analysis.networks import NETWORKS
from synth2obs.analysis.networks.lessons import Lessons, Theory
from synth2obs.analysis.proof.instrument_scores import instrument_scores
from synth2obs.analysis.proof.line_scores import Found, change_scores, find, line_scores, mean_change
from synth2obs.analysis.proof.settings import ProveConfig
from synth2obs.analysis.proof.spectrum_scores import Explained, explained, spectrum_scores
from synth2obs.analysis.proof.star_scores import label_scores, true_labels
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.star_lines import StarLines, star_lines
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.refine import ROUND
from synth2obs.models.fit.result import StarLabels
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
        theory: Spectra of the grid that training used.
    """

    bridge: Bridge
    name: str
    train: Observation
    stars: StarLabels
    held: Spectra
    truth: Truth
    theory: Theory


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
def score(survey: Survey, config: ProveConfig, report: Report = lambda text: None) -> Scores:
    """Every method of `METHODS`, some of `ABLATIONS`, and the networks, on the held-out stars.

    Args:
        survey: Trained, with the truth.
        config: Which of them are wanted, and how errors are drawn.
        report: Told what is being done.
    """
    seen = prepare(survey.bridge, survey.name, survey.held)
    truth, model = survey.truth, survey.bridge.survey(survey.name)
    scores = Scores(instrument=instrument_scores(model, truth))
    scores.arrays |= {"labels_true": truth.held_labels, "label_names": truth.label_names}
    theory: Explained | None = None
    for name, entrant, began in _entrants(survey, config, report):
        answer = entrant.answer(seen, None if theory is None or _own(survey, entrant) else theory.fit)
        row = label_scores(answer, truth, config.draws)
        scores.arrays |= {f"{name}_labels": answer.labels, f"{name}_label_errors": answer.errors}
        held = entrant.held(seen, *true_labels(survey.bridge, truth))
        seconds = Score(time.monotonic() - began)
        if held is not None and answer.fit is not None:
            found = explained(entrant, seen, answer.fit, held, truth)
            theory = theory or found
            row = {**spectrum_scores(survey.bridge, entrant, seen, found, theory, truth, config.draws), **row}
            scores.arrays |= {f"{name}_excess": found.left, f"{name}_unseen": found.unseen}
        lines, arrays = _lines(survey, name, entrant, config.draws)
        scores.methods[name] = {**row, **lines, "seconds": seconds}
        scores.arrays |= arrays
    return scores


def _own(survey: Survey, entrant: Entrant) -> bool:
    """Whether it is the bridge that was trained, which looks for labels itself."""
    return isinstance(entrant, BridgeEntrant) and entrant.bridge is survey.bridge


def _entrants(survey: Survey, config: ProveConfig, report: Report) -> Iterator[tuple[str, Entrant, float]]:
    """Methods, theory first, made when their turn comes; and when that began."""
    for name, method, bridge, began in _bridges(survey, config.ablations):
        report(f"scoring {name.replace('_', ' ')}")
        yield name, BridgeEntrant(bridge, survey.name, method), began
    lessons = None
    for name in config.networks.wanted():
        report(f"teaching and scoring {name.replace('_', ' ')}")
        began = time.monotonic()
        lessons = lessons or Lessons(survey.bridge, survey.theory, survey.train, survey.stars)
        yield name, NETWORKS[name](lessons, getattr(config.networks, name), config.seed), began


def _bridges(survey: Survey, ablations: Sequence[str]) -> Iterator[tuple[str, Method, Bridge, float]]:
    """What each method that is a bridge fits with."""
    bridge, first = survey.bridge, None
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


def _lines(survey: Survey, name: str, entrant: Entrant, draws: int) -> tuple[dict[str, Score], Arrays]:
    """Scores of what a method adds to theory, and the arrays behind them; nothing if it adds nothing."""
    truth = survey.truth
    if not isinstance(entrant, BridgeEntrant):
        added = entrant.change(true_labels(survey.bridge, truth)[0])
        if added is None:
            return {}, {}
        change = mean_change(survey.bridge, survey.name, added)
        arrays: Arrays = {"wavelength": change.wavelength, f"{name}_gap": change.mean}
        return change_scores(change, truth, draws), arrays
    if not entrant.method.morphed or not bool(entrant.bridge.survey(survey.name).gap.mean.any()):
        return {}, {}
    stars = _followed(survey, entrant.bridge, entrant.method)
    found = find(entrant.bridge, survey.name, truth, stars)
    return line_scores(found, truth, draws), _gap_arrays(name, found)


def _followed(survey: Survey, bridge: Bridge, method: Method) -> StarLines:
    """The training stars, in which a method follows lines."""
    options = replace(ROUND, scatter=method.weighted, population=method.population)
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
