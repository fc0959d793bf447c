"""Which stars a survey has: the density of their labels, with the errors of the fits taken out."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from synth2obs.analysis.per_star import whole
from synth2obs.core.errors import DataError
from synth2obs.core.labels import STELLAR
from synth2obs.core.shown import Shown, Summary, with_error
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import teachers
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.priors.label_density import VALIDATES, LearnedDensity, SafeDensity, drawn, learn_density

DRAWS = 64
"""Of every star's labels."""

TRIES = 50
"""Times that draws are repeated of which too few are inside the grid."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, repr=False)
class SurveyPopulation(Shown):
    """Density of Teff, log g and [Fe/H] of a survey's stars.

    Args:
        survey: Its name.
        stars: How many taught it.
        bridge: Whose scale of labels it has.
        learned: The density of scaled labels.
        grid_spectra: How many spectra the grid is worth if its spectra are weighted to this population:
            (Σ w)² / Σ w² for w = π / density of the grid's own labels (Kish 1965).
    """

    survey: str
    stars: int
    bridge: Bridge
    learned: LearnedDensity
    grid_spectra: float

    def summary(self) -> Summary:
        """What is shown of it."""
        rows = {
            "density": "a normalizing flow" if self.is_flow else "a normal distribution",
            "a flow is better by": f"{with_error(self.learned.gain, self.learned.gain_error)} nats per star",
            "the grid is worth": f"{self.grid_spectra:.0f} spectra, weighted to these stars",
        }
        title = f"Population of {self.survey}: Teff, log g and [Fe/H] of {self.stars} stars"
        return Summary(title, rows, ".sample(count), .log_prob(teff, logg, fe_h)")

    @property
    def is_flow(self) -> bool:
        """Whether stars that validate speak for more than a normal distribution."""
        return self.learned.density.config.layers > 0

    @torch.no_grad()
    def sample(self, count: int, seed: int = 0) -> dict[str, Floats]:
        """Labels in K and dex by name, as `synth2obs.morph` takes them; those beyond the grid are drawn again.

        Raises:
            DataError: If ``count`` is below 1, or nearly no star of this population is inside the grid.
        """
        count = whole("count", count, 1)
        random, space = torch.Generator().manual_seed(seed), self.bridge.labels
        columns = [space.index(name) for name in STELLAR]
        low, high = space.lower[columns], space.upper[columns]
        found = np.zeros((0, len(STELLAR)))
        for _ in range(TRIES):
            values = self._labels(self.learned.density.sample(2 * count, random))
            found = np.concatenate([found, values[((values >= low) & (values <= high)).all(1)]])
            if len(found) >= count:
                return dict(zip(STELLAR, found[:count].T, strict=True))
        raise DataError(
            f"of {2 * TRIES * count} draws {len(found)} are inside the grid",
            field="count",
            remedy="use a grid that covers the survey's stars",
        )

    @torch.no_grad()
    def log_prob(self, teff: ArrayLike, logg: ArrayLike, fe_h: ArrayLike) -> Floats:
        """Ln density per K, dex and dex, shape (N,)."""
        values = np.stack(
            np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float)) for v in (teff, logg, fe_h))), 1
        )
        table = np.tile(self.bridge.labels.default, (len(values), 1))
        columns = [self.bridge.labels.index(name) for name in STELLAR]
        table[:, columns] = values
        x = self.bridge.scale(torch.as_tensor(table))
        slope = self.bridge.scale.slope(x)[:, columns].abs().log().sum(1)
        return np.asarray((self.learned.density.log_prob(x[:, columns]) - slope).numpy())

    def _labels(self, x: torch.Tensor) -> Floats:
        columns = [self.bridge.labels.index(name) for name in STELLAR]
        whole = torch.zeros(len(x), len(self.bridge.labels), dtype=torch.float64)
        whole[:, columns] = x
        return np.asarray(self.bridge.scale.inverse(whole)[:, columns].numpy())


def survey_population(bridge: Bridge, spectra: Spectra, survey: str, seed: int = 0) -> SurveyPopulation:
    """Fit labels of a survey's stars without the stellar-evolution prior, and learn the density that they measure.

    Args:
        bridge: Trained.
        spectra: At least 2 · `VALIDATES` stars whose spectra the bridge explains, inside the grid.
        survey: Of the bridge.
        seed: Of draws and first weights.

    Raises:
        DataError: For fewer stars, or a seed that is no whole number of at least 0.
        ModelError: For an unknown survey.
    """
    seed = whole("seed", seed, 0)
    fit = explained(bridge, spectra, survey)
    if len(fit.x) < 2 * VALIDATES:
        raise DataError(
            f"{len(fit.x)} of {len(spectra)} stars are explained, inside the grid",
            field="spectra",
            remedy=f"give at least {2 * VALIDATES}",
        )
    return population_of(bridge, survey, fit, seed)


def explained(bridge: Bridge, spectra: Spectra, survey: str) -> LabelFit:
    """Labels of the stars that a bridge explains, inside the grid, without the stellar-evolution prior."""
    seen = prepare(bridge, survey, spectra)
    fit = fit_labels(bridge, seen, Options(population=False))
    return fit.take(teachers(bridge, fit, bridge.survey(survey).gap.config.outlier).nonzero()[:, 0])


def population_of(bridge: Bridge, survey: str, fit: LabelFit, seed: int = 0) -> SurveyPopulation:
    """The population that stars of a survey measure; ``fit`` is from `explained`."""
    learned = learn_density(stellar_draws(bridge, fit, seed), seed)
    return SurveyPopulation(
        survey=survey,
        stars=len(fit.x),
        bridge=bridge,
        learned=learned,
        grid_spectra=_worth(bridge, learned.density),
    )


@torch.no_grad()
def stellar_draws(bridge: Bridge, fit: LabelFit, seed: int) -> torch.Tensor:
    """Of the scaled Teff, log g and [Fe/H] of every star, shape (N, `DRAWS`, 3)."""
    columns = torch.tensor([bridge.labels.index(name) for name in STELLAR])
    random = torch.Generator().manual_seed(seed)
    return drawn(fit.x[:, columns], fit.covariance[:, columns[:, None], columns], DRAWS, random)


def _worth(bridge: Bridge, density: SafeDensity) -> float:
    """Effective number of grid spectra under a density; that of the grid itself is learned in the same way."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    x = bridge.emulator.known[:, columns]
    own = learn_density(x[:, None]).density
    with torch.no_grad():
        log_weight = density.log_prob(x) - own.log_prob(x)
    weight = (log_weight - log_weight.max()).exp()
    return float(weight.sum().square() / weight.square().sum())
