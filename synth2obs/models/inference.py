"""From spectra to latents and labels: projection, starts and the Gauss–Newton solver, batched over stars."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder import Decoder
from synth2obs.models.label_prior import STELLAR
from synth2obs.models.linear import Linear, Projected, Through
from synth2obs.models.solve import (
    Coefficients,
    Prior,
    Problem,
    Solution,
    State,
    best_start,
    evaluate,
    minimise,
    origin_prior,
    with_covariance,
)
from synth2obs.models.survey import SurveyModel
from synth2obs.models.velocity import Templates, contrast
from synth2obs.physics.continuum import chebyshev_basis
from synth2obs.physics.doppler import log_doppler
from synth2obs.physics.instrument import Instrument

BATCH = 64
EDGE = 0.1
"""How far fits may leave the grid, as a share of its range of each label."""

MIDDLE = (5200.0, 3.0, -0.4)
"""Teff, log g, [Fe/H] from which a fit first looks."""

LATTICE = (10, 6, 5)
"""Values of Teff, log g and [Fe/H], over the grid's range, among which a fit then starts."""

TEMPLATES = (
    (4600.0, 2.0, -0.4),
    (5800.0, 4.2, -0.4),
    (7000.0, 4.2, 0.0),
    (4200.0, 4.6, 0.0),
    (5200.0, 2.5, -2.0),
)
"""Labels of the theory that unknown velocities are looked for with."""

STEP_LIMIT = 0.7
"""Largest change of a scaled label in one step."""

RV_LIMIT = 1000.0

REACH = 2.0
"""Widths of the velocity prior within which a pixel must stay on the rest grid to be used."""


@dataclass(frozen=True)
class Observation:
    """Spectra of one survey, ready to be fitted.

    Args:
        survey: Its name.
        instrument: Its operator on these pixels.
        flux: Scaled to a median of 1, shape (N, P), 0 where masked.
        ivar: Of that flux, shape (N, P).
        log_wave: ln λ of the pixels, (P,) or (N, P).
        continuum: Chebyshev functions, (P, C) or (N, P, C).
        rv: Velocities to start from in km/s, shape (N,).
        stars: Row of each star in the instrument, shape (N,); None for the same order.
        segment: Detector of each pixel, shape (P,).
        unknown: Whether a star's velocity has to be looked for, shape (N,); None: for no star.
    """

    survey: str
    instrument: Instrument
    flux: Tensor
    ivar: Tensor
    log_wave: Tensor
    continuum: Tensor
    rv: Tensor
    segment: Tensor
    stars: Tensor | None = None
    unknown: Tensor | None = None

    def __len__(self) -> int:
        return len(self.flux)

    @property
    def width(self) -> float:
        """The median σ of the line spread in ln λ."""
        variance = self.instrument.survey_variance
        return float(variance.median().sqrt()) * self.instrument.step

    def take(self, rows: Tensor) -> "Observation":
        """Some of the stars; their pixels stay those of the same instrument."""
        origin = torch.arange(len(self)) if self.stars is None else self.stars
        return replace(
            self,
            flux=self.flux[rows],
            ivar=self.ivar[rows],
            log_wave=self.rows("log_wave", rows),
            continuum=self.rows("continuum", rows),
            rv=self.rv[rows],
            stars=origin[rows],
            unknown=None if self.unknown is None else self.unknown[rows],
        )

    def instrument_rows(self, rows: Tensor) -> Tensor:
        """Rows of the instrument that belong to some of the stars."""
        return rows if self.stars is None else self.stars[rows]

    def batches(self) -> Iterator[Tensor]:
        """Row indices, a batch at a time."""
        yield from torch.arange(len(self)).split(BATCH)

    def rows(self, name: str, rows: Tensor) -> Tensor:
        """A field's rows, or the field itself where stars share it."""
        value: Tensor = getattr(self, name)
        own = value.dim() == (3 if name == "continuum" else 2)
        return value[rows] if own else value


