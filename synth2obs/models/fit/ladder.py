r"""A width of the stars' lines that is known and held, or found with the labels: profiled over a ladder of its values.

Rungs of a ladder are equally far apart in ln W, W being the width of a survey's lines, so that χ² is equally well
sampled everywhere. Stars on one rung share their functions, and so one map to native pixels. What the width is of, and
how it goes into a fit, a `Ladder` says.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import FIELDS, LabelFit
from synth2obs.models.fit.task import fit_labels

NARROW = 2
"""Least number of rungs between those of the parabola that ends a search."""

FRESH = 4
"""Every so many values of the first search stars may also start from the lattice of all kinds of star."""


class Ladder(ABC):
    """Values that a survey can tell apart. A place on the ladder need not be whole; at 0 nothing is changed."""

    @property
    @abstractmethod
    def rung(self) -> float:
        """Distance of two rungs in ln W."""

    @property
    @abstractmethod
    def first(self) -> int:
        """The lowest rung that is looked at."""

    @property
    @abstractmethod
    def last(self) -> int:
        """The highest rung that is looked at."""

    @property
    @abstractmethod
    def stride(self) -> int:
        """Rungs between two values of the first search."""

    @abstractmethod
    def value(self, place: Tensor) -> Tensor:
        """Values at places."""

    @abstractmethod
    def place(self, value: Tensor) -> Tensor:
        """Places of values."""

    @abstractmethod
    def held(self, options: Options, value: float) -> Options:
        """How to fit stars of which all have this value."""

    @abstractmethod
    def limit(self, vertex: Tensor, sigma: Tensor) -> Tensor:
        """Whether a minimum, given its place and the error of that, says no more than a limit, bool."""

    @property
    def coarse(self) -> Tensor:
        """Rungs of the first search."""
        return torch.arange(self.first, self.last + self.stride, self.stride)

    def groups(self, values: Tensor) -> list[tuple[Tensor, float]]:
        """Rows of the stars (N,) that have the same nearest rung, and its value; a single group if there is no star."""
        return self.on(self.place(values).round().long())

    def on(self, rungs: Tensor) -> list[tuple[Tensor, float]]:
        """`groups` of the rungs themselves."""
        some = rungs.unique() if len(rungs) else torch.zeros(1)
        return [((rungs == rung).nonzero()[:, 0], float(self.value(rung))) for rung in some]


class Found(NamedTuple):
    """What spectra say of a width."""

    value: Tensor  # (N,), an end of what is looked for where χ² falls all the way there
    error: Tensor  # (N,): where χ² over the correlation has risen by 1
    limit: Tensor  # (N,) bool
    x: Tensor  # (N, K) scaled labels near there
    slope: Tensor  # (N, K) change of the scaled labels with ln W
    width_error: Tensor  # (N,) error of ln W

    def widened(self, fit: LabelFit) -> LabelFit:
        """A fit at the value found, with the share of the labels' covariance that its error brings."""
        share = (self.slope * self.width_error[:, None])[..., None]
        return replace(fit, covariance=fit.covariance + share @ share.mT)


def joined(parts: list[LabelFit], order: Tensor) -> LabelFit:
    """Fits of several groups as one, in another order."""
    return LabelFit(**{name: torch.cat([getattr(part, name) for part in parts])[order] for name in FIELDS})


