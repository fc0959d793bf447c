"""Labels of every star by trainings that have not seen it: each of K trainings leaves a Kth of the stars out.

    python experiments/09_lamost_dr1/folds.py CONFIG [KEY=VALUE ...] -o FILE.npz [--methods morph,theory_weighted]

Stars with Teff, log g and [Fe/H] in the catalogue, inside the grid, are fitted by each method: labels free, and held at
the catalogue's. The file is what table.py reads.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.baselines import ABLATIONS, METHODS
from synth2obs.analysis.recovery import anchored, fitted_labels, label_errors, literature
from synth2obs.analysis.trials import free_fit
from synth2obs.core.chance import chance
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.refine import rms
from synth2obs.models.fit.surprise import surprise
from synth2obs.training.build import first_state
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import Domains, SurveyData, load_domains
from synth2obs.training.run import read_config, stages_of
from synth2obs.training.stages.theory import TheoryStage
from synth2obs.training.state import State

sys.path.append(str(Path(__file__).parents[1] / "07_proof"))
from real import SHOWN, bridges  # noqa: E402 - found once its folder is on the path

Columns = dict[str, NDArray[Any]]

HOW = {**METHODS, **ABLATIONS}


def turn(stars: NDArray[np.str_], seed: int, folds: int) -> NDArray[np.intp]:
    """Which training tests each star, shape (N,): folds of equal size, by a hash of names."""
    names, index = np.unique(stars, return_inverse=True)
    order = np.argsort([chance(seed, f"fold/{name}") for name in names])
    fold = np.empty(len(names), np.intp)
    fold[order] = np.arange(len(names)) % folds
    return fold[index]


def split(domains: Domains, config: TrainConfig, fold: int, folds: int) -> Domains:
    """The same data, with one fold of every survey to test and all other stars to train."""
    surveys = {
        name: replace(data, part=np.where(turn(data.star, config.seed, folds) == fold, "test", "train"))
        for name, data in domains.surveys.items()
    }
    return replace(domains, surveys=surveys)


def train(config: TrainConfig, domains: Domains, theory: dict[str, torch.Tensor]) -> State:
    """A trained state; what the first stage learns from the grid alone is kept in ``theory`` for the next fold."""
    state = first_state(config, domains)
    for make in stages_of(config):
        if make is TheoryStage and theory:
            state.bridge.load_state_dict(theory)
            continue
        stage = make(state, getattr(config, make.name))
        for index in range(stage.steps):
            stage.step(index)
        stage.finish()
        if make is TheoryStage:
            theory.update({key: value.clone() for key, value in state.bridge.state_dict().items()})
    state.bridge.eval()
    return state


@torch.no_grad()
def measured(bridge: Bridge, survey: str, data: SurveyData, methods: Sequence[str]) -> Columns:
    """Test stars of one fold: names, S/N, catalogue, and what each method finds."""
    spectra = data.spectra.take(data.rows("test"))
    spectra = spectra.take(literature(bridge, spectra).usable)
    known, seen = literature(bridge, spectra), prepare(bridge, survey, spectra)
    own = bridges(bridge, survey, data, methods)
    found: Columns = {"id": spectra.id, "snr_g": spectra.native["snr_g"], "catalogue": known.table}
    start = None
    for name in methods:
        free = free_fit(own[name], seen, HOW[name], start)
        start = start or free
        held = anchored(own[name], seen, known, free.rv, morphed=HOW[name].morphed)
        found |= {
            f"{name}/labels": fitted_labels(own[name], free),
            f"{name}/errors": label_errors(own[name], free),
            f"{name}/chi2": free.chi2_per_pixel.numpy(),
            f"{name}/rms": rms(held).numpy(),
            f"{name}/surprise": surprise(free).numpy(),
        }
    return found


def main() -> None:
    """Train, fit, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("settings", nargs="*")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--methods", default=",".join(SHOWN))
    args = parser.parse_args()
    config = read_config(args.config, args.settings)
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    domains, theory, rows = load_domains(config.data, config.seed), {}, []
    (survey,) = domains.surveys
    for fold in range(args.folds):
        began, part = time.process_time(), split(domains, config, fold, args.folds)
        state = train(config, part, theory)
        trained = time.process_time() - began
        rows.append(measured(state.bridge, survey, part.surveys[survey], args.methods.split(",")))
        print(
            f"fold {fold}: {trained:.0f} s of CPU to train, {time.process_time() - began:.0f} s in all",
            flush=True,
        )
    np.savez(args.out, **{name: np.concatenate([row[name] for row in rows]) for name in rows[0]})


if __name__ == "__main__":
    main()