def observe(bridge: Bridge, survey: str, spectra: Spectra) -> Observation:
    """Put spectra of a survey into the form that fits need.

    Raises:
        DataError: If the spectra have no ivar, or flux or ivar is not finite in a pixel that is not masked.
    """
    if spectra.ivar is None:
        raise DataError("ivar is needed to fit spectra; a grid has none", field="ivar")
    bad = ~(np.isfinite(spectra.ivar) & (np.isfinite(spectra.flux) | (np.asarray(spectra.ivar) <= 0)))
    if bad.any():
        star, pixel = (int(place) for place in np.argwhere(bad)[0])
        raise DataError(
            f"flux and ivar must be finite, got {spectra.flux[star, pixel]} and {spectra.ivar[star, pixel]} "
            f"in pixel {pixel} of {spectra.id[star]}",
            field="flux, ivar",
            remedy="set the ivar of bad pixels to 0",
        )
    wavelength = torch.as_tensor(spectra.wavelength, dtype=torch.float64)
    segment = torch.as_tensor(np.asarray(spectra.segment, dtype=np.int64))
    instrument = bridge.instrument(
        survey,
        spectra.wavelength,
        spectra.segment,
        spectra.lsf_sigma,
        spectra.lsf_group,
        lsf_hermite=spectra.lsf_hermite,
        lsf_kernel=spectra.lsf_kernel,
        lsf_offset=spectra.lsf_offset,
    )
    order = bridge.survey(survey).config.continuum_order
    flux, ivar = torch.as_tensor(spectra.flux).float(), torch.as_tensor(spectra.ivar).float()
    good = ivar > 0
    level = flux.where(good, torch.nan).nanmedian(1, keepdim=True).values.nan_to_num(1.0).abs()
    level = level.where(level > 0, 1.0)
    known = torch.as_tensor(np.nan_to_num(spectra.rv), dtype=torch.float64)
    return Observation(
        survey,
        instrument,
        flux.where(good, 0.0) / level,
        ivar * level.square(),
        wavelength.log(),
        chebyshev_basis(wavelength, segment, order).float(),
        known if spectra.frame != "rest" else torch.zeros(len(spectra), dtype=torch.float64),
        segment,
        unknown=torch.from_numpy(np.isnan(spectra.rv)) if spectra.frame != "rest" else None,
    )


def _between(joined: Tensor) -> Tensor:
    """Whether a pixel is joined to both neighbours: (..., P - 1) → (..., P)."""
    return pad(joined, (1, 0)) & pad(joined, (0, 1))


