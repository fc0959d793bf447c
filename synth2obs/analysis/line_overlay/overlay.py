"""From the gap of a survey and a line list to an overlay of the list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.attribution import AttributedLine
from synth2obs.analysis.bands import is_foreign
from synth2obs.analysis.line_overlay.listed import Listed, Transition
from synth2obs.analysis.line_overlay.regression import Changes, Priors, Regression, regress
from synth2obs.analysis.line_overlay.response import Response, Theory, responses
from synth2obs.analysis.survey_gap import LINE_SIGMA, element_gradients, survey_gap
from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA
from synth2obs.io.air import vacuum_to_air
from synth2obs.models.bridge import Bridge
from synth2obs.synthesis.overlay import LINE, MISSING, Correction, Overlay, isotopes_text

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

OWN_WIDTH = 2.0
"""km/s: σ of a weak line before any instrument, from motions in the atmosphere."""

FULL_CHANGE, SEEN = 1.0, 3.0
"""dex, and σ of a cell: a line whose response to so much is less is no candidate, since its change cannot be told."""

PART, MOST = 0.2, 10
"""Of a gap's depth that a line must be able to explain with so much, and lines of a gap that are looked at."""

STARS = 24
"""Over which gap and responses are taken."""

LEAST = 0.05
"""Probability below which a line is not written."""

LACKING = 0.5
"""Probability of a line that the list lacks from which it is written."""


@dataclass(frozen=True, kw_only=True)
class GapSpectrum:
    """The mean gap of a survey over some stars, on the rest grid. L cells.

    Args:
        mean, error: Shape (L,); NaN beyond the survey.
        lines: Its lines, with their elements.
        pixel: Cells that a pixel covers: neighbours are not independent.
    """

    mean: Floats
    error: Floats
    lines: Sequence[AttributedLine]
    pixel: float


@torch.no_grad()
def survey_overlay(
    bridge: Bridge, survey: str, labels: Floats, lines: Sequence[AttributedLine], listed: Listed
) -> Overlay:
    """Corrections of a line list that the gap of a survey asks for.

    Args:
        bridge: With the gap.
        survey: Its name.
        labels: Of the stars over which the gap is taken, in their units, shape (N, K).
        lines: All significant lines of the gap, with their elements.
        listed: The list.
    """
    grid, native = (
        each.numpy() for each in (bridge.decoder_of(survey).rest_wavelength, bridge.survey(survey).wavelength)
    )
    order = np.argsort(labels[:, bridge.labels.index("teff")])
    some = labels[order[np.linspace(0, len(labels) - 1, min(STARS, len(labels))).astype(int)]]
    gap = survey_gap(bridge, survey, some)
    spectrum = GapSpectrum(
        mean=gap["gap_mean"],
        error=gap["gap_error"],
        lines=lines,
        pixel=max(1.0, float(np.median(np.diff(native)) / np.median(np.diff(grid)))),
    )
    theories = [theory_of(bridge, survey, row[None]) for row in some]
    star = dict(zip(bridge.labels.names, np.median(labels, axis=0).round(3).tolist(), strict=True))
    digest = str(bridge.card.get("digests", {}).get("grid", ""))
    return line_overlay(spectrum, listed, theories, survey=survey, grid_sha256=digest, star=star)


@torch.no_grad()
def theory_of(bridge: Bridge, survey: str, labels: Floats) -> Theory:
    """Theory of one star, labels (1, K) in their units, through a survey's instrument; see `Theory`."""
    model, grid = bridge.survey(survey), bridge.decoder_of(survey).rest_wavelength.numpy()
    native = model.true_wavelength.numpy()
    flux = np.nan_to_num(bridge.predict(labels, survey, morphed=False)[0], nan=1.0)
    sigma = np.interp(grid, native, model.lsf_sigma.numpy() * float(model.width_scale))
    return Theory(
        wavelength=grid,
        flux=np.interp(grid, native, flux),
        gradients=element_gradients(bridge, survey, labels),
        sigma=np.hypot(sigma, grid * OWN_WIDTH / C_KMS),
        teff=float(labels[0, bridge.labels.index("teff")]),
    )


def line_overlay(gap: GapSpectrum, listed: Listed, stars: Sequence[Theory], **meta: Any) -> Overlay:
    """Corrections of a line list that a gap asks for.

    Args:
        gap: With its significant lines; those of the Earth's atmosphere and the interstellar medium ask for nothing.
        listed: The list.
        stars: Theory of the stars whose mean the gap is, on one grid.
        meta: Kept in the overlay.
    """
    lines = [line for line in gap.lines if not (is_foreign(line.note) and line.element == line.note)]
    if not lines:
        return Overlay(rows=[], lists=listed.files, meta=meta)
    first = stars[0]
    grid, reach = first.wavelength, FWHM_PER_SIGMA * float(np.median(first.sigma))
    near = [each for each in listed.transitions if grid[0] < each.vacuum.mean() < grid[-1]]
    every = responses(near, stars)
    noise = np.where(np.isfinite(gap.error) & (gap.error > 0), gap.error, np.inf) * np.sqrt(gap.pixel)
    feature = _features(near, lines, 0.5 * reach)
    told = _candidates(every, feature, lines, noise)
    elsewhere = [each for place, each in enumerate(every) if feature[place] < 0]
    gradients = [np.array([star.gradients[name] for star in stars]).mean(0) for name in first.gradients]
    problem = Regression(
        gap=np.nan_to_num(gap.mean),
        variance=np.where(_inside(grid, lines, reach), noise**2, np.inf),
        samples=reach / float(np.median(np.diff(grid))),
        responses=[every[place] for place in told],
        features=feature[told],
        profiles=[_profile(first, line.wavelength) for line in lines],
        shifts=np.minimum(np.reshape(gradients, (-1, len(grid))), 0.0),
        elements=int(np.isfinite(noise).sum() * float(np.median(np.diff(grid))) / reach),
        right=sum(_signal(each, Priors().width, noise) > LINE_SIGMA for each in elsewhere),
    )
    changes = regress(problem)
    rows = [
        *_line_rows([near[place] for place in told], problem.features, changes),
        *_missing_rows(lines, changes, len(told)),
    ]
    rows.sort(key=lambda row: row.wavelength_vacuum)
    return Overlay(rows=rows, lists=listed.files, meta={"priors": _priors(changes), **meta})


