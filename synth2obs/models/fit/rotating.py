r"""Labels of rotating stars: vsini known and held, or found with the labels.

Rotation adds about :math:`0.225\, v^2` to the variance of a line (limb darkening 0.6), so that a survey's lines have
the width :math:`W^2 = \sigma^2 + 0.225\, v^2`. A ladder of vsini whose rungs are equally far apart in ln W has 0 as its
first rung, is linear in v² near 0 and geometric far above the survey's σ: χ² is equally well sampled everywhere. Stars
on one rung share the broadened functions, and so one map to native pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.core.constants import C_KMS
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import FIELDS, LabelFit
from synth2obs.models.fit.task import fit_labels

RUNG = 0.01
"""Distance of two rungs in ln W."""

SHARE = 0.225
"""Variance of Gray's rotation profile in units of vsini², for the limb darkening of `rotation.LIMB_DARKENING`."""

FASTEST = 400.0
"""Largest vsini in km/s that is looked for."""

STRIDE, NARROW = 10, 2
"""Rungs between two values of the first search, and the least between those of the parabola that ends it."""

FRESH = 4
"""Every so many values of the first search stars may also start from the lattice of all kinds of star."""

RESOLVED = 4.0
"""Rise of χ² from its minimum to vsini = 0 below which a star may as well not rotate: two standard deviations."""

Fitter = Callable[[Observation, Tensor, float], LabelFit]
"""Fits some stars, given their rows and the vsini in km/s that they share."""


@dataclass(frozen=True)
class Ladder:
    """Values of vsini that a survey can tell apart.

    Args:
        width: σ of the survey's lines in km/s.
    """

    width: float

    def vsini(self, place: Tensor) -> Tensor:
        """km/s at places on the ladder, which need not be whole."""
        return self.width * torch.expm1(2.0 * RUNG * place.double()).div(SHARE).sqrt()

    def place(self, vsini: Tensor) -> Tensor:
        """Where on the ladder a vsini in km/s lies."""
        return torch.log1p(SHARE * (vsini / self.width).square()) / (2.0 * RUNG)

    @property
    def last(self) -> int:
        """The rung of the fastest rotation that is looked for."""
        return math.ceil(float(self.place(torch.tensor(FASTEST, dtype=torch.float64))))

    def fit(self, seen: Observation, rungs: Tensor, fitter: Fitter) -> LabelFit:
        """LabelFit stars (N,) that stand on rungs (N,), all stars of one rung together."""
        if not len(rungs):
            return fitter(seen, rungs, 0.0)
        groups = [(rungs == rung).nonzero()[:, 0] for rung in rungs.unique()]
        parts = [fitter(seen.take(rows), rows, float(self.vsini(rungs[rows[0]]))) for rows in groups]
        return joined(parts, torch.cat(groups).argsort())


def joined(parts: list[LabelFit], order: Tensor) -> LabelFit:
    """Fits of several groups as one, in another order."""
    return LabelFit(**{name: torch.cat([getattr(part, name) for part in parts])[order] for name in FIELDS})


def ladder_of(bridge: Bridge, seen: Observation) -> Ladder:
    """The ladder of a survey's usual line spread."""
    return Ladder(C_KMS * seen.width * float(bridge.survey(seen.survey).width_scale))


@torch.no_grad()
def fit_rotating(
    bridge: Bridge,
    seen: Observation,
    vsini: Tensor,
    options: Options,
    start: Tensor | None = None,
    rv: Tensor | None = None,
) -> LabelFit:
    """`task.fit_labels` with a known vsini that is held, at the nearest rung: widths are right to half a percent.

    Args:
        bridge, seen, options, start, rv: As there.
        vsini: km/s, shape (N,).
    """
    ladder = ladder_of(bridge, seen)
    return _on_rungs(bridge, seen, options, ladder, ladder.place(vsini).round().long(), start, rv)


class FoundRotation(NamedTuple):
    """What spectra say of rotation."""

    vsini: Tensor  # (N,) km/s, 0 where χ² falls all the way to 0
    error: Tensor  # (N,) km/s: where χ² over the correlation has risen by 1
    limit: Tensor  # (N,) bool: may as well be 0, or lies at the end of what was looked for
    x: Tensor  # (N, K) scaled labels near there
    slope: Tensor  # (N, K) change of the scaled labels with ln W
    width_error: Tensor  # (N,) error of ln W

    def widened(self, fit: LabelFit) -> LabelFit:
        """A fit at the vsini found, with the share of the labels' covariance that its error brings."""
        share = (self.slope * self.width_error[:, None])[..., None]
        return replace(fit, covariance=fit.covariance + share @ share.mT)


