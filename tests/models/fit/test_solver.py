"""The solver: what it eliminates, what it ignores, what it recovers, and how sure it says it is."""

from dataclasses import replace

import pytest
import torch

from synth2obs.core.constants import C_KMS
from synth2obs.models.contracts import PriorTerms
from synth2obs.models.fit.covariance import with_covariance
from synth2obs.models.fit.objective import Objective, evaluate
from synth2obs.models.fit.parameters import LatentParameters, Slopes, origin_prior
from synth2obs.models.fit.solver import minimise
from synth2obs.models.noise.covariance import Noise
from synth2obs.models.projection.star import Projected
from synth2obs.physics.continuum import chebyshev_basis, profile_continuum

SNR = 100.0


def solve(objective, theta, *, steps):
    return with_covariance(objective, minimise(objective, theta, steps=steps))


def zeros(count):
    return torch.zeros(count, dtype=torch.float64)


def flat_prior(theta):
    count, size = theta.shape
    return PriorTerms(theta.new_zeros(count), torch.zeros_like(theta), theta.new_zeros(count, size, size))


def make_problem(bridge, instrument, theta, rv, *, order=3, noise=0.0, seed=0, prior=origin_prior, **changes):
    """Stars of known latents and small velocities as the solver's own model has them; their continuum."""
    model, count = bridge.survey("toy"), len(theta)
    generator = torch.Generator().manual_seed(seed)
    wavelength = model.wavelength
    segment = model.segment
    basis = chebyshev_basis(wavelength, segment, order).float()
    functions = model.project(bridge.decoder, instrument, zeros(count))
    objective = Objective(
        model=Projected(functions, wavelength.log()),
        flux=torch.ones(count, instrument.pixels),
        noise=Noise(torch.full((count, instrument.pixels), SNR**2)),
        continuum_basis=basis,
        parameters=LatentParameters(model, bridge.decoder, prior),
        **changes,
    )
    truth = 0.1 * torch.randn(count, 2, order + 1, generator=generator) / (1 + torch.arange(order + 1)) ** 2
    truth[..., 0] += 1.0
    continuum = (basis @ truth.flatten(1)[..., None])[..., 0]
    clean = continuum * evaluate(objective, theta, rv).spectrum
    noisy = clean + noise * torch.randn(clean.shape, generator=generator) / SNR
    return replace(objective, flux=noisy), continuum


def truths(count, seed=0, latent=6, rv=10.0):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(count, latent, generator=generator, dtype=torch.float64)
    return theta, rv * torch.randn(count, generator=generator, dtype=torch.float64)


def assert_same(one, two, stars=slice(None)):
    """Equal θ to a hundredth of its error: single precision knows the objective to 1e-4."""
    error = one.covariance.diagonal(dim1=1, dim2=2).sqrt()
    assert ((one.iterate.theta - two.iterate.theta[stars]).abs() < 0.01 * error).all()


@pytest.fixture
def theta_rv():
    return truths(6)


