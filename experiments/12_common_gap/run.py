"""What a survey of few stars gains from a gap that it has in common with another.

    python experiments/12_common_gap/run.py BRIDGE --few stelib --many miles --stars 8 15 30

The few survey's gap is learned anew from some of its training stars: alone, as the other survey's gap at its own
resolution, or as common and own part together. Stars that taught nothing are then fitted: with Teff, log g and [Fe/H]
held at the literature's, and with labels free. The literature evaluates and does nothing else. Line width, wavelengths
and pixel weights stay those of the bridge, which all its training stars have taught.
"""

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from synth2obs import load_bridge
from synth2obs.analysis.bare import bare, with_survey
from synth2obs.analysis.recovery import Literature, anchored, fitted_labels, literature
from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.common_gap import OwnGap, own_gap, share_gap, smoothings
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import ROUND, rms
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import load_domains

DRAWS = 400
ALONE = "own, constant"
COLUMNS = (
    "gap",
    "stars that teach",
    "anchored rms (%)",
    f"less that of {ALONE}",
    "free rms (%)",
    "Teff (K)",
    "log g",
    "[Fe/H]",
)


class Held(NamedTuple):
    """Stars that teach nothing, where fits of them start, and what the literature says."""

    seen: Observation
    start: LabelFit
    known: Literature


class Score(NamedTuple):
    """Of one method, star by star."""

    held: Tensor  # rms at the literature's labels, %
    free: Tensor  # rms with labels free, %
    labels: np.ndarray  # fitted less literature's, (N, 3)


def drawn(values: np.ndarray) -> np.ndarray:
    """Bootstrap samples of the first axis."""
    rows = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    return np.asarray(values[rows])


def middle(values: np.ndarray, digits: int = 3, sign: str = "") -> str:
    """Median ± its bootstrap error."""
    error = np.median(drawn(values), axis=1).std()
    return f"{np.median(values):{sign}.{digits}f} ± {error:.{digits}f}"


def wide(values: np.ndarray, digits: int) -> str:
    """Robust scatter ± its bootstrap error."""

    def width(each: np.ndarray) -> np.ndarray:
        return MAD_TO_SIGMA * np.median(np.abs(each - np.median(each, axis=-1, keepdims=True)), axis=-1)

    return f"{width(values):.{digits}f} ± {width(drawn(values)).std():.{digits}f}"


def score(bridge: Bridge, held: Held) -> Score:
    """Held-out stars by a bridge."""
    free = fit_labels(bridge, held.seen, Options(steps=7, refresh=1), held.start.x, held.start.rv)
    fixed = anchored(bridge, held.seen, held.known, free.rv)
    usable = held.known.usable
    difference = (fitted_labels(bridge, free) - held.known.table)[usable]
    return Score(100 * rms(fixed), 100 * rms(free)[torch.from_numpy(usable)], difference)


def learned_alone(
    bridge: Bridge, name: str, seen: Observation, fit: LabelFit, size: int
) -> tuple[Bridge, OwnGap]:
    """Two rounds of gap and labels from these stars alone, with some functions of labels."""
    trial = with_survey(bridge, name, bare(bridge.survey(name)))
    trial.survey(name).gap.use(size)
    own_gap(trial, seen, fit)
    fit = fit_labels(trial, seen, ROUND, fit.x, fit.rv)
    return trial, own_gap(trial, seen, fit)


def shared(trial: Bridge, own: dict[str, OwnGap]) -> Bridge:
    """A bridge with common gaps; the given one stays as it is."""
    made = copy.deepcopy(trial)
    share_gap(made, own)
    return made


def without_stars(own: OwnGap) -> OwnGap:
    """What a survey says that nobody has observed."""
    nothing = own.evidence._replace(
        **{key: torch.zeros_like(value) for key, value in own.evidence._asdict().items()}
    )
    return own._replace(evidence=nothing)