@dataclass(frozen=True)
class _Search:
    """One search; ``options`` are for its many quick fits."""

    bridge: Bridge
    ladder: Ladder
    options: Options
    still: LabelFit

    def same_pixels(self, seen: Observation) -> Observation:
        """The spectra where stars of the widest lines are known as well."""
        ladder = self.ladder
        widest = float(ladder.value(torch.tensor(ladder.last + ladder.stride)))
        own = replace(ladder.held(self.options, widest), steps=0)
        known = fit_labels(self.bridge, seen, own, self.still.x, self.still.rv).ivar > 0
        return replace(seen, ivar=seen.ivar * known)

    def coarse(self, seen: Observation) -> tuple[Tensor, Tensor, Tensor]:
        """Minimum and error on the ladder from the rungs of the first search, and the labels at the lowest."""
        x, objective, places = self.still.x, [], []
        rungs, rv = self.ladder.coarse, self.still.rv
        for number, value in enumerate(self.ladder.value(rungs).tolist()):
            own = self.ladder.held(self.options, value)
            fit = fit_labels(self.bridge, seen, own, x, rv)
            if number % FRESH == FRESH // 2:
                fit = fit.better(fit_labels(self.bridge, seen, own, rv=rv))
            x = fit.x
            objective.append(fit.objective)
            places.append(x)
        curve, stars = torch.stack(objective), torch.arange(len(seen))
        lowest = curve.argmin(0)
        middle = lowest.clamp(1, len(rungs) - 2)
        three = torch.stack([curve[middle + k, stars] for k in (-1, 0, 1)])
        vertex, sigma = parabola(three, rungs[middle], torch.full_like(middle, self.ladder.stride))
        return vertex, sigma, torch.stack(places)[lowest, stars]

    def on_rungs(self, seen: Observation, rungs: Tensor, x: Tensor, rv: Tensor) -> LabelFit:
        """Fits of stars on a rung each."""
        groups = self.ladder.on(rungs)
        parts = [
            fit_labels(self.bridge, seen.take(rows), self.ladder.held(self.options, value), x[rows], rv[rows])
            for rows, value in groups
        ]
        return joined(parts, torch.cat([rows for rows, _ in groups]).argsort())

    def found(self, vertex: Tensor, sigma: Tensor, x: Tensor, slope: Tensor) -> Found:
        """Value and error of a place; beyond an end the parabola's rise counts from its value there."""
        ladder = self.ladder
        best = vertex.clamp(ladder.first, ladder.last)
        reach = ((best - vertex).square() + sigma.square()).sqrt()
        ends = (vertex - reach).clamp(min=ladder.first), best, (vertex + reach).clamp(max=ladder.last)
        low, middle, high = map(ladder.value, ends)
        limit = ladder.limit(vertex, sigma)
        error = torch.where(limit, high - middle, 0.5 * (high - low))
        error = torch.where(vertex >= ladder.last, middle - low, error)
        return Found(middle, error, limit, x, slope, ladder.rung * sigma.clamp(max=ladder.stride))


@torch.no_grad()
def find(bridge: Bridge, seen: Observation, options: Options, ladder: Ladder, still: LabelFit) -> Found:
    """The value on a ladder where the objective, all labels fitted anew, is smallest; no other prior than its ends.

    Every star is fitted on the rungs of the first search, then on three rungs around the minimum, one error apart; the
    parabola through these gives value and error (χ² over the correlation rises by 1). All compare the same pixels.

    Args:
        bridge, seen, options: As for `task.fit_labels`.
        ladder: What is looked for.
        still: The stars' fit at the ladder's place 0.
    """
    search = _Search(bridge, ladder, replace(options, refresh=1, steps=4), still)
    same = search.same_pixels(seen)
    vertex, sigma, x = search.coarse(same)
    spacing = sigma.round().clamp(NARROW, ladder.stride).long()
    centre = vertex.round().long().clamp(min=ladder.first + spacing, max=ladder.last - spacing)
    rungs = torch.cat([centre - spacing, centre, centre + spacing])
    copies = torch.arange(len(seen)).repeat(3)
    near = search.on_rungs(same.take(copies), rungs, x[copies], still.rv[copies])
    low, middle, high = near.x.unflatten(0, (3, -1))
    vertex, sigma = parabola(near.objective.unflatten(0, (3, -1)), centre, spacing)
    slope = (high - low) / (2.0 * ladder.rung * spacing[:, None])
    return search.found(vertex, sigma, middle, slope)


def parabola(values: Tensor, centre: Tensor, spacing: Tensor) -> tuple[Tensor, Tensor]:
    """Where parabolas through three values are lowest, and how far from there they have risen by 1.

    Args:
        values: At ``centre`` − ``spacing``, ``centre`` and ``centre`` + ``spacing``, shape (3, N).
        centre, spacing: Shape (N,).
    """
    before, here, after = values
    bend = (before - 2.0 * here + after).clamp(min=1e-6)
    aside = (0.5 * (before - after) / bend).clamp(-2.0, 2.0)
    return centre + aside * spacing, spacing * (2.0 / bend).sqrt()