@dataclass(frozen=True)
class Fit:
    """Result of a fit of N stars.

    Args:
        theta: Latents, or scaled labels, shape (N, Q).
        covariance: Shape (N, Q, Q), with the pixels' correlation taken into account; 0 for fixed labels.
        rv, rv_error: km/s, shape (N,).
        chi2: Of the good pixels, without prior, shape (N,).
        pixels: Number of good pixels, shape (N,).
        spectrum, continuum: Model without continuum, and continuum, shape (N, P).
        ivar: Weights used, with intrinsic scatter, shape (N, P).
        residual: (flux / continuum) − spectrum, 0 where masked, shape (N, P).
        coefficients: Of the projected functions, shape (N, M).
    """

    theta: Tensor
    covariance: Tensor
    rv: Tensor
    rv_error: Tensor
    objective: Tensor
    chi2: Tensor
    pixels: Tensor
    spectrum: Tensor
    continuum: Tensor
    ivar: Tensor
    residual: Tensor
    coefficients: Tensor

    @property
    def chi2_per_pixel(self) -> Tensor:
        """χ² over the number of good pixels, shape (N,)."""
        return self.chi2 / self.pixels.clamp(min=1)

    def better(self, other: "Fit") -> "Fit":
        """Star by star, the one with the lower objective."""
        first = self.objective <= other.objective
        return Fit(
            **{
                name: torch.where(first.reshape(-1, *[1] * (mine.dim() - 1)), mine, getattr(other, name))
                for name, mine in vars(self).items()
            }
        )


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to fit.

    Args:
        steps: Gauss–Newton steps after each projection.
        refresh: Projections, at least 1: the velocity found by one is the start of the next.
        rv_sigma: Prior width in km/s of each velocity correction; 0 holds the velocity.
        scatter: Use the survey's intrinsic scatter as extra variance.
        morphed: False fits plain theory.
        population: Use the stellar-evolution prior.
        fixed: Indices of scaled labels that are held at their start.
        rv_search: Where a star's velocity is unknown, it is looked for by cross-correlation up to this many km/s;
            0 starts at 0.
    """

    steps: int = 8
    refresh: int = 2
    rv_sigma: float = 30.0
    scatter: bool = True
    morphed: bool = True
    population: bool = True
    fixed: tuple[int, ...] = ()
    rv_search: float = 500.0

    def __post_init__(self) -> None:
        if self.steps < 0 or self.refresh < 1:
            raise ValueError(f"need steps >= 0 and refresh >= 1, got {self.steps} and {self.refresh}")


@torch.no_grad()
def encode(bridge: Bridge, seen: Observation, options: Options | None = None) -> Fit:
    """Latents from the origin, with covariance, velocity and continuum (the survey's gap included)."""
    choice = options or Options(steps=6)
    model = bridge.survey(seen.survey)

    def coefficients(u: Tensor) -> Coefficients:
        return model.coefficients(bridge.decoder, u)

    start = torch.zeros(len(seen), bridge.decoder.latent, dtype=torch.float64)

    def value(u: Tensor) -> Tensor:
        return model.value(bridge.decoder, u)

    task = _Task.of(bridge, seen, _Map(coefficients, value, origin_prior), choice)
    return task.run(start, starting_velocity(bridge, seen, choice.rv_search))


@torch.no_grad()
def starting_velocity(bridge: Bridge, seen: Observation, search: float) -> Tensor:
    """The known velocities, and for the other stars the peak of a cross-correlation with theory; km/s, shape (N,).

    Args:
        bridge: Gives the templates: theory of a few kinds of star.
        seen: The spectra.
        search: Largest velocity in km/s that is looked at.
    """
    if seen.unknown is None or not bool(seen.unknown.any()) or search <= 0:
        return seen.rv
    templates = _templates(bridge, seen.width, search)
    rv = seen.rv.clone()
    for rows in seen.unknown.nonzero()[:, 0].split(BATCH):
        values, weight = contrast(seen.flux[rows], seen.ivar[rows], seen.rows("continuum", rows))
        rv[rows] = templates.velocity(values, weight, seen.rows("log_wave", rows))[0]
    return rv


def _templates(bridge: Bridge, width: float, search: float) -> Templates:
    """Templates for a survey with a σ of ``width`` in ln λ; kept while theory stays."""

    def make() -> Templates:
        low, high = log_doppler(torch.tensor([-search, search], dtype=torch.float64)).tolist()
        rest = bridge.decoder.rest_wavelength.log()
        return Templates(bridge.rest_flux(_table(bridge, np.array(TEMPLATES))), rest, width, (low, high))

    parts = (*bridge.decoder.state_dict().values(), *bridge.emulator.state_dict().values())
    return bridge.memo.get(("templates", width, search), parts, make)


@torch.no_grad()
def evaluate_at(bridge: Bridge, seen: Observation, u: Tensor, options: Options | None = None) -> Fit:
    """Given latents against spectra: only velocity and continuum are fitted.

    Args:
        bridge: Trained.
        seen: The spectra.
        u: Latents of the same stars in this survey, shape (N, D), float64.
        options: How to fit.
    """
    model = bridge.survey(seen.survey)

    def coefficients(theta: Tensor) -> Coefficients:
        value, jacobian = model.coefficients(bridge.decoder, theta)
        return Coefficients(value, torch.zeros_like(jacobian))

    def held(theta: Tensor) -> Prior:
        zero = torch.zeros_like(theta)
        return origin_prior(theta)._replace(value=zero.sum(1), gradient=zero)

    def value(theta: Tensor) -> Tensor:
        return model.value(bridge.decoder, theta)

    task = _Task.of(bridge, seen, _Map(coefficients, value, held), options or Options(steps=4))
    return task.run(u, seen.rv)


@torch.no_grad()
def fit_labels(
    bridge: Bridge,
    seen: Observation,
    options: Options | None = None,
    start: Tensor | None = None,
    rv: Tensor | None = None,
) -> Fit:
    """Scaled labels by Levenberg–Marquardt through the morph, all labels free.

    Args:
        bridge: Trained, or not: then theory is fitted.
        seen: The spectra.
        options: How to fit.
        start: Scaled labels to start from, (N, K); by default the best of a lattice of kinds of star.
        rv: Velocities to start from in km/s.
    """
    choice = options or Options()
    task = _label_task(bridge, seen, choice)
    rv = starting_velocity(bridge, seen, choice.rv_search) if rv is None else rv
    if start is not None:
        return task.run(start, rv)
    middle = _scaled_labels(bridge, np.array([MIDDLE])).expand(len(seen), -1)
    return task.run(task.best_start(middle, _lattice(bridge), rv), rv)


def _lattice(bridge: Bridge) -> Tensor:
    """Scaled labels at which fits may start, shape (N, K): every kind of star, other labels at their default."""
    space = bridge.labels
    ends = [(space.lower[k], space.upper[k]) for k in map(space.index, STELLAR)]
    axes = [np.linspace(low, high, count + 2)[1:-1] for (low, high), count in zip(ends, LATTICE, strict=True)]
    return _scaled_labels(bridge, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))