def taken_over(trial: Bridge, few: str, many: str, others: OwnGap) -> Bridge:
    """A bridge in which a survey has the gap of another, which is sharper, at its own resolution."""
    made, maps = copy.deepcopy(trial), smoothings(trial, [few, many])
    at_reference = maps[many].adjoint(others.posterior.mean.T)
    made.survey(few).gap.mean.copy_(maps[few](at_reference).T)
    return made


def methods(
    bridge: Bridge,
    few: str,
    many: str,
    others: OwnGap,
    seen: Observation,
    fit: LabelFit,
    order: Tensor,
    stars: list[int],
    whole: bool,
) -> Iterator[tuple[str, int, Bridge]]:
    """Every method with every number of stars."""
    nothing = with_survey(bridge, few, bare(bridge.survey(few)))
    nothing.survey(few).gap.scatter.copy_(nothing.survey(few).unexplained)
    yield "weighted theory", 0, nothing
    sizes = (1, bridge.survey(few).gap.size) if whole else (1,)
    for count in stars:
        rows = order[:count]
        taught = seen.take(rows), fit.take(rows)
        for label, size in zip(("constant", "all functions"), sizes, strict=False):
            trial, own = learned_alone(bridge, few, *taught, size)
            yield f"own, {label}", count, trial
            if count == stars[0] and size == 1:
                yield f"{many}'s gap", 0, taken_over(trial, few, many, others)
                yield "common by one survey", 0, shared(trial, {many: others, few: without_stars(own)})
            yield f"common + own, {label}", count, shared(trial, {many: others, few: own})


def row(name: str, count: int, got: Score, alone: Score | None) -> str:
    """Of the table."""
    gain = "" if alone is None else middle((got.held - alone.held).numpy(), 3, "+")
    cells = [name, str(count), middle(got.held.numpy(), 3), gain, middle(got.free.numpy(), 3)]
    for column, digits in zip(got.labels.T, (0, 2, 2), strict=True):
        cells.append(f"{middle(column, digits, '+')}; {wide(column, digits)}")
    return f"| {' | '.join(cells)} |"


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bridge", type=Path)
    parser.add_argument("--few", default="stelib")
    parser.add_argument("--many", default="miles")
    parser.add_argument("--stars", type=int, nargs="+", default=[8, 15, 30])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all-functions", action="store_true", help="also let the few stars teach slopes")
    given = parser.parse_args()
    bridge = load_bridge(given.bridge)
    config = TrainConfig(**bridge.card["config"])
    data = load_domains(config.data, config.seed).surveys
    seen = {
        name: prepare(bridge, name, data[name].spectra.take(data[name].rows("train")))
        for name in (given.many, given.few)
    }
    fit = {
        name: fit_labels(bridge, each, Options(steps=8, refresh=1, morphed=name == given.many))
        for name, each in seen.items()
    }
    others = own_gap(bridge, seen[given.many], fit[given.many])
    random = torch.Generator().manual_seed(given.seed)
    order = torch.randperm(len(seen[given.few]), generator=random)
    rows = data[given.few].rows("train")[order[max(given.stars) :].numpy()]
    rows = np.sort(np.concatenate([rows, data[given.few].rows("validation"), data[given.few].rows("test")]))
    spectra = data[given.few].spectra.take(rows)
    unseen = prepare(bridge, given.few, spectra)
    start = fit_labels(bridge, unseen, Options(steps=7, refresh=2, morphed=False))
    held = Held(unseen, start, literature(bridge, spectra))
    print(
        f"{len(rows)} {given.few} stars teach nothing, {int(held.known.usable.sum())} of them with literature\n"
    )
    print(f"| {' | '.join(COLUMNS)} |")
    print("|" + " --- |" * len(COLUMNS), flush=True)
    alone: dict[int, Score] = {}
    for name, count, trial in methods(
        bridge,
        given.few,
        given.many,
        others,
        seen[given.few],
        fit[given.few],
        order,
        given.stars,
        given.all_functions,
    ):
        got = score(trial, held)
        if name == ALONE:
            alone[count] = got
        print(row(name, count, got, alone.get(count)), flush=True)


if __name__ == "__main__":
    main()