def _candidates(
    every: Sequence[Response], feature: Integers, lines: Sequence[AttributedLine], noise: Floats
) -> list[int]:
    """Lines that may be to blame for the gap under which they lie, each gap's strongest, in their order."""
    chosen: list[int] = []
    for number, line in enumerate(lines):
        reached = {
            place: -float(every[place].of(FULL_CHANGE).min(initial=0.0))
            for place in np.flatnonzero(feature == number).tolist()
            if _signal(every[place], FULL_CHANGE, noise) > SEEN
        }
        enough = [place for place, depth in reached.items() if depth > PART * abs(line.depth)]
        chosen += sorted(enough, key=lambda place: -reached[place])[:MOST]
    return sorted(chosen)


def _signal(response: Response, change: float, noise: Floats) -> float:
    """σ by which a change of log gf, in dex, would be seen in the best cell."""
    return float(np.max(-response.of(change) / noise[response.cells], initial=0.0))


def _priors(changes: Changes) -> dict[str, float]:
    return {name: round(value, 4) for name, value in vars(changes.priors).items()}


def _features(transitions: Sequence[Transition], lines: Sequence[AttributedLine], margin: float) -> Integers:
    """Line of the gap under which each transition lies, −1 for none; the nearest if there are several."""
    found = np.full(len(transitions), -1)
    for place, each in enumerate(transitions):
        centre = float(each.vacuum.mean())
        under = [
            (abs(line.wavelength - centre), number)
            for number, line in enumerate(lines)
            if line.start - margin <= centre <= line.stop + margin
        ]
        found[place] = min(under)[1] if under else -1
    return found


def _inside(grid: Floats, lines: Sequence[AttributedLine], margin: float) -> NDArray[np.bool_]:
    """Cells at the gap's lines, shape (L,)."""
    inside = np.zeros(len(grid), bool)
    for line in lines:
        inside |= (grid >= line.start - margin) & (grid <= line.stop + margin)
    return inside


def _profile(theory: Theory, wavelength: float) -> tuple[slice, Floats]:
    """A line of unit depth that is as narrow as lines get."""
    width = float(np.interp(wavelength, theory.wavelength, theory.sigma))
    first, last = np.searchsorted(theory.wavelength, [wavelength - 4.0 * width, wavelength + 4.0 * width])
    cells = slice(int(first), int(last))
    return cells, np.exp(-0.5 * ((theory.wavelength[cells] - wavelength) / width) ** 2)


def _line_rows(
    transitions: Sequence[Transition], features: Integers, changes: Changes
) -> Iterator[Correction]:
    for number, each in enumerate(transitions):
        if changes.probability[number] < LEAST:
            continue
        yield from corrections(
            each,
            delta_log_gf=round(float(changes.mean[number]), 4),
            delta_log_gf_error=round(float(changes.sigma[number]), 4),
            probability=round(float(changes.probability[number]), 4),
            none=round(float(changes.none[features[number]]), 4),
            transition=number,
            group=int(changes.group[number]),
        )


def corrections(each: Transition, **shared: Any) -> Iterator[Correction]:
    """Rows of a transition's components; ``shared`` are the fields that all of them have alike."""
    for (species, line), vacuum, air in zip(each.members, each.vacuum, each.air, strict=True):
        yield Correction(
            kind=LINE,
            list_number=each.list_number,
            species=species.name,
            code=species.code,
            ion=species.ion,
            isotopes=isotopes_text(species.isotopes),
            wavelength_air=float(air),
            wavelength_vacuum=float(vacuum),
            excitation=line.excitation,
            log_gf=line.loggf,
            **shared,
        )


def _missing_rows(lines: Sequence[AttributedLine], changes: Changes, first: int) -> Iterator[Correction]:
    """Lines that the list lacks, where stars absorb more than theory."""
    nan = float("nan")
    for number, line in enumerate(lines):
        if changes.unlisted[number] < LACKING or changes.depth[number] <= 0:
            continue
        yield Correction(
            kind=MISSING,
            list_number=-1,
            species=line.element,
            code=0,
            ion=0,
            isotopes="",
            wavelength_air=float(vacuum_to_air([line.wavelength])[0]),
            wavelength_vacuum=line.wavelength,
            excitation=nan,
            log_gf=nan,
            delta_log_gf=nan,
            delta_log_gf_error=nan,
            probability=round(line.probability, 4),
            none=round(float(changes.none[number]), 4),
            transition=first + number,
            group=first + number,
        )
