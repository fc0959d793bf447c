"""Is a survey's population better known by a flow? Test stars under densities that training stars taught.

    python experiments/07_proof/population.py BRIDGE

For each survey of a trained bridge, mean over its test stars of ln p(spectrum) with the labels drawn from a density of
Teff, log g and [Fe/H], less that of a normal distribution with the moments of the training stars' fitted labels: by
`survey_population` of the training stars, and by a Gaussian kernel density of their fitted labels.
"""

import math

import numpy as np
import torch
from real import surveys
from scipy.special import logsumexp
from scipy.stats import gaussian_kde, multivariate_normal

from synth2obs.analysis.survey_population import explained, population_of, stellar_draws
from synth2obs.core.labels import STELLAR
from synth2obs.models.bridge import Bridge
from synth2obs.training.domains import SurveyData


@torch.no_grad()
def row(bridge: Bridge, survey: str, data: SurveyData) -> str:
    """One survey's."""
    columns = torch.tensor([bridge.labels.index(name) for name in STELLAR])
    train, test = (
        explained(bridge, data.spectra.take(data.rows(part)), survey) for part in ("train", "test")
    )
    known, draws = train.x[:, columns].numpy().T, stellar_draws(bridge, test, seed=1)
    flat = draws.flatten(0, 1)
    found = population_of(bridge, survey, train)
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
    print("| | stars that teach, that test | kind | survey_population | kernel density | the grid is worth |")
    print("| --- | --- | --- | --- | --- | --- |")
    for each in surveys(__doc__):
        print(row(*each), flush=True)


if __name__ == "__main__":
    main()
