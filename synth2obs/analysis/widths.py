"""Fits of labels where the width of stars' lines is held or looked for: rotation, and the line spread's scale."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from synth2obs.analysis.per_star import per_star, speeds
from synth2obs.analysis.rivals import against_rivals
from synth2obs.core.errors import DataError
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.ladder import Ladder, find, joined
from synth2obs.models.fit.line_spread import LineSpreadScale
from synth2obs.models.fit.line_width import excess_width
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.rotating import Rotation
from synth2obs.models.fit.task import fit_labels

FIT = "fit"
"""In place of a value that is to be found."""

SMALLEST, LARGEST = 0.5, 2.0
"""Scales of a line spread that can be held."""

EXCESS, SURE = 0.25, 5.0
"""Variance of lines beyond the survey's, in units of its σ², and its significance in errors, that set a bit."""

Given = Tensor | str | None
"""Values of all stars, shape (N,), `FIT`, or nothing."""


@dataclass(frozen=True)
class Widths:
    """What is known of the width of N stars' lines.

    Args:
        vsini: km/s.
        lsf: Factors on the survey's σ.
    """

    vsini: Given = None
    lsf: Given = None

    @classmethod
    def of(cls, vsini: ArrayLike | None, lsf: ArrayLike | None, count: int) -> "Widths":
        """From what a user gives.

        Raises:
            DataError: For values that cannot be, or if both are to be found.
        """
        wanted = _to_be_found("vsini", vsini, "km/s"), _to_be_found("lsf", lsf, "a factor on the survey's σ")
        if all(wanted):
            raise DataError(
                "a spectrum cannot tell rotation from a wider line spread, got 'fit' for both",
                field="vsini, lsf",
                remedy="give one of them a number, or leave one out",
            )
        speed = vsini if vsini is None or isinstance(vsini, str) else speeds("vsini", vsini, count)
        scale = lsf if lsf is None or isinstance(lsf, str) else scales(lsf, count)
        return cls(speed, scale)


@dataclass(frozen=True)
class Fitted:
    """A fit of N stars, and what further steps made of it.

    Args:
        first, last: Before and after these.
        limit, rival, width: Bits of `FLAGS`, shape (N,), bool.
        columns: Widths that were given or found, and their errors, by the name of their column in a result.
    """

    first: LabelFit
    last: LabelFit
    limit: Tensor
    rival: Tensor
    width: Tensor
    columns: dict[str, Tensor] = field(default_factory=dict)


def scales(given: ArrayLike, count: int) -> Tensor:
    """One factor on the survey's σ for each of ``count`` stars, shape (count,).

    Raises:
        DataError: For other numbers of values, or one outside `SMALLEST` to `LARGEST`.
    """
    values = per_star("lsf", given, count, "factor on the survey's σ")
    bad = values[~((values >= SMALLEST) & (values <= LARGEST))]
    if len(bad):
        raise DataError(
            f"a factor on the survey's σ must be from {SMALLEST:g} to {LARGEST:g}, got {bad[0]}",
            field="lsf",
            remedy="use 1 for the survey's own line spread",
        )
    return torch.as_tensor(np.array(values))


def _to_be_found(name: str, given: ArrayLike | None, unit: str) -> bool:
    if isinstance(given, str) and given != FIT:
        raise DataError(
            f"must be {unit} or {FIT!r}, got {given!r}", field=name, remedy="give a number, or leave it out"
        )
    return isinstance(given, str)


def fits(bridge: Bridge, seen: Observation, options: Options, widths: Widths) -> Fitted:
    """Fits to convergence. Stars whose width is held stand in groups of the same rung of its `Ladder`."""
    if isinstance(widths.lsf, Tensor):
        own = replace(widths, lsf=None)
        return _held(bridge, seen, options, own, LineSpreadScale(), "lsf_scale", widths.lsf)
    if isinstance(widths.vsini, Tensor):
        own, ladder = replace(widths, vsini=None), Rotation.of(bridge, seen, options)
        return _held(bridge, seen, options, own, ladder, "vsini", widths.vsini)
    if widths.lsf == FIT:
        return _searched(bridge, seen, options, LineSpreadScale(), "lsf_scale")
    if widths.vsini == FIT:
        return _searched(bridge, seen, options, Rotation.of(bridge, seen, options), "vsini")
    return _plain(bridge, seen, options)


