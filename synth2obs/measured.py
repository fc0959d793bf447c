"""Everything that a run's ``metrics.json`` and arrays hold, measured on stars that took no part."""

from typing import Any

import numpy as np

from synth2obs.analysis.evaluate import Sample, evaluate
from synth2obs.analysis.placebo import placebo
from synth2obs.analysis.same_star import Pairs, same_star
from synth2obs.core.constants import METRICS_FORMAT
from synth2obs.core.told import Say
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import Domains, SurveyData
from synth2obs.training.run import Trained
from synth2obs.training.state import State
from synth2obs.training.theory_errors import grid_latents, held_out_errors


def measure(outcome: Trained, say: Say) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """Everything in ``metrics.json`` and the arrays of every survey."""
    state, config = outcome.state, outcome.config
    metrics: dict[str, Any] = {"format": METRICS_FORMAT, "surveys": {}, "run": outcome.card | {"reasons": {}}}
    arrays = {}
    for name, survey in state.domains.surveys.items():
        metrics["surveys"][name], arrays[name] = evaluate(
            state.bridge, _sample(state, config, name, survey), say
        )
    for name in state.domains.surveys:
        say(f"{name}: same stars in two telescopes")
        _add_same_star(state, metrics, name)
    say("placebo: the grid against itself")
    grid, first = state.domains.grid, state.bridge.surveys[0]
    theory = state.theory(first)
    held = ~state.kept[theory.rows]
    metrics["placebo"] = placebo(
        state.bridge,
        first,
        theory.flux[held],
        grid.values[theory.rows[held].numpy()],
        snr=config.evaluation.placebo_scale,
        seed=config.seed,
    )
    metrics["decoder"] = held_out_errors(state, grid_latents(state))
    return metrics, arrays


def _sample(state: State, config: TrainConfig, name: str, survey: SurveyData) -> Sample:
    return Sample(
        name=name,
        train=state.seen[name],
        stars=state.stars[name],
        test=survey.spectra.take(survey.rows("test")),
        examples=config.evaluation.examples,
        kept=config.evaluation.stars,
        lines=config.evaluation.lines,
        strong_lines=config.evaluation.strong_lines,
        literature_errors=config.evaluation.literature_errors.model_dump(),
    )


def _add_same_star(state: State, metrics: dict[str, Any], name: str) -> None:
    pairs = [
        p
        for other in state.domains.surveys
        if other != name
        for p in [tested_in_both(state.domains, other, name)]
    ]
    best = max(pairs, key=lambda pair: 0 if pair is None else len(pair.first_spectra), default=None)
    if best is None:
        metrics["surveys"][name]["same_star"] = None
        metrics["run"]["reasons"][name] = {"same_star": "no test star is in another survey of this run"}
        return
    metrics["surveys"][name]["same_star"] = same_star(state.bridge, best)


def tested_in_both(domains: Domains, first: str, second: str) -> Pairs | None:
    """Test stars that both surveys have, row by row; None without one."""
    one, two = domains.surveys[first], domains.surveys[second]
    rows = {star: row for row, star in enumerate(one.star) if one.part[row] == "test"}
    common = [(rows[star], row) for row, star in enumerate(two.star) if star in rows]
    if not common:
        return None
    left, right = np.array(common).T
    return Pairs(first, one.spectra.take(left), second, two.spectra.take(right))
