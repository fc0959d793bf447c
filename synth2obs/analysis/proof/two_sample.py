"""A classifier two-sample test: stars' residuals against those that a method says there would be.

Lopez-Paz & Oquab 2017, arXiv:1610.06545.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synth2obs.analysis.bootstrap import Score, bootstrap
from synth2obs.analysis.entrants import Entrant
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import LabelFit

Floats = NDArray[np.float64]

FOLDS = 5
"""Parts of the spectra, each of which is told by a classifier that the others taught."""

STRENGTH = 1e-3
"""Inverse of the penalty on standardised weights."""

FARTHEST = 5.0
"""Standard deviations that a residual counts at most."""


def told_from_stars(
    entrant: Entrant, seen: Observation, fit: LabelFit, groups: NDArray[np.integer], noise: float, draws: int
) -> Score:
    """Area under the receiver operating characteristic of a cross-validated classifier; 0.5 is what chance has.

    One class are held-out stars' residuals at the labels that the method fitted. The other are those of stars that are
    what the method says, with fresh noise, and are fitted in the same way. Both are divided by the noise alone, so that
    a gap that is counted as scatter is seen.

    Args:
        entrant: The method.
        seen: Held-out stars.
        fit: Its fit of them.
        groups: Spectrum that each star has; no spectrum teaches and is told.
        noise: Noise over the noise that is stated.
        draws: Bootstrap samples.
    """
    made = simulated(seen, fit, noise)
    again = entrant.answer(made, fit).fit
    assert again is not None
    width = max(1, round(FWHM_PER_SIGMA * seen.width / float(seen.log_wave.diff().median())))
    real, fake = (binned(whitened(one, of, noise), width) for one, of in ((seen, fit), (made, again)))
    return separation(real, fake, groups, draws)


def simulated(seen: Observation, fit: LabelFit, noise: float, seed: int = 0) -> Observation:
    """Stars as a fit says they are, with noise of their own."""
    random = torch.Generator().manual_seed(seed)
    good = seen.ivar > 0
    sigma = noise * torch.where(good, seen.ivar, torch.inf).rsqrt()
    flux = (fit.continuum * fit.spectrum).to(seen.flux.dtype)
    flux = flux + sigma * torch.randn(sigma.shape, generator=random)
    return replace(seen, flux=torch.where(good, flux, 0.0))


def whitened(seen: Observation, fit: LabelFit, noise: float) -> Floats:
    """Residuals over the noise, 0 where masked, shape (N, P)."""
    good = (seen.ivar > 0) & (fit.ivar > 0)
    off = (seen.flux - fit.continuum * fit.spectrum) * seen.ivar.sqrt() / noise
    return np.asarray(torch.where(good, off, 0.0).double().numpy())


def binned(residual: Floats, width: int) -> Floats:
    """Residuals (N, P) over some neighbouring pixels together, over their noise, shape (N, P // width)."""
    count = residual.shape[1] // width
    return np.asarray(residual[:, : count * width].reshape(len(residual), count, width).sum(2) / width**0.5)


def separation(real: Floats, fake: Floats, groups: NDArray[np.integer], draws: int) -> Score:
    """Area under the curve of a logistic regression on residuals and their squares.

    Args:
        real, fake: Of the same stars, shape (N, B) each.
        groups: Spectrum of each star, shape (N,).
        draws: Bootstrap samples over spectra.
    """
    both = np.clip(np.concatenate([real, fake]), -FARTHEST, FARTHEST)
    features = np.concatenate([both, both**2], axis=1)
    true, own = np.repeat([1, 0], len(real)), np.concatenate([groups, groups])
    folds = min(FOLDS, len(np.unique(own)))
    if folds < 2:
        return Score(float("nan"))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))
    height = cross_val_predict(
        model, features, true, groups=own, cv=GroupKFold(folds), method="decision_function"
    )
    return bootstrap(lambda rows: float(roc_auc_score(true[rows], height[rows])), own, draws)
