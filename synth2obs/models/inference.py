"""From spectra to latents and labels: projection, starts and the Gauss–Newton solver, batched over stars."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder import Decoder
from synth2obs.models.label_prior import STELLAR
from synth2obs.models.solve import Coefficients, Prior, Problem, Solution, evaluate, origin_prior, solve
from synth2obs.models.survey import SurveyModel
from synth2obs.physics.continuum import chebyshev_basis
from synth2obs.physics.instrument import Instrument

BATCH = 64
EDGE = 0.1
"""How far fits may leave the grid, as a share of its range of each label."""

STARTS = ((4600.0, 2.0, -0.4), (5800.0, 4.2, -0.4))
"""Labels from which every fit starts: a giant and a dwarf; the better one is kept."""

STEP_LIMIT = 0.7
"""Largest change of a scaled label in one step."""

RV_LIMIT = 1000.0


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
        inner: Whether both neighbours of a pixel are on its detector, shape (P,); None: all but the ends.
    """

    survey: str
    instrument: Instrument
    flux: Tensor
    ivar: Tensor
    log_wave: Tensor
    continuum: Tensor
    rv: Tensor
    stars: Tensor | None = None
    inner: Tensor | None = None

    def __len__(self) -> int:
        return len(self.flux)

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
        survey, spectra.wavelength, spectra.segment, spectra.lsf_sigma, spectra.lsf_group
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
        inner=_between(segment[1:] == segment[:-1]),
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
    """

    steps: int = 8
    refresh: int = 2
    rv_sigma: float = 30.0
    scatter: bool = True
    morphed: bool = True
    population: bool = True
    fixed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.steps < 0 or self.refresh < 1:
            raise ValueError(f"need steps >= 0 and refresh >= 1, got {self.steps} and {self.refresh}")


@torch.no_grad()
def encode(bridge: Bridge, seen: Observation, options: Options | None = None) -> Fit:
    """Latents from the origin, with covariance, velocity and continuum (the survey's gap included)."""
    choice = options or Options(steps=3)
    model = bridge.survey(seen.survey)

    def coefficients(u: Tensor) -> Coefficients:
        return model.coefficients(bridge.decoder, u)

    start = torch.zeros(len(seen), bridge.decoder.latent, dtype=torch.float64)
    task = _Task(seen, model, bridge.decoder, coefficients, origin_prior, choice)
    return task.run(start, seen.rv)


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

    task = _Task(seen, model, bridge.decoder, coefficients, held, options or Options(steps=4))
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
        start: Scaled labels to start from, (N, K); by default a giant and a dwarf, the better one kept.
        rv: Velocities to start from in km/s.
    """
    choice = options or Options()
    rv = seen.rv if rv is None else rv
    if start is not None:
        return _label_fit(bridge, seen, choice, start, rv)
    short = replace(choice, steps=(choice.steps + 1) // 2, refresh=1)
    giant, dwarf = (_label_fit(bridge, seen, short, _start(bridge, len(seen), y), rv) for y in STARTS)
    best = giant.better(dwarf)
    return _label_fit(bridge, seen, replace(choice, refresh=max(1, choice.refresh - 1)), best.theta, best.rv)


def _start(bridge: Bridge, count: int, stellar: tuple[float, float, float]) -> Tensor:
    space = bridge.labels
    table = space.default.copy()
    for name, value in zip(STELLAR, stellar, strict=True):
        column = space.index(name)
        table[column] = np.clip(value, space.lower[column], space.upper[column])
    return bridge.scale(torch.as_tensor(table)).expand(count, -1).clone()


def _label_fit(bridge: Bridge, seen: Observation, choice: Options, start: Tensor, rv: Tensor) -> Fit:
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

    model = bridge.survey(seen.survey)
    task = _Task(seen, model, bridge.decoder, coefficients, held_prior, choice, _bounds(bridge, free))
    fit = task.run(start, rv)
    return replace(fit, covariance=fit.covariance * free * free[:, None])


def _bounds(bridge: Bridge, free: Tensor) -> tuple[Tensor, Tensor]:
    """The grid's range of every free label and a little more, in scaled labels."""
    space = bridge.labels
    ends = bridge.scale(torch.as_tensor(np.stack([space.lower, space.upper])))
    low, high = ends.amin(0), ends.amax(0)
    margin = torch.where(free > 0, EDGE * (high - low), torch.inf)
    return low - margin, high + margin


@dataclass(frozen=True)
class _Task:
    """One kind of fit: what is common to all batches of stars."""

    seen: Observation
    model: SurveyModel
    decoder: Decoder
    coefficients: Callable[[Tensor], Coefficients]
    prior: Callable[[Tensor], Prior]
    options: Options
    bounds: tuple[Tensor, Tensor] | None = None

    def run(self, start: Tensor, rv: Tensor) -> Fit:
        """Fit all stars, a batch at a time."""
        parts = [self._batch(rows, start[rows], rv[rows]) for rows in self.seen.batches()]
        return Fit(**{name: torch.cat([getattr(part, name) for part in parts]) for name in FIELDS})

    def _batch(self, rows: Tensor, theta: Tensor, rv: Tensor) -> Fit:
        for _ in range(self.options.refresh):
            problem = self._problem(rows, theta, rv)
            solution = solve(problem, theta, steps=self.options.steps)
            theta, rv = solution.state.theta, (rv + solution.state.rv).clamp(-RV_LIMIT, RV_LIMIT)
        return self._result(problem, solution, rv)

    def _problem(self, rows: Tensor, theta: Tensor, rv: Tensor) -> Problem:
        """Project at the velocities reached so far, and weight with noise and scatter."""
        width = float(self.model.width_scale)
        instrument = self.seen.instrument
        stars = self.seen.instrument_rows(rows)
        projected = self.model.project(self.decoder, instrument, rv, stars)
        valid = instrument.valid(rv, width, stars)
        ivar = self.seen.ivar[rows] * valid
        inner = _between(valid[:, 1:] & valid[:, :-1])
        bare = Problem(
            functions=projected[..., :-1],
            log_wave=self.seen.rows("log_wave", rows),
            flux=self.seen.flux[rows],
            ivar=ivar,
            continuum=self.seen.rows("continuum", rows),
            coefficients=self.coefficients,
            prior=self.prior,
            rv_sigma=self.options.rv_sigma,
            lower=None if self.bounds is None else self.bounds[0],
            upper=None if self.bounds is None else self.bounds[1],
            max_step=STEP_LIMIT if self.bounds is not None else torch.inf,
            inner=inner if self.seen.inner is None else inner & self.seen.inner,
        )
        if not self.options.scatter:
            return bare
        continuum = evaluate(bare, theta, torch.zeros_like(rv)).continuum
        extra = (continuum * projected[..., -1]).square()
        total = torch.where(ivar > 0, 1.0 / (1.0 / ivar.clamp(min=1e-30) + extra), 0.0)
        return replace(bare, ivar=total / float(self.model.correlation))

    def _result(self, problem: Problem, solution: Solution, rv: Tensor) -> Fit:
        state = solution.state
        share = float(self.model.correlation) if self.options.scatter else 1.0
        good = problem.ivar > 0
        level = state.continuum.where(state.continuum.abs() > 1e-3, 1e-3)
        return Fit(
            theta=state.theta,
            covariance=solution.covariance,
            rv=rv,
            rv_error=solution.rv_error,
            objective=state.objective,
            chi2=state.chi2 * share,
            pixels=good.sum(1),
            spectrum=state.spectrum,
            continuum=state.continuum,
            ivar=problem.ivar * share,
            residual=(problem.flux / level - state.spectrum) * good,
            coefficients=problem.coefficients(state.theta).value,
        )


FIELDS = tuple(Fit.__annotations__)