def _scaled_labels(bridge: Bridge, stellar: NDArray[np.float64]) -> Tensor:
    """Scaled labels of (Teff, log g, [Fe/H]), shape (N, 3), kept in the grid's range, the others at their default."""
    return bridge.scale(torch.as_tensor(_table(bridge, stellar)))


def _table(bridge: Bridge, stellar: NDArray[np.float64]) -> NDArray[np.float64]:
    space = bridge.labels
    table = np.tile(space.default, (len(stellar), 1))
    for column, values in zip(map(space.index, STELLAR), stellar.T, strict=True):
        table[:, column] = np.clip(values, space.lower[column], space.upper[column])
    return table


def _label_task(bridge: Bridge, seen: Observation, choice: Options) -> "_Task":
    prior = bridge.label_prior(population=choice.population)
    free = torch.ones(len(bridge.labels), dtype=torch.float64)
    free[list(choice.fixed)] = 0.0

    def coefficients(x: Tensor) -> Coefficients:
        value, jacobian = bridge.from_labels(seen.survey, x, morphed=choice.morphed)
        return Coefficients(value, jacobian * free)

    def held_prior(x: Tensor) -> Prior:
        value, gradient, curvature = prior(x)
        held = torch.diag_embed(1.0 - free).expand_as(curvature)
        return Prior(value, gradient * free, curvature * free * free[:, None] + held)

    def value(x: Tensor) -> Tensor:
        return bridge.values_from_labels(seen.survey, x, morphed=choice.morphed)

    return _Task.of(bridge, seen, _Map(coefficients, value, held_prior), choice, free=free)


def _bounds(bridge: Bridge, free: Tensor) -> tuple[Tensor, Tensor]:
    """The grid's range of every free label and a little more, in scaled labels."""
    space = bridge.labels
    ends = bridge.scale(torch.as_tensor(np.stack([space.lower, space.upper])))
    low, high = ends.amin(0), ends.amax(0)
    margin = torch.where(free > 0, EDGE * (high - low), torch.inf)
    return low - margin, high + margin


class _Map(NamedTuple):
    """Parameters θ of a fit: their coefficients with and without Jacobian, and their prior."""

    coefficients: Callable[[Tensor], Coefficients]
    value: Callable[[Tensor], Tensor]
    prior: Callable[[Tensor], Prior]