@torch.no_grad()
def find_rotation(bridge: Bridge, seen: Observation, options: Options, still: LabelFit) -> FoundRotation:
    """The vsini between 0 and `FASTEST` where the objective, all labels fitted anew, is smallest.

    Every star is fitted on every tenth rung, then on three rungs around the minimum, one error apart; the parabola
    through these gives value and error (χ² over the correlation rises by 1). All compare the same pixels.

    Args:
        bridge, seen, options: As for `task.fit_labels`.
        still: The stars' fit without rotation.
    """
    ladder = ladder_of(bridge, seen)
    same = _pixels_of_the_fastest(bridge, seen, options, ladder, still)
    quick = replace(options, refresh=1, steps=4)
    vertex, sigma, x = _search(bridge, same, quick, ladder, still)
    spacing = sigma.round().clamp(NARROW, STRIDE).long()
    centre = vertex.round().long().clamp(min=spacing, max=ladder.last - spacing)
    rungs = torch.cat([centre - spacing, centre, centre + spacing])
    copies = torch.arange(len(seen)).repeat(3)
    near = _on_rungs(bridge, same.take(copies), quick, ladder, rungs, x[copies], still.rv[copies])
    low, middle, high = near.x.unflatten(0, (3, -1))
    vertex, sigma = parabola(near.objective.unflatten(0, (3, -1)), centre, spacing)
    slope = (high - low) / (2.0 * RUNG * spacing[:, None])
    return _found(ladder, vertex, sigma, middle, slope)


def _found(ladder: Ladder, vertex: Tensor, sigma: Tensor, x: Tensor, slope: Tensor) -> FoundRotation:
    """Place and error on the ladder in km/s; below 0 the parabola's rise counts from its value at 0."""
    best = vertex.clamp(0, ladder.last)
    above = (vertex + ((best - vertex).square() + sigma.square()).sqrt()).clamp(max=ladder.last)
    low, middle, high = map(ladder.vsini, ((best - sigma).clamp(min=0), best, above))
    limit = (vertex / sigma < RESOLVED**0.5) | (vertex >= ladder.last)
    error = torch.where(limit, high - middle, 0.5 * (high - low))
    return FoundRotation(middle, error, limit, x, slope, RUNG * sigma.clamp(max=STRIDE))


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


def _search(
    bridge: Bridge, seen: Observation, options: Options, ladder: Ladder, still: LabelFit
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimum and error on the ladder from every tenth rung, and the labels at the lowest of these."""
    x, objective, places = still.x, [], []
    rungs = torch.arange(0, ladder.last + STRIDE, STRIDE)
    for number, speed in enumerate(ladder.vsini(rungs).tolist()):
        own = replace(options, vsini=speed)
        fit = fit_labels(bridge, seen, own, x, still.rv)
        if number % FRESH == FRESH // 2:
            fit = fit.better(fit_labels(bridge, seen, own, rv=still.rv))
        x = fit.x
        objective.append(fit.objective)
        places.append(x)
    curve, stars = torch.stack(objective), torch.arange(len(seen))
    lowest = curve.argmin(0)
    middle = lowest.clamp(1, len(rungs) - 2)
    three = torch.stack([curve[middle + k, stars] for k in (-1, 0, 1)])
    vertex, sigma = parabola(three, rungs[middle], torch.full_like(middle, STRIDE))
    return vertex, sigma, torch.stack(places)[lowest, stars]


def _pixels_of_the_fastest(
    bridge: Bridge, seen: Observation, options: Options, ladder: Ladder, still: LabelFit
) -> Observation:
    """The spectra where the fastest rotation is known as well."""
    speed = float(ladder.vsini(torch.tensor(ladder.last + STRIDE)))
    own = replace(options, vsini=speed, refresh=1, steps=0)
    known = fit_labels(bridge, seen, own, still.x, still.rv).ivar > 0
    return replace(seen, ivar=seen.ivar * known)


def _on_rungs(
    bridge: Bridge,
    seen: Observation,
    options: Options,
    ladder: Ladder,
    rungs: Tensor,
    start: Tensor | None,
    rv: Tensor | None,
) -> LabelFit:
    """Fits of stars on a rung each."""

    def fitter(some: Observation, rows: Tensor, speed: float) -> LabelFit:
        x, velocity = (None if part is None else part[rows] for part in (start, rv))
        return fit_labels(bridge, some, replace(options, vsini=speed), x, velocity)

    return ladder.fit(seen, rungs, fitter)
