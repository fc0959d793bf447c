"""From spectra to latents and labels by the Gauss–Newton solver, batched over stars."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.fit.covariance import with_covariance
from synth2obs.models.fit.objective import ENOUGH, Iterate, Objective, Solution, evaluate
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.parameters import HeldLatent, LabelParameters, LatentParameters
from synth2obs.models.fit.result import FIELDS, Fit, LabelFit, LatentFit
from synth2obs.models.fit.solver import best_start, minimise
from synth2obs.models.fit.starts import lattice, middle, starting_velocity
from synth2obs.models.noise.covariance import Noise
from synth2obs.models.noise.survey_noise import TheoryErrors
from synth2obs.models.projection.linear import Linear
from synth2obs.models.projection.shared import Through, covered
from synth2obs.models.projection.star import Projected
from synth2obs.models.survey import SurveyModel

RV_LIMIT = 1000.0

ROUGH = 0.5
"""Objective still to be gained below which a star waits for the last projection."""

REACH = 2.0
"""Widths of the velocity prior within which a pixel must stay on the rest grid to be used."""


def _between(joined: Tensor) -> Tensor:
    """Whether a pixel is joined to both neighbours: (..., P - 1) → (..., P)."""
    return pad(joined, (1, 0)) & pad(joined, (0, 1))


@torch.no_grad()
def encode(bridge: Bridge, seen: Observation, options: Options | None = None) -> LatentFit:
    """Latents from the origin, with covariance, velocity and continuum (the survey's gap included)."""
    choice = options or Options(steps=6)
    start = torch.zeros(len(seen), bridge.decoder.latent, dtype=torch.float64)
    parameters = LatentParameters(bridge.survey(seen.survey), bridge.decoder_of(seen.survey))
    task = _Task.of(bridge, seen, parameters, choice)
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
    parameters = HeldLatent(bridge.survey(seen.survey), bridge.decoder_of(seen.survey))
    task = _Task.of(bridge, seen, parameters, options or Options(steps=4))
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


@torch.no_grad()
def spectra_of(bridge: Bridge, seen: Observation, fit: LabelFit, options: Options) -> tuple[Tensor, Tensor]:
    """Spectra without continuum where a fit stands, under other options, and the pixels they reach; both (N, P)."""
    task = _label_task(bridge, seen, replace(options, scatter=False))
    parts = []
    for rows in seen.batches():
        problem = task._problem(rows, fit.x[rows], fit.rv[rows])
        here = torch.zeros_like(fit.rv[rows])
        parts.append((problem.model.spectrum(fit.coefficients[rows], here)[0], problem.good))
    spectrum, reached = zip(*parts, strict=True)
    return torch.cat(spectrum), torch.cat(reached)


@torch.no_grad()
def joint_covariance(
    bridge: Bridge, seen: Observation, fit: LabelFit, options: Options
) -> tuple[Tensor, Tensor]:
    """Of labels and the emulator's error together, where a fit of free labels stands.

    Args:
        bridge, seen: As for `fit_labels`.
        fit: Of these stars.
        options: With which it was made.

    Returns:
        Posterior covariance of K scaled labels and D errors in units of the emulator's standard deviations, and the
        precision of their prior, shape (N, K + D, K + D) each; of K alone where fits know no scatter.
    """
    task, found = _label_task(bridge, seen, options), []
    for rows in seen.batches():
        objective = task._problem(rows, fit.x[rows], fit.rv[rows])
        theta = objective.parameters.joined(fit.x[rows])
        here = evaluate(objective, theta, torch.zeros_like(fit.rv[rows]))
        prior = objective.parameters.prior(theta).curvature
        found.append((with_covariance(objective, here).covariance, prior))
    covariances, priors = zip(*found, strict=True)
    return torch.cat(covariances), torch.cat(priors)


def _label_task(bridge: Bridge, seen: Observation, choice: Options) -> "_Task":
    free = torch.ones(len(bridge.labels), dtype=torch.float64)
    free[list(choice.fixed)] = 0.0
    prior = bridge.label_prior(population=choice.population)
    return _Task.of(bridge, seen, LabelParameters(bridge, seen.survey, choice.morphed, free, prior), choice)


@dataclass(frozen=True)
class _Task:
    """One kind of fit: what is common to all batches of stars."""

    seen: Observation
    model: SurveyModel
    decoder: Decoder
    parameters: LatentParameters | LabelParameters
    options: Options
    through: Through | None

    @classmethod
    def of(
        cls,
        bridge: Bridge,
        seen: Observation,
        parameters: LatentParameters | LabelParameters,
        options: Options,
    ) -> "_Task":
        """A fit of latents or of labels."""
        model, through = bridge.survey(seen.survey), None
        if seen.instrument.shared:
            through = bridge.native.through(
                seen.survey, seen.instrument, seen.segment, options.broadening, options.width
            )
        return cls(seen, model, bridge.decoder_of(seen.survey), parameters, options, through)

    def best_start(self, theta: Tensor, candidates: Tensor, rv: Tensor) -> Tensor:
        """Of the candidates (N, Q), the one to start from for every star, looked at from ``theta``."""
        parts = [
            best_start(self._problem(rows, theta[rows], rv[rows]).without_error, theta[rows], candidates)
            for rows in self.seen.batches()
        ]
        return torch.cat(parts)

    def run(self, start: Tensor, rv: Tensor) -> Fit:
        """Fit all stars, a batch at a time."""
        parts = [self._batch(rows, start[rows], rv[rows]) for rows in self.seen.batches()]
        return Fit(**{name: torch.cat([getattr(part, name) for part in parts]) for name in FIELDS})

    def _batch(self, rows: Tensor, start: Tensor, rv: Tensor) -> Fit:
        theta = start
        for left in reversed(range(self.options.refresh)):
            objective = self._problem(rows, theta, rv)
            # Correlated errors move a minimum by about its error: the way there need not know of them.
            on_the_way = left > 0 and self._weights_move
            near, enough = (objective.independent, ROUGH) if on_the_way else (objective, ENOUGH)
            theta = near.parameters.joined(theta)
            state = minimise(near, theta, steps=self.options.steps, enough=enough)
            theta, rv = state.theta, (rv + state.rv).clamp(-RV_LIMIT, RV_LIMIT)
            if self._settled(state):
                break
        return self._result(objective, with_covariance(objective, state), rv)

    def _settled(self, state: Iterate) -> bool:
        """Whether another projection would change nothing: the map is exact at every velocity, weights are fixed."""
        near = bool((state.rv.abs() <= self.options.rv_sigma).all())
        return self.through is not None and near and not self._weights_move

    @cached_property
    def _has_scatter(self) -> bool:
        return self.options.scatter and self.model.holds_scatter()

    @property
    def _weights_move(self) -> bool:
        """Whether the weight of a pixel depends on where the fit stands."""
        return self._has_scatter or (self.options.scatter and isinstance(self.parameters, LabelParameters))

    def _parameters(self, rows: Tensor, theta: Tensor) -> LatentParameters | LabelParameters:
        """Those of a batch of stars; the emulator's error is that at θ."""
        if isinstance(self.parameters, LatentParameters):
            return self.parameters
        known = self.seen.known
        own = self.parameters.of_stars(None if known is None else known.take(rows))
        return own.with_error(theta) if self.options.scatter else own

    def _problem(self, rows: Tensor, theta: Tensor, rv: Tensor) -> Objective:
        """The map around the velocities reached so far, and weights from noise and scatter."""
        model, valid = self._shared(rows, rv) if self.through else self._projected(rows, rv)
        bare = Objective(
            model=model,
            flux=self.seen.flux[rows],
            noise=Noise(self.seen.ivar[rows] * valid),
            continuum_basis=self.seen.rows("continuum_basis", rows),
            parameters=self._parameters(rows, theta),
            rv_sigma=self.options.rv_sigma,
        )
        if not self.options.scatter:
            return bare
        errors = None
        if self._has_scatter:
            level = evaluate(bare, bare.parameters.joined(theta), torch.zeros_like(rv)).continuum
            weigh, leave = self.model.spreads(self.seen.instrument, rv, self.seen.instrument_rows(rows))
            errors = TheoryErrors(level * weigh, level * leave)
        log_wave = self.seen.rows("log_wave", rows)
        return replace(bare, noise=self.model.noise.of(bare.noise.white, errors, log_wave, self.seen.segment))

    def _shared(self, rows: Tensor, rv: Tensor) -> tuple[Linear, Tensor]:
        """The map and the pixels covered at every velocity in reach."""
        assert self.through is not None
        stars = self.seen.instrument_rows(rows)
        model, reach = self.through.of(stars, rv), torch.full_like(rv, REACH * self.options.rv_sigma)
        return model, model.valid(-reach) & model.valid(reach)

    def _projected(self, rows: Tensor, rv: Tensor) -> tuple[Linear, Tensor]:
        """The same for stars with pixels of their own."""
        instrument, stars = self.seen.instrument, self.seen.instrument_rows(rows)
        broadening, width = self.options.broadening, self.options.width
        functions = self.model.project(self.decoder, instrument, rv, stars, broadening, width)
        margin = 0.0 if broadening is None else float(broadening.margin(instrument.step))
        valid = covered(instrument, rv, float(self.model.width_scale) * width, stars, margin)
        inner = _between(valid[:, 1:] & valid[:, :-1]) & _between(self.seen.segment.diff() == 0)
        return Projected(functions, self.seen.rows("log_wave", rows), inner), valid

    def _result(self, objective: Objective, solution: Solution, rv: Tensor) -> Fit:
        """What was found, and the spectrum that theory has there: the emulator's error is no part of it."""
        found, own = solution.iterate, objective.parameters
        theta = own.alone(found.theta)
        state = found
        if theta.shape != found.theta.shape:
            state = evaluate(objective.without_error, theta, found.rv)
        good, single = objective.good, objective.noise.of_pixels
        residual = (objective.flux - state.continuum * state.spectrum).double() * good
        level = state.continuum.where(state.continuum.abs() > 1e-3, 1e-3)
        return Fit(
            theta=theta,
            covariance=own.of_free(solution.covariance),
            rv=rv,
            rv_error=solution.rv_error,
            objective=found.objective,
            chi2=(residual.square() * single).sum(1),
            pixels=good.sum(1),
            spectrum=state.spectrum,
            continuum=state.continuum,
            ivar=single,
            residual=(objective.flux / level - state.spectrum) * good,
            coefficients=state.coefficients,
        )
