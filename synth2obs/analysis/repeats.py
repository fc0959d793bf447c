"""Labels of one star from several of its spectra in one survey: whether quoted errors hold the noise, at least."""

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.agreement import difference_covariance, spread_over
from synth2obs.core.labels import STELLAR
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.result import LabelFit

FEWEST = 5
"""Pairs of spectra below which nothing is said."""


@torch.no_grad()
def repeats(bridge: Bridge, star: NDArray[np.str_], fit: LabelFit) -> dict[str, dict[str, float]]:
    """How far labels of the same star are apart, in units of what their errors say.

    Both spectra share what theory lacks, which quoted errors hold: a width below 1 is no fault, one above 1 is.

    Args:
        bridge: Trained.
        star: Whose spectrum each is, shape (N,).
        fit: Of the spectra.

    Returns:
        By label: ``width``, the robust standard deviation about 0 of differences over their errors, its
        ``width_error`` by bootstrap over stars, and ``n`` pairs; empty with less than `FEWEST` of these.
    """
    first, second = pairs(star)
    if len(first) < FEWEST:
        return {}
    prior = bridge.label_prior()(fit.x[first]).curvature
    covariance = difference_covariance(fit.covariance[first], fit.covariance[second], prior)
    error = covariance.diagonal(dim1=1, dim2=2).sqrt()
    pulls, found = ((fit.x[second] - fit.x[first]) / error).numpy(), {}
    for name in STELLAR:
        column = pulls[:, bridge.labels.index(name)]
        score = spread_over(column, star[first])
        found[name] = {"width": score.value, "width_error": score.error, "n": len(column)}
    return found


def pairs(star: NDArray[np.str_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of spectra of the same star: each with the next one, no spectrum in more than one pair."""
    order = np.argsort(star, kind="stable")
    first, second = [], []
    row = 0
    while row + 1 < len(order):
        if star[order[row]] == star[order[row + 1]]:
            first.append(order[row])
            second.append(order[row + 1])
            row += 1
        row += 1
    return np.array(first, np.intp), np.array(second, np.intp)
