"""Stage F: everything that a survey's report says, from held-out stars and with no training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from synth2obs.analysis.arrays import arrays_of
from synth2obs.analysis.baselines import MORPH, THEORY, baselines
from synth2obs.analysis.metrics import metrics_of
from synth2obs.analysis.recovery import Literature, literature
from synth2obs.analysis.star_lines import star_lines
from synth2obs.analysis.star_spectra import STARS
from synth2obs.analysis.survey_gap import Arrays
from synth2obs.analysis.trials import Tested, Trial, trial
from synth2obs.core.constants import LITERATURE_ERRORS
from synth2obs.core.spectra import Spectra
from synth2obs.io.strong_lines import STRONG_LINES, read_strong_lines
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.refine import ROUND
from synth2obs.models.fit.result import StarLabels
from synth2obs.models.fit.task import encode, fit_labels

Report = Callable[[str], None]

EXAMPLES, LINES = 4, 15
"""Stars shown one by one, and lines of the gap, unless others are wanted."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One survey's stars for an evaluation.

    Args:
        train, stars: Training stars with their labels and velocities: baselines learn from them, as the bridge did.
        test: Spectra of held-out stars.
        examples: Stars shown one by one.
        kept: Most stars whose spectra are kept, those of the worst χ² first.
        lines: Most lines listed.
        strong_lines: Table of lines that are named beside those of the gap.
        literature_errors: Of literature labels, by label, where a shard gives none.
    """

    name: str
    train: Observation
    stars: StarLabels
    test: Spectra
    examples: int = EXAMPLES
    kept: int = STARS
    lines: int = LINES
    strong_lines: str = STRONG_LINES
    literature_errors: Mapping[str, float] = field(default_factory=lambda: LITERATURE_ERRORS)


@torch.no_grad()
def evaluate(
    bridge: Bridge, sample: Sample, report: Report = lambda text: None
) -> tuple[dict[str, Any], Arrays]:
    """Metrics and arrays of one survey; see ``docs/report.md`` for both.

    Args:
        bridge: Trained.
        sample: Its stars.
        report: Told what is being done.
    """
    report(f"{sample.name}: baselines")
    bridges = {THEORY: bridge, **baselines(bridge, sample.train, sample.stars), MORPH: bridge}
    known = literature(bridge, sample.test, sample.literature_errors)
    tested = every_method(bridge, bridges, sample.name, sample.test, known, report)
    report(f"{sample.name}: lines of the gap")
    fit = fit_labels(bridge, sample.train, ROUND, sample.stars.x, sample.stars.rv)
    followed = star_lines(bridge, sample.train, fit)
    names = read_strong_lines(sample.strong_lines)
    metrics = metrics_of(tested, lines=sample.lines, trained=len(sample.train), stars=followed, names=names)
    return metrics, arrays_of(
        tested, encode(bridge, tested.seen), examples=sample.examples, stars=sample.kept
    )


@torch.no_grad()
def survey_metrics(
    bridge: Bridge, spectra: Spectra, survey: str, report: Report = lambda text: None
) -> tuple[dict[str, Any], Arrays]:
    """Metrics and arrays of a report on any spectra of a survey: theory, with weighted pixels, too, and morph.

    Args:
        bridge: Trained.
        spectra, survey: Observed, and by which survey.
        report: Told what is being done.
    """
    known = literature(bridge, spectra)
    methods = dict.fromkeys((THEORY, "theory_weighted", MORPH), bridge)
    tested = every_method(bridge, methods, survey, spectra, known, report)
    report(f"{survey}: lines of the gap")
    followed = star_lines(bridge, tested.seen, tested.trials[MORPH].free)
    metrics = metrics_of(
        tested, lines=LINES, trained=None, stars=followed, names=read_strong_lines(STRONG_LINES)
    )
    return metrics, arrays_of(tested, encode(bridge, tested.seen), examples=EXAMPLES, stars=STARS)


def every_method(
    bridge: Bridge,
    bridges: dict[str, Bridge],
    survey: str,
    spectra: Spectra,
    known: Literature,
    report: Report = lambda text: None,
) -> Tested:
    """Fit spectra with every method; all but theory and morph start from theory's labels.

    Args:
        bridge: Trained.
        bridges: What each method fits with, theory first.
        survey, spectra: Test stars, and by which survey they were observed.
        known: What the literature says of them.
        report: Told what is being done.
    """
    seen = prepare(bridge, survey, spectra)
    trials: dict[str, Trial] = {}
    for method, other in bridges.items():
        report(f"{survey}: {method.replace('_', ' ')}")
        start = None if other is bridge else trials[THEORY].free
        trials[method] = trial(other, seen, known, method, start)
    return Tested(bridge=bridge, survey=survey, spectra=spectra, seen=seen, known=known, trials=trials)
