"""From spectra to latents and labels by the Gauss–Newton solver, batched over stars."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.models.bridge import Bridge
from synth2obs.models.contracts import PriorTerms
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.fit.covariance import with_covariance
from synth2obs.models.fit.objective import Iterate, Objective, Solution, evaluate, origin_prior
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import FIELDS, Fit, LabelFit, LatentFit
from synth2obs.models.fit.solver import best_start, minimise
from synth2obs.models.fit.starts import lattice, middle, starting_velocity
from synth2obs.models.layout import Coefficients
from synth2obs.models.noise.covariance import Noise
from synth2obs.models.priors.known import StarPrior
from synth2obs.models.projection.linear import Linear
from synth2obs.models.projection.shared import Through, covered
from synth2obs.models.projection.star import Projected
from synth2obs.models.survey import SurveyModel

EDGE = 0.1
"""How far fits may leave the grid, as a share of its range of each label."""

STEP_LIMIT = 0.7
"""Largest change of a scaled label in one step."""

RV_LIMIT = 1000.0

REACH = 2.0
"""Widths of the velocity prior within which a pixel must stay on the rest grid to be used."""


def _between(joined: Tensor) -> Tensor:
    """Whether a pixel is joined to both neighbours: (..., P - 1) → (..., P)."""
    return pad(joined, (1, 0)) & pad(joined, (0, 1))


@torch.no_grad()
def encode(bridge: Bridge, seen: Observation, options: Options | None = None) -> LatentFit:
    """Latents from the origin, with covariance, velocity and continuum (the survey's gap included)."""
    choice = options or Options(steps=6)
    model = bridge.survey(seen.survey)

    def coefficients(u: Tensor) -> Coefficients:
        return model.coefficients(bridge.decoder, u)

    start = torch.zeros(len(seen), bridge.decoder.latent, dtype=torch.float64)

    def value(u: Tensor) -> Tensor:
        return model.value(bridge.decoder, u)

    task = _Task.of(bridge, seen, _Map(coefficients, value, origin_prior), choice)
    return LatentFit(**vars(task.run(start, starting_velocity(bridge, seen, choice.rv_search))))


@torch.no_grad()
def evaluate_at(bridge: Bridge, seen: Observation, u: Tensor, options: Options | None = None) -> LatentFit:
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

    def held(theta: Tensor) -> PriorTerms:
        zero = torch.zeros_like(theta)
        return origin_prior(theta)._replace(value=zero.sum(1), gradient=zero)

    def value(theta: Tensor) -> Tensor:
        return model.value(bridge.decoder, theta)

    task = _Task.of(bridge, seen, _Map(coefficients, value, held), options or Options(steps=4))
    return LatentFit(**vars(task.run(u, seen.rv)))


@torch.no_grad()
def fit_labels(
    bridge: Bridge,
    seen: Observation,
    options: Options | None = None,
    x: Tensor | None = None,
    rv: Tensor | None = None,
) -> LabelFit:
    """Scaled labels by Levenberg–Marquardt through the morph, all labels free.

    Args:
        bridge: Trained, or not: then theory is fitted.
        seen: The spectra.
        options: How to fit.
        x: Scaled labels to start from, (N, K); by default the best of a lattice of kinds of star.
        rv: Velocities to start from in km/s.
    """
    choice = options or Options()
    task = _label_task(bridge, seen, choice)
    rv = starting_velocity(bridge, seen, choice.rv_search) if rv is None else rv
    if x is None:
        x = task.best_start(middle(bridge, len(seen)), lattice(bridge), rv)
    return LabelFit(**vars(task.run(x, rv)))


def _label_task(bridge: Bridge, seen: Observation, choice: Options) -> "_Task":
    prior = bridge.label_prior(population=choice.population)
    free = torch.ones(len(bridge.labels), dtype=torch.float64)
    free[list(choice.fixed)] = 0.0

    def coefficients(x: Tensor) -> Coefficients:
        value, jacobian = bridge.from_labels(seen.survey, x, morphed=choice.morphed)
        return Coefficients(value, jacobian * free)

    def held_prior(x: Tensor) -> PriorTerms:
        value, gradient, curvature = prior(x)
        held = torch.diag_embed(1.0 - free).expand_as(curvature)
        return PriorTerms(value, gradient * free, curvature * free * free[:, None] + held)

    def value(x: Tensor) -> Tensor:
        return bridge.values_from_labels(seen.survey, x, morphed=choice.morphed)

    variance = bridge.theory_variance if bridge.knows_theory_error else _nothing
    parameters = _Map(coefficients, value, held_prior, variance)
    return _Task.of(bridge, seen, parameters, choice, free=free)


def _bounds(bridge: Bridge, free: Tensor) -> tuple[Tensor, Tensor]:
    """The grid's range of every free label and a little more, in scaled labels."""
    space = bridge.labels
    ends = bridge.scale(torch.as_tensor(np.stack([space.lower, space.upper])))
    low, high = ends.amin(0), ends.amax(0)
    margin = torch.where(free > 0, EDGE * (high - low), torch.inf)
    return low - margin, high + margin


def _nothing(theta: Tensor) -> Tensor | None:
    """Variance of theory where θ is a latent: labels, and their emulator, take no part."""
    return None


class _Map(NamedTuple):
    """Parameters θ of a fit: their coefficients with and without Jacobian, their prior, theory's own variance."""

    coefficients: Callable[[Tensor], Coefficients]
    value: Callable[[Tensor], Tensor]
    prior: Callable[[Tensor], PriorTerms]
    variance: Callable[[Tensor], Tensor | None] = _nothing


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
            through = bridge.native.through(seen.survey, seen.instrument, seen.segment, options.broadening)
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
            objective = self._problem(rows, theta, rv)
            state = minimise(objective, theta, steps=self.options.steps)
            theta, rv = state.theta, (rv + state.rv).clamp(-RV_LIMIT, RV_LIMIT)
            if self._settled(state):
                break
        return self._result(objective, with_covariance(objective, state), rv)

    def _settled(self, state: Iterate) -> bool:
        """Whether another projection would change nothing: the map is exact at every velocity, weights are fixed."""
        near = bool((state.rv.abs() <= self.options.rv_sigma).all())
        return self.through is not None and near and not self._has_scatter

    @cached_property
    def _has_scatter(self) -> bool:
        known = self.parameters.variance is not _nothing
        return self.options.scatter and (known or bool(self.model.gap.scatter.any()))

    def _problem(self, rows: Tensor, theta: Tensor, rv: Tensor) -> Objective:
        """The map around the velocities reached so far, and weights from noise and scatter."""
        model, scatter, valid = self._shared(rows, rv) if self.through else self._projected(rows, rv)
        bare = Objective(
            model=model,
            flux=self.seen.flux[rows],
            noise=Noise(self.seen.ivar[rows] * valid),
            continuum_basis=self.seen.rows("continuum_basis", rows),
            coefficients=self.parameters.coefficients,
            value=self.parameters.value,
            prior=self._prior(rows),
            rv_sigma=self.options.rv_sigma,
            lower=None if self.bounds is None else self.bounds[0],
            upper=None if self.bounds is None else self.bounds[1],
            max_step=STEP_LIMIT if self.bounds is not None else torch.inf,
        )
        if not self.options.scatter:
            return bare
        error = None
        if self._has_scatter:
            continuum = evaluate(bare, theta, torch.zeros_like(rv)).continuum
            error = continuum * self._with_theory(scatter, rows, theta, rv)
        log_wave = self.seen.rows("log_wave", rows)
        return replace(bare, noise=self.model.noise.of(bare.noise.white, error, log_wave, self.seen.segment))

    def _prior(self, rows: Tensor) -> Callable[[Tensor], PriorTerms]:
        """Of all stars, and in a fit of labels what is known of these."""
        common, known = self.parameters.prior, self.seen.known
        return (
            common
            if known is None or self.free is None
            else StarPrior(common, known.take(rows).of_free(self.free))
        )

    def _with_theory(self, scatter: Tensor, rows: Tensor, theta: Tensor, rv: Tensor) -> Tensor:
        """Scatter in native pixels, and what is known of theory's own error at these parameters, (B, P)."""
        variance = self.parameters.variance(theta)
        if variance is None:
            return scatter
        stars, width = self.seen.instrument_rows(rows), float(self.model.width_scale)
        known = self.seen.instrument(variance.clamp(min=0.0).sqrt().float(), rv, width, stars)
        return (scatter.square() + known.square()).sqrt()

    def _shared(self, rows: Tensor, rv: Tensor) -> tuple[Linear, Tensor, Tensor]:
        """The map, the scatter and the pixels covered at every velocity in reach."""
        assert self.through is not None
        stars = self.seen.instrument_rows(rows)
        scatter = torch.zeros(())
        if self._has_scatter:
            spread = self.model.gap.scatter.sqrt().expand(len(rows), -1)
            scatter = self.seen.instrument(spread, rv, 0.0, stars)
        model, reach = self.through.of(stars, rv), torch.full_like(rv, REACH * self.options.rv_sigma)
        return model, scatter, model.valid(-reach) & model.valid(reach)

    def _projected(self, rows: Tensor, rv: Tensor) -> tuple[Linear, Tensor, Tensor]:
        """The same for stars with pixels of their own."""
        instrument, stars = self.seen.instrument, self.seen.instrument_rows(rows)
        broadening = self.options.broadening
        functions = self.model.project(self.decoder, instrument, rv, stars, broadening)
        margin = 0.0 if broadening is None else float(broadening.margin(instrument.step))
        valid = covered(instrument, rv, float(self.model.width_scale), stars, margin)
        inner = _between(valid[:, 1:] & valid[:, :-1]) & _between(self.seen.segment.diff() == 0)
        model = Projected(functions[..., :-1], self.seen.rows("log_wave", rows), inner)
        return model, functions[..., -1], valid

    def _result(self, objective: Objective, solution: Solution, rv: Tensor) -> Fit:
        state = solution.iterate
        good, single = objective.good, objective.noise.of_pixels
        residual = (objective.flux - state.continuum * state.spectrum).double() * good
        level = state.continuum.where(state.continuum.abs() > 1e-3, 1e-3)
        return Fit(
            theta=state.theta,
            covariance=self._covariance(solution),
            rv=rv,
            rv_error=solution.rv_error,
            objective=state.objective,
            chi2=(residual.square() * single).sum(1),
            pixels=good.sum(1),
            spectrum=state.spectrum,
            continuum=state.continuum,
            ivar=single,
            residual=(objective.flux / level - state.spectrum) * good,
            coefficients=state.coefficients,
        )

    def _covariance(self, solution: Solution) -> Tensor:
        free = self.free
        return solution.covariance if free is None else solution.covariance * free * free[:, None]
