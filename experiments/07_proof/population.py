"""Is a survey's population better known by a flow? Test stars under densities that training stars taught.

    python experiments/07_proof/population.py BRIDGE

For each survey of a trained bridge, mean over its test stars of ln p(spectrum) with the labels drawn from a density of
Teff, log g and [Fe/H], less that of a normal distribution with the moments of the training stars' fitted labels: by
`survey_population` of the training stars, and by a Gaussian kernel density of their fitted labels.
"""

import argparse
import math

import numpy as np
import torch
from scipy.special import logsumexp
from scipy.stats import gaussian_kde, multivariate_normal

from synth2obs import load_bridge
from synth2obs.analysis.survey_population import DRAWS, survey_population
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import teachers
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.priors.label_density import drawn
from synth2obs.models.priors.labels import STELLAR
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import SurveyData, load_domains


def fitted(bridge: Bridge, survey: str, data: SurveyData, part: str) -> LabelFit:
    """Stars of a part, inside the grid, without the stellar-evolution prior."""
    seen = prepare(bridge, survey, data.spectra.take(data.rows(part)))
    fit = fit_labels(bridge, seen, Options(population=False))
    return fit.take(teachers(bridge, fit, bridge.survey(survey).gap.config.outlier).nonzero()[:, 0])


@torch.no_grad()
def row(bridge: Bridge, survey: str, data: SurveyData) -> str:
    """One survey's."""
    columns = torch.tensor([bridge.labels.index(name) for name in STELLAR])
    known = fitted(bridge, survey, data, "train").x[:, columns].numpy().T
    test = fitted(bridge, survey, data, "test")
    covariance = test.covariance[:, columns[:, None], columns]
    draws = drawn(test.x[:, columns], covariance, DRAWS, torch.Generator().manual_seed(1))
    flat = draws.flatten(0, 1)
    found = survey_population(bridge, data.spectra.take(data.rows("train")), survey)
    normal = multivariate_normal(known.mean(1), np.cov(known)).logpdf(flat.numpy())
    others = found.learned.density.log_prob(flat).numpy(), gaussian_kde(known).logpdf(flat.numpy().T)
    base = logsumexp(normal.reshape(draws.shape[:2]), axis=1)
    gains = [logsumexp(values.reshape(draws.shape[:2]), axis=1) - base for values in others]
    cells = [f"{gain.mean():+.2f} ± {gain.std() / math.sqrt(len(gain)):.2f}" for gain in gains]
    kind = "flow" if found.is_flow else "normal"
    return (
        f"| {survey} | {found.stars}, {len(base)} | {kind} | {' | '.join(cells)} | {found.grid_spectra:.0f} |"
    )


def main() -> None:
    """All surveys of a bridge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bridge")
    bridge = load_bridge(parser.parse_args().bridge)
    config = TrainConfig(**bridge.card["config"])
    print("| | stars that teach, that test | kind | survey_population | kernel density | the grid is worth |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, data in load_domains(config.data, config.seed).surveys.items():
        print(row(bridge, name, data), flush=True)


if __name__ == "__main__":
    main()