@dataclass(frozen=True)
class _Task:
    """One kind of fit: what is common to all batches of stars."""

    seen: Observation
    model: SurveyModel
    decoder: Decoder
    parameters: _Map
    options: Options
    through: Through | None
    free: Tensor | None = None
    bounds: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(
        cls,
        bridge: Bridge,
        seen: Observation,
        parameters: _Map,
        options: Options,
        free: Tensor | None = None,
    ) -> "_Task":
        """A fit of latents, or with ``free`` (1 for labels that are fitted, 0 for those held) of labels."""
        model, through = bridge.survey(seen.survey), None
        if seen.instrument.shared:
            through = bridge.through(seen.survey, seen.instrument, seen.segment)
        bounds = None if free is None else _bounds(bridge, free)
        return cls(seen, model, bridge.decoder, parameters, options, through, free, bounds)

    def best_start(self, theta: Tensor, candidates: Tensor, rv: Tensor) -> Tensor:
        """Of the candidates (N, Q), the one to start from for every star, looked at from ``theta``."""
        parts = [
            best_start(self._problem(rows, theta[rows], rv[rows]), theta[rows], candidates)
            for rows in self.seen.batches()
        ]
        return torch.cat(parts)

    def run(self, start: Tensor, rv: Tensor) -> Fit:
        """Fit all stars, a batch at a time."""
        parts = [self._batch(rows, start[rows], rv[rows]) for rows in self.seen.batches()]
        return Fit(**{name: torch.cat([getattr(part, name) for part in parts]) for name in FIELDS})

    def _batch(self, rows: Tensor, theta: Tensor, rv: Tensor) -> Fit:
        for _ in range(self.options.refresh):
            problem = self._problem(rows, theta, rv)
            state = minimise(problem, theta, steps=self.options.steps)
            theta, rv = state.theta, (rv + state.rv).clamp(-RV_LIMIT, RV_LIMIT)
            if self._settled(state):
                break
        return self._result(problem, with_covariance(problem, state), rv)

    def _settled(self, state: State) -> bool:
        """Whether another projection would change nothing: the map is exact at every velocity, weights are fixed."""
        near = bool((state.rv.abs() <= self.options.rv_sigma).all())
        return self.through is not None and near and not self._has_scatter

    @cached_property
    def _has_scatter(self) -> bool:
        return self.options.scatter and bool(self.model.gap.scatter.any())

    def _problem(self, rows: Tensor, theta: Tensor, rv: Tensor) -> Problem:
        """The map around the velocities reached so far, and weights from noise and scatter."""
        model, scatter, valid = self._shared(rows, rv) if self.through else self._projected(rows, rv)
        bare = Problem(
            model=model,
            flux=self.seen.flux[rows],
            ivar=self.seen.ivar[rows] * valid,
            continuum=self.seen.rows("continuum", rows),
            coefficients=self.parameters.coefficients,
            value=self.parameters.value,
            prior=self.parameters.prior,
            rv_sigma=self.options.rv_sigma,
            lower=None if self.bounds is None else self.bounds[0],
            upper=None if self.bounds is None else self.bounds[1],
            max_step=STEP_LIMIT if self.bounds is not None else torch.inf,
        )
        if not self.options.scatter:
            return bare
        total = bare.ivar
        if self._has_scatter:
            continuum = evaluate(bare, theta, torch.zeros_like(rv)).continuum
            variance = 1.0 / bare.ivar.clamp(min=1e-30) + (continuum * scatter).square()
            total = torch.where(bare.ivar > 0, 1.0 / variance, 0.0)
        return replace(bare, ivar=total / float(self.model.correlation))

    def _shared(self, rows: Tensor, rv: Tensor) -> tuple[Linear, Tensor, Tensor]:
        """The map, the scatter and the pixels covered at every velocity in reach."""
        assert self.through is not None
        stars = self.seen.instrument_rows(rows)
        scatter = torch.zeros(())
        if self._has_scatter:
            spread = self.model.seen()[:, -1].expand(len(rows), -1)
            scatter = self.seen.instrument(spread, rv, 0.0, stars)
        model, reach = self.through.of(stars, rv), torch.full_like(rv, REACH * self.options.rv_sigma)
        return model, scatter, model.valid(-reach) & model.valid(reach)

    def _projected(self, rows: Tensor, rv: Tensor) -> tuple[Linear, Tensor, Tensor]:
        """The same for stars with pixels of their own."""
        instrument, stars = self.seen.instrument, self.seen.instrument_rows(rows)
        functions = self.model.project(self.decoder, instrument, rv, stars)
        valid = instrument.valid(rv, float(self.model.width_scale), stars)
        inner = _between(valid[:, 1:] & valid[:, :-1]) & _between(self.seen.segment.diff() == 0)
        model = Projected(functions[..., :-1], self.seen.rows("log_wave", rows), inner)
        return model, functions[..., -1], valid

    def _result(self, problem: Problem, solution: Solution, rv: Tensor) -> Fit:
        state = solution.state
        share = float(self.model.correlation) if self.options.scatter else 1.0
        good = problem.ivar > 0
        level = state.continuum.where(state.continuum.abs() > 1e-3, 1e-3)
        return Fit(
            theta=state.theta,
            covariance=self._covariance(solution),
            rv=rv,
            rv_error=solution.rv_error,
            objective=state.objective,
            chi2=state.chi2 * share,
            pixels=good.sum(1),
            spectrum=state.spectrum,
            continuum=state.continuum,
            ivar=problem.ivar * share,
            residual=(problem.flux / level - state.spectrum) * good,
            coefficients=state.coefficients,
        )

    def _covariance(self, solution: Solution) -> Tensor:
        free = self.free
        return solution.covariance if free is None else solution.covariance * free * free[:, None]


FIELDS = tuple(Fit.__annotations__)