class TestRecovery:
    def test_truth_from_noise_free_spectra(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, continuum = make_problem(bridge, instrument, theta, rv, prior=flat_prior)
        state = solve(objective, torch.zeros_like(theta), steps=12).iterate
        torch.testing.assert_close(state.theta, theta, rtol=0, atol=3e-3)
        torch.testing.assert_close(state.rv, rv, rtol=0, atol=0.3)
        torch.testing.assert_close(state.continuum, continuum, rtol=0, atol=1e-3)
        assert (state.chi2 < 0.5).all()

    def test_objective_never_rises(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, 2 * theta, 5 * rv, noise=1.0)
        start = torch.full_like(theta, 2.0)
        path = torch.stack([solve(objective, start, steps=k).iterate.objective for k in range(9)])
        assert (path[1:] <= path[:-1]).all() and (path[-1] < 0.1 * path[0]).all()

    def test_ends_at_a_stationary_point(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0, rv_sigma=2.0)
        state = solve(objective, torch.zeros_like(theta), steps=15).iterate
        for step in (-0.1, 0.1):
            assert (
                evaluate(objective, state.theta, state.rv + step).objective > state.objective - 2e-3
            ).all()
        for k in range(theta.shape[1]):
            for step in (-0.02, 0.02):
                moved = state.theta.clone()
                moved[:, k] += step
                assert (evaluate(objective, moved, state.rv).objective > state.objective - 2e-3).all()

    def test_velocity_can_be_held(self, bridge, instrument, theta_rv):
        objective, _ = make_problem(bridge, instrument, theta_rv[0], theta_rv[1], rv_sigma=0.0)
        solution = solve(objective, torch.zeros_like(theta_rv[0]), steps=3)
        assert (solution.iterate.rv == 0).all() and (solution.rv_error == 0).all()

    def test_velocity_prior_pulls(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, rv)
        free, tight = (
            solve(replace(objective, rv_sigma=sigma), torch.zeros_like(theta), steps=8)
            for sigma in (30.0, 0.1)
        )
        assert (tight.iterate.rv.abs() < 0.2 * free.iterate.rv.abs()).all()
        assert (tight.rv_error < 0.11).all() and (free.rv_error > 0.3).all()

    def test_bounds_and_largest_step_hold(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv

        class Near(LatentParameters):
            def bounded(self, origin, theta):
                return theta.clamp(origin - 0.3, origin + 0.3).clamp(-0.5, 0.4)

        objective, _ = make_problem(bridge, instrument, 3 * theta, rv)
        objective = replace(objective, parameters=Near(bridge.survey("toy"), bridge.decoder))
        once = solve(objective, torch.zeros_like(theta), steps=1).iterate.theta
        ended = solve(objective, torch.zeros_like(theta), steps=9).iterate.theta
        assert once.abs().max() == pytest.approx(0.3)
        assert ended.min() == -0.5 and ended.max() == pytest.approx(0.4)


class TestInvariance:
    def test_masked_pixels_are_an_exact_no_op(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0)
        masked = torch.rand(objective.noise.white.shape, generator=torch.Generator().manual_seed(1)) < 0.3
        ivar = objective.noise.white.masked_fill(masked, 0.0)
        garbage = objective.flux.masked_fill(masked, -1e6)
        one, two = (
            solve(replace(objective, noise=Noise(ivar), flux=flux), torch.zeros_like(theta), steps=5)
            for flux in (objective.flux, garbage)
        )
        for first, second in zip((*one.iterate, *one[1:]), (*two.iterate, *two[1:]), strict=True):
            assert torch.equal(first, second)

    def test_stars_do_not_see_each_other(self, bridge, instrument):
        theta, rv = truths(7)
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0)
        together = solve(objective, torch.zeros_like(theta), steps=9)
        for n in (0, 3, 6):
            own = replace(
                objective,
                model=replace(objective.model, functions=objective.model.functions[n : n + 1]),
                flux=objective.flux[n : n + 1],
                noise=Noise(objective.noise.white[n : n + 1]),
            )
            alone = solve(own, torch.zeros_like(theta[:1]), steps=9)
            torch.testing.assert_close(alone.covariance[0], together.covariance[n], rtol=2e-3, atol=1e-6)
            assert_same(alone, together, slice(n, n + 1))

    def test_unit_of_the_flux_does_not_matter(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0)
        scaled = replace(objective, flux=objective.flux * 1e4, noise=Noise(objective.noise.white * 1e-8))
        one, two = (solve(each, torch.zeros_like(theta), steps=9) for each in (objective, scaled))
        assert_same(one, two)
        torch.testing.assert_close(one.iterate.continuum, two.iterate.continuum * 1e-4, rtol=0, atol=1e-4)

    def test_own_continuum_functions_are_the_shared_ones(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0)
        own = replace(objective, continuum_basis=objective.continuum_basis.expand(len(theta), -1, -1))
        assert_same(*(solve(each, torch.zeros_like(theta), steps=9) for each in (objective, own)))

    def test_only_the_span_of_the_continuum_functions_matters(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0)
        count = objective.continuum_basis.shape[1]
        mixed = objective.continuum_basis @ (torch.eye(count) + 0.3 * torch.ones(count, count).triu(1))
        other = replace(objective, continuum_basis=mixed)
        one, two = (solve(each, torch.zeros_like(theta), steps=9) for each in (objective, other))
        assert_same(one, two)
        torch.testing.assert_close(one.iterate.continuum, two.iterate.continuum, rtol=0, atol=1e-4)


class TestContinuum:
    def test_is_the_best_one(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0)
        state = evaluate(objective, theta, rv)
        _, best = profile_continuum(
            state.spectrum, objective.flux, objective.noise.white, objective.continuum_basis
        )
        torch.testing.assert_close(state.continuum, best, rtol=0, atol=2e-5)

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
    def test_leaves_nothing_where_polynomials_are_nearly_dependent(self, bridge, instrument, theta_rv, share):
        """At the truth and S/N 1000, without noise."""
        theta, _ = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, zeros(6), order=16)
        ivar = 100 * objective.noise.white
        ivar[:, : int(share * 145)] = 0.0
        assert (solve(replace(objective, noise=Noise(ivar)), theta, steps=0).iterate.chi2 < 0.05).all()

    @pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8])
    def test_detector_masked_in_part(self, bridge, instrument, theta_rv, share):
        """Polynomials of degree 16 are then nearly dependent, and the fit must not notice."""
        theta, rv = theta_rv
        objective, continuum = make_problem(bridge, instrument, theta, rv, order=16)
        ivar = objective.noise.white.clone()
        ivar[:, : int(share * 145)] = 0.0
        state = solve(replace(objective, noise=Noise(ivar)), torch.zeros_like(theta), steps=8).iterate
        # Freedom of 17 polynomials on few pixels, and the prior of θ, leave a percent.
        assert (state.chi2 < 1.0).all()
        assert ((state.continuum - continuum) * (ivar > 0)).abs().max() < 0.02

    def test_star_without_a_good_pixel_keeps_the_prior(self, bridge, instrument, theta_rv):
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, rv)
        ivar = objective.noise.white.clone()
        ivar[2] = 0.0
        solution = solve(replace(objective, noise=Noise(ivar)), torch.zeros_like(theta), steps=4)
        assert (solution.iterate.theta[2] == 0).all() and solution.iterate.objective[2] == 0
        torch.testing.assert_close(solution.covariance[2], torch.eye(6, dtype=torch.float64))
        assert all(torch.isfinite(part).all() for part in (*solution.iterate, *solution[1:]))


