"""The parts of the morph on real stars: a trained bridge without one part at a time, beside its baselines.

    python experiments/07_proof/real.py BRIDGE

Test stars: rms with Teff, log g and [Fe/H] held at the literature's, χ² with labels free, and fitted labels against
the literature's.
Errors are those of a median, by bootstrap over stars.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs import load_bridge
from synth2obs.analysis.baselines import ABLATIONS, METHODS, MORPH, THEORY, lesson, made
from synth2obs.analysis.recovery import anchored, fitted_labels, literature
from synth2obs.analysis.trials import free_fit
from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import rms
from synth2obs.models.fit.result import LabelFit, StarLabels
from synth2obs.models.fit.task import fit_labels
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import SurveyData, load_domains

SHOWN = (
    "theory",
    "theory_weighted",
    "constant_residual",
    "linear_residual",
    "alignment",
    "all_features",
    "morph",
)
DRAWS, DIGITS = 400, (0, 2, 2)


def spread(values: NDArray[np.float64]) -> tuple[float, float]:
    """A median and its bootstrap error."""
    random = np.random.default_rng(0)
    draws = np.median(values[random.integers(0, len(values), (DRAWS, len(values)))], axis=1)
    return float(np.median(values)), float(draws.std())


def robust(values: NDArray[np.float64]) -> tuple[float, float]:
    """A scatter and its bootstrap error."""
    random = np.random.default_rng(0)
    drawn = values[random.integers(0, len(values), (DRAWS, len(values)))]
    wide = MAD_TO_SIGMA * np.median(np.abs(drawn - np.median(drawn, axis=1, keepdims=True)), axis=1)
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values)))), float(wide.std())


def cells(values: Tensor, digits: int, unit: float = 1.0) -> str:
    """Median ± error."""
    middle, error = spread(unit * values.double().numpy())
    return f"{middle:.{digits}f} ± {error:.{digits}f}"


def bridges(
    bridge: Bridge, survey: str, data: SurveyData, methods: Sequence[str] = SHOWN
) -> dict[str, Bridge]:
    """What each method fits with."""
    train = prepare(bridge, survey, data.spectra.take(data.rows("train")))
    fit = fit_labels(bridge, train, Options(morphed=False))
    stars = StarLabels(fit.x, fit.rv, fit.chi2_per_pixel)
    first, found = lesson(bridge, train, stars), {THEORY: bridge, MORPH: bridge}
    for name in methods:
        if name not in found:
            found[name] = made(bridge, first, {**METHODS, **ABLATIONS}[name])
    return found


@torch.no_grad()
def table(bridge: Bridge, survey: str, data: SurveyData) -> None:
    """Print one survey's."""
    spectra = data.spectra.take(data.rows("test"))
    seen, known = prepare(bridge, survey, spectra), literature(bridge, spectra)
    own, start = bridges(bridge, survey, data), None
    print(f"\n{survey}, {int(known.usable.sum())} stars\n")
    print(
        "| | anchored rms (%) | χ² a pixel, labels free | Teff (K) | log g | [Fe/H] |"
        "\n| --- | --- | --- | --- | --- | --- |"
    )
    for name in SHOWN:
        method = {**METHODS, **ABLATIONS}[name]
        free: LabelFit = free_fit(own[name], seen, method, start)
        start = start or free
        held = anchored(own[name], seen, known, free.rv, morphed=method.morphed)
        difference = (fitted_labels(own[name], free) - known.table)[known.usable]
        labels = []
        for column, digits in zip(difference.T, DIGITS, strict=True):
            (bias, error), (wide, unsure) = spread(column), robust(column)
            labels.append(f"{bias:+.{digits}f} ± {error:.{digits}f}; {wide:.{digits}f} ± {unsure:.{digits}f}")
        row = [name.replace("_", " "), cells(rms(held), 2, 100.0), cells(free.chi2_per_pixel, 2), *labels]
        print(f"| {' | '.join(row)} |", flush=True)


def surveys(doc: str | None) -> Iterator[tuple[Bridge, str, SurveyData]]:
    """The bridge that the command line names, with each of its surveys."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bridge")
    bridge = load_bridge(parser.parse_args().bridge)
    config = TrainConfig(**bridge.card["config"])
    for name, data in load_domains(config.data, config.seed).surveys.items():
        yield bridge, name, data


def main() -> None:
    """All surveys of a bridge."""
    for each in surveys(__doc__):
        table(*each)


if __name__ == "__main__":
    main()