def _plain(bridge: Bridge, seen: Observation, options: Options) -> Fitted:
    """Fits with nothing to look for; other kinds of star are tried for those that do not rotate."""
    long, short = _lengths(options)
    first, none = fit_labels(bridge, seen, long), torch.zeros(len(seen), dtype=torch.bool)
    first, rival = against_rivals(bridge, seen, first, long) if options.vsini == 0 else (first, none)
    last = fit_labels(bridge, seen, short, first.x, first.rv)
    return Fitted(first, last, none, rival, _other_width(bridge, seen, last, short))


def _other_width(bridge: Bridge, seen: Observation, fit: LabelFit, options: Options) -> Tensor:
    """Stars whose lines are not as wide as they were taken to be, shape (N,), bool."""
    excess = excess_width(bridge, seen, fit, options)
    return (excess.variance.abs() > EXCESS) & (excess.significance.abs() > SURE)


def _lengths(options: Options) -> tuple[Options, Options]:
    """For a fit from afar, and for further steps from where it ends."""
    return replace(options, steps=10), replace(options, steps=4, refresh=1)


def _held(
    bridge: Bridge,
    seen: Observation,
    options: Options,
    widths: Widths,
    ladder: Ladder,
    name: str,
    values: Tensor,
) -> Fitted:
    """Fits with values that are held; what is left of the widths may be looked for."""

    def of_group(rows: Tensor, own: Options) -> Fitted:
        return fits(bridge, seen.take(rows), own, _of_rows(widths, rows))

    found = _in_groups(ladder, values, options, of_group)
    return replace(found, columns={**found.columns, name: values, f"{name}_error": torch.zeros_like(values)})


def _of_rows(widths: Widths, rows: Tensor) -> Widths:
    """What is known of some of the stars."""
    vsini, lsf = (part[rows] if isinstance(part, Tensor) else part for part in (widths.vsini, widths.lsf))
    return Widths(vsini, lsf)


def _searched(bridge: Bridge, seen: Observation, options: Options, ladder: Ladder, name: str) -> Fitted:
    """A search for the values, and fits at the rungs nearest to them."""
    long, _ = _lengths(options)
    still = fit_labels(bridge, seen, long)
    found = find(bridge, seen, long, ladder, still)

    def of_group(rows: Tensor, own: Options) -> Fitted:
        long, short = _lengths(own)
        some = seen.take(rows)
        first = fit_labels(bridge, some, long, found.x[rows], still.rv[rows])
        last = fit_labels(bridge, some, short, first.x, first.rv)
        return Fitted(first, last, found.limit[rows], none[rows], _other_width(bridge, some, last, short))

    none = torch.zeros_like(found.limit)
    near = _in_groups(ladder, found.value, options, of_group)
    columns = {name: found.value, f"{name}_error": found.error}
    return replace(near, last=found.widened(near.last), columns=columns)


def _in_groups(
    ladder: Ladder, values: Tensor, options: Options, fit: Callable[[Tensor, Options], Fitted]
) -> Fitted:
    """Fits of all stars, those of the same rung together."""
    groups = ladder.groups(values)
    parts = [fit(rows, ladder.held(options, value)) for rows, value in groups]
    order = torch.cat([rows for rows, _ in groups]).argsort()
    return Fitted(
        joined([part.first for part in parts], order),
        joined([part.last for part in parts], order),
        torch.cat([part.limit for part in parts])[order],
        torch.cat([part.rival for part in parts])[order],
        torch.cat([part.width for part in parts])[order],
        {name: torch.cat([part.columns[name] for part in parts])[order] for name in parts[0].columns},
    )