class TestNormalEquations:
    def test_covariance_is_that_of_the_dense_problem(self, bridge, instrument, theta_rv):
        """The inverse of the full JᵀWJ + Λ in float64, with the continuum's columns in it."""
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, rv)
        solution = solve(objective, theta, steps=0)
        state, jacobian = solution.iterate, objective.parameters.slopes(theta).jacobian
        x = objective.model.log_wave
        for n in range(len(theta)):
            spectrum, continuum = state.spectrum[n].double(), state.continuum[n].double()
            slope = torch.zeros_like(spectrum)
            slope[1:-1] = (spectrum[2:] - spectrum[:-2]) / (x[2:] - x[:-2])
            dense = torch.cat(
                [
                    objective.model.functions[n].double() @ jacobian[n] * continuum[:, None],
                    (-slope * continuum / C_KMS)[:, None],
                    objective.continuum_basis.double() * spectrum[:, None],
                ],
                dim=1,
            )
            precision = torch.zeros(dense.shape[1], dtype=torch.float64)
            precision[:6], precision[6] = 1.0, 30.0**-2
            covariance = torch.linalg.inv(SNR**2 * dense.T @ dense + precision.diag())
            torch.testing.assert_close(solution.covariance[n], covariance[:6, :6], rtol=1e-3, atol=1e-8)
            torch.testing.assert_close(solution.rv_error[n], covariance[6, 6].sqrt(), rtol=1e-3, atol=0)

    def test_linear_model_ends_at_least_squares(self, bridge, instrument):
        """Without velocity the model is bilinear; at the continuum found it is linear."""
        theta, rv = truths(4, latent=4)
        mixing = torch.randn(13, 4, dtype=torch.float64) * (torch.arange(13) > 0)[:, None]

        class Mixed(LatentParameters):
            def value(self, theta):
                first = torch.zeros(len(theta), 13, dtype=torch.float64)
                first[:, 0] = 1.0
                return first + theta @ mixing.T

            def slopes(self, theta):
                eye = torch.eye(4, dtype=torch.float64).expand(len(theta), -1, -1)
                return Slopes(mixing.expand(len(theta), -1, -1), eye)

        objective, _ = make_problem(
            bridge, instrument, torch.zeros(4, 6, dtype=torch.float64), zeros(4), noise=1.0, rv_sigma=0.0
        )
        objective = replace(objective, parameters=Mixed(bridge.survey("toy"), bridge.decoder))
        state = solve(objective, torch.zeros_like(theta), steps=12).iterate
        for n in range(4):
            design = (objective.model.functions[n].double() @ mixing) * state.continuum[n].double()[:, None]
            rest = (
                objective.flux[n].double()
                - objective.model.functions[n, :, 0].double() * state.continuum[n].double()
            )
            best = torch.linalg.solve(SNR**2 * design.T @ design + torch.eye(4), SNR**2 * design.T @ rest)
            torch.testing.assert_close(state.theta[n], best, rtol=0, atol=2e-3)

    def test_derivative_does_not_cross_detectors(self, bridge, instrument, theta_rv):
        """Overlapping orders: wavelengths come again, and differences across the seam divide by zero."""
        theta, rv = theta_rv
        objective, _ = make_problem(bridge, instrument, theta, zeros(6))
        again = torch.cat([objective.model.log_wave[:145], objective.model.log_wave[:145]])
        again[145] = again[143]
        inner = torch.ones(290, dtype=torch.bool)
        inner[[0, 144, 145, 289]] = False
        overlapping = replace(objective, model=replace(objective.model, log_wave=again, inner=inner))
        with pytest.raises(torch.linalg.LinAlgError):
            evaluate(replace(objective, model=replace(objective.model, log_wave=again)), theta, rv)
        state = solve(overlapping, theta, steps=3).iterate
        assert all(torch.isfinite(part).all() for part in state)


