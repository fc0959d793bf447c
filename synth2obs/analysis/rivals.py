"""Whether another kind of star explains a spectrum as well: fits from elsewhere, where the first one is suspicious.

A morph and a gap are learned from the stars that a survey has. Of a kind that it has not, metal-poor giants in a small
survey for example, they may make an ordinary star: theory alone, which knows no survey, is asked too.
"""

from dataclasses import replace

import torch
from torch import Tensor

from synth2obs.core.labels import STELLAR
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import inside
from synth2obs.models.fit.result import FIELDS, LabelFit
from synth2obs.models.fit.task import fit_labels

SUSPICIOUS = 1.5
"""χ² per pixel from which other kinds of star are tried."""

APART = 0.5
"""Distance in scaled Teff, log g, [Fe/H] of two kinds of star."""

AS_GOOD = 9.0
"""Difference of objectives up to which two fits are as good."""


@torch.no_grad()
def against_rivals(
    bridge: Bridge, seen: Observation, fit: LabelFit, options: Options
) -> tuple[LabelFit, Tensor]:
    """The better of a fit and of one that starts where theory alone ends, and which stars have a rival, (N,) bool.

    Args:
        bridge: Trained.
        seen: The spectra.
        fit: Their fit so far.
        options: With which it was made.
    """
    rival = torch.zeros(len(seen), dtype=torch.bool)
    rows = (suspicious(bridge, fit)).nonzero()[:, 0]
    if not len(rows) or not options.morphed:
        return fit, rival
    some, here = seen.take(rows), fit.take(rows)
    alone = fit_labels(bridge, some, replace(options, morphed=False))
    other = fit_labels(bridge, some, options, alone.x, alone.rv)
    close = (other.objective - here.objective).abs() < AS_GOOD
    better = here.better(other)
    rival[rows] = (_apart(bridge, here, other) & close) | _apart(bridge, better, alone)
    return put(fit, rows, better), rival


def suspicious(bridge: Bridge, fit: LabelFit) -> Tensor:
    """Stars that fit badly or lie at an end of the grid in Teff, log g or [Fe/H], shape (N,)."""
    return (fit.chi2_per_pixel > SUSPICIOUS) | ~inside(bridge, fit.x)


def _apart(bridge: Bridge, one: LabelFit, two: LabelFit) -> Tensor:
    columns = [bridge.labels.index(name) for name in STELLAR]
    return (one.x - two.x)[:, columns].abs().amax(1) > APART


def put(fit: LabelFit, rows: Tensor, part: LabelFit) -> LabelFit:
    """A fit with some of its stars replaced."""
    return LabelFit(**{name: getattr(fit, name).index_copy(0, rows, getattr(part, name)) for name in FIELDS})
