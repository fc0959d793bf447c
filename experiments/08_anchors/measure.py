"""What anchors do to the labels of other stars: a trained bridge before and after it learns a label map.

    python experiments/08_anchors/table.py gaia_benchmark_v3.csv anchors.csv
    python experiments/08_anchors/measure.py BRIDGE anchors.csv

Anchors of the training part teach; stars of the test part test: by the literature's labels, and by benchmark labels.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs import load_bridge
from synth2obs.analysis.labels import Labels, labels_of
from synth2obs.analysis.recovery import literature
from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.core.spectra import Spectra
from synth2obs.io.anchors import LABELS, Anchors, read_anchors
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import StarLabels
from synth2obs.models.fit.task import fit_labels
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import load_domains
from synth2obs.training.stages.anchors import AnchorsConfig, AnchorsStage
from synth2obs.training.state import State

Floats = NDArray[np.float64]
DIGITS = (0, 2, 2)
LITERATURE = (80.0, 0.15, 0.1)
"""Errors of the libraries' labels, as in `05_label_fits`."""


def state_of(bridge: Bridge) -> State:
    """The training's data beside its bridge, its training stars where the bridge fits them."""
    config = TrainConfig(**bridge.card["config"])
    state = State(bridge, load_domains(config.data, config.seed), config.seed)
    for name, seen in state.seen.items():
        fit = fit_labels(bridge, seen, Options())
        state.stars[name] = StarLabels(fit.x, fit.rv, fit.chi2_per_pixel)
    return state


def others(state: State, survey: str) -> Spectra:
    """Stars that took no part in the training."""
    data = state.domains.surveys[survey]
    return data.spectra.take(np.nonzero(data.part == "test")[0])


def stacked(found: Labels) -> tuple[Floats, Floats]:
    """Teff, log g, [Fe/H] and their errors, (N, 3)."""
    columns = (np.stack([part[name] for name in LABELS], axis=1) for part in (found.values, found.errors))
    value, error = columns
    return value, error


def compared(difference: Floats, quoted: Floats, own: Floats) -> list[str]:
    """Bias ± scatter of each label, its median quoted error, and the share of stars within both errors."""
    if not len(difference):
        return ["–"] * 3
    bias = np.median(difference, axis=0)
    scatter = MAD_TO_SIGMA * np.median(np.abs(difference - bias), axis=0)
    inside = (np.abs(difference) < np.hypot(quoted, own)).mean(axis=0)
    rows = zip(DIGITS, bias, scatter, np.median(quoted, axis=0), inside, strict=True)
    return [f"{b:+.{d}f} ± {s:.{d}f} ({e:.{d}f}; {100 * share:.0f} %)" for d, b, s, e, share in rows]


def rows(state: State, survey: str, anchors: Anchors, title: str) -> list[list[str]]:
    """Against the literature, and against benchmark labels of stars that taught nothing."""
    spectra = others(state, survey)
    value, error = stacked(labels_of(state.bridge, spectra, survey))
    known = literature(state.bridge, spectra)
    usable = known.usable
    first = compared((value - known.table)[usable], error[usable], np.array(LITERATURE))
    place = {str(star): row for row, star in enumerate(anchors.id)}
    pairs = [(row, place[str(star)]) for row, star in enumerate(spectra.id) if str(star) in place]
    here, there = (np.array(part, dtype=int) for part in (zip(*pairs, strict=True) if pairs else ((), ())))
    second = compared(value[here] - anchors.labels[there], error[here], anchors.errors[there])
    return [
        [f"{survey}, literature, {int(usable.sum())} stars", title, *first],
        [f"{survey}, benchmarks, {len(pairs)} stars", title, *second],
    ]


def maps(bridge: Bridge, survey: str) -> str:
    """The shift of a star in the middle of the grid, its error, and the scatter of single anchors."""
    own = bridge.survey(survey).label_map
    x = torch.zeros(1, len(bridge.labels), dtype=torch.float64)
    slope, left = bridge.scale.slope(x)[0, :3], (own.variance(x) - own.scattered(x))[0, :3].sqrt()
    parts = zip(
        DIGITS, (own(x) - x)[0, :3] * slope, left * slope.abs(), own.scatter * slope.abs(), strict=True
    )
    return ", ".join(f"{v:+.{d}f} ± {e:.{d}f} (scatter {s:.{d}f})" for d, v, e, s in parts)


@torch.no_grad()
def main() -> None:
    """Fit, learn, fit again, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bridge")
    parser.add_argument("table", type=Path)
    args = parser.parse_args()
    state = state_of(load_bridge(args.bridge))
    anchors = {name: read_anchors(args.table, name) for name in state.bridge.surveys}
    table = {name: rows(state, name, found, "without") for name, found in anchors.items()}
    stage = AnchorsStage(state, AnchorsConfig(table=str(args.table)))
    for index in range(stage.steps):
        stage.step(index)
    for name in stage.surveys:
        print(f"{name}, {len(stage.rows[name])} anchors: {maps(state.bridge, name)}\n")
    print("| stars | anchors | Teff (K) | log g | [Fe/H] |\n| --- | --- | --- | --- | --- |")
    for name, found in anchors.items():
        for before, after in zip(table[name], rows(state, name, found, "with"), strict=True):
            print(f"| {' | '.join(before)} |\n| {' | '.join(['', *after[1:]])} |")


if __name__ == "__main__":
    main()