class TestCalibration:
    def test_pulls_are_standard_normal(self, bridge, instrument):
        """Truths drawn from the prior, 200 noisy stars: (found − truth) / error has unit width."""
        theta, rv = truths(200, seed=5)
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0, rv_sigma=10.0)
        solution = solve(objective, torch.zeros_like(theta), steps=8)
        error = solution.covariance.diagonal(dim1=1, dim2=2).sqrt()
        pull = (solution.iterate.theta - theta) / error
        assert ((pull.std(0) - 1).abs() < 0.15).all()
        assert (pull.mean(0).abs() < 4 / 200**0.5).all()
        velocity = (solution.iterate.rv - rv) / solution.rv_error
        assert abs(velocity.std() - 1) < 0.15 and abs(velocity.mean()) < 4 / 200**0.5

    def test_pulls_use_the_whole_covariance(self, bridge, instrument):
        """χ² of θ under its covariance has the mean of its degrees of freedom."""
        theta, rv = truths(200, seed=6)
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0, rv_sigma=10.0)
        solution = solve(objective, torch.zeros_like(theta), steps=8)
        offset = solution.iterate.theta - theta
        chi2 = torch.einsum("bi,bij,bj->b", offset, torch.linalg.inv(solution.covariance), offset)
        assert abs(chi2.mean() - 6) < 4 * (12 / 200) ** 0.5

    def test_chi2_is_that_of_the_degrees_of_freedom(self, bridge, instrument):
        theta, rv = truths(60, seed=7)
        objective, _ = make_problem(bridge, instrument, theta, rv, noise=1.0)
        state = solve(objective, torch.zeros_like(theta), steps=8).iterate
        free = 290 - 6 - 1 - 8
        assert abs(state.chi2.mean() / free - 1) < 4 * (2 / free / 60) ** 0.5 + 0.01


def test_information_below_zero_by_rounding_leaves_the_prior(bridge, instrument, monkeypatch):
    """Where a continuum that masks leave undetermined costs more digits than there are."""
    from synth2obs.models.fit import covariance

    theta = torch.zeros(2, bridge.decoder.latent, dtype=torch.float64)
    objective, *_ = make_problem(bridge, instrument, theta, zeros(2))
    found = minimise(objective, theta, steps=1)
    right = covariance.information

    def rounded(*of):
        info = right(*of)
        values, vectors = torch.linalg.eigh(info)
        values[:, 0] = -0.9999
        return vectors @ torch.diag_embed(values) @ vectors.mT

    monkeypatch.setattr(covariance, "information", rounded)
    largest = torch.linalg.eigvalsh(with_covariance(objective, found).covariance)[:, -1]
    assert bool((largest <= 1.0 + 1e-6).all()) and bool((largest > 0.0).all())
