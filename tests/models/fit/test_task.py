"""Fits of stars that the physics made: latents, labels, velocities, and what must not change them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.parameters import EDGE, LabelParameters
from synth2obs.models.fit.starts import starting_velocity
from synth2obs.models.fit.task import encode, evaluate_at, fit_labels

FLAT = Options(population=False)
COUNT = 12


@pytest.fixture(scope="module")
def labels(labels_of):
    """Labels in the middle of the grid, with vmic and [Mg/Fe] where the prior expects them."""
    labels = labels_of(COUNT, seed=3, share=0.7)
    labels[:, 3] = np.clip(1.05 + 3e-4 * (labels[:, 0] - 5500) - 0.35 * (labels[:, 1] - 4), 0.9, 2.1)
    labels[:, 4] *= 0.3
    return labels


@pytest.fixture(scope="module")
def spectra(bridge, labels, stars_of):
    return stars_of(bridge, labels, np.linspace(-8, 8, COUNT), snr=200.0)


@pytest.fixture(scope="module")
def seen(bridge, spectra):
    return prepare(bridge, "toy", spectra)


@pytest.fixture(scope="module")
def fit(bridge, seen):
    return fit_labels(bridge, seen, FLAT)


def errors(fit):
    return fit.covariance.diagonal(dim1=1, dim2=2).sqrt()


def garbled(spectra, value):
    """Pixels masked, and what is said to be in them."""
    ivar, flux = spectra.ivar.copy(), spectra.flux.copy()
    ivar[:, 40:60] = 0.0
    flux[:, 40:60] = value
    return replace(spectra, ivar=ivar, flux=flux)


class TestObserve:
    def test_scales_to_a_median_of_one(self, seen, spectra):
        median = seen.flux.where(seen.ivar > 0, torch.nan).nanmedian(1).values
        torch.testing.assert_close(median, torch.ones(COUNT))
        snr = (seen.flux * seen.ivar.sqrt()).numpy()
        np.testing.assert_allclose(snr, spectra.flux * np.sqrt(spectra.ivar), rtol=1e-5, atol=1e-2)

    def test_own_pixels_give_what_shared_pixels_give(self, bridge, seen, spectra):
        own = prepare(bridge, "toy", replace(spectra, wavelength=np.stack([spectra.wavelength] * COUNT)))
        together, alone = (encode(bridge, each, Options(steps=8)) for each in (seen, own))
        seam = int(np.argmax(np.diff(spectra.segment))) + 1
        assert torch.equal(own.segment[seam - 1 : seam + 1], torch.tensor([0, 1]))
        assert ((together.theta - alone.theta).abs() < 0.2 * errors(alone)).all()

    def test_unknown_velocity_starts_at_zero(self, seen):
        assert (seen.rv == 0).all()

    def test_rest_frame_has_no_velocity(self, bridge, spectra):
        known = replace(spectra, rv=np.full(COUNT, 50.0))
        assert (prepare(bridge, "toy", known).rv == 50).all()
        assert (prepare(bridge, "toy", replace(known, frame="rest")).rv == 0).all()

    def test_grid_is_refused(self, bridge, spectra):
        with pytest.raises(DataError, match="ivar is needed"):
            prepare(bridge, "toy", replace(spectra, ivar=None))

    @pytest.mark.parametrize("name", ["flux", "ivar"])
    def test_good_pixel_that_is_not_finite_is_refused(self, bridge, spectra, name):
        broken = getattr(spectra, name).copy()
        broken[2, 100] = np.nan
        with pytest.raises(DataError, match=rf"{name}: NaN or infinite.*row 2, pixel 100"):
            replace(spectra, **{name: broken})

    def test_star_of_zeros_stays_finite(self, bridge, spectra):
        flux = spectra.flux.copy()
        flux[1] = 0.0
        found = fit_labels(bridge, prepare(bridge, "toy", replace(spectra, flux=flux)), FLAT)
        assert all(torch.isfinite(value).all() for value in vars(found).values())

    def test_line_spread_is_that_of_the_spectra(self, bridge, spectra):
        hermite = np.full((1, 290, 3), [0.0, 0.05, 0.02])
        spread = replace(spectra.line_spread, hermite=hermite)
        shaped = prepare(bridge, "toy", replace(spectra, line_spread=spread)).instrument
        plain = prepare(bridge, "toy", spectra).instrument
        flux, rv = bridge.rest_flux(np.array([[5500.0, 4.0, 0.0, 1.1, 0.0]])), torch.zeros(1).double()
        assert (shaped(flux, rv) - plain(flux, rv)).abs().max() > 1e-3


class TestEncode:
    def test_recovers_latents_and_spectrum(self, bridge, labels, seen):
        u = bridge.emulator(bridge.scale(torch.from_numpy(labels)))
        found = encode(bridge, seen, Options(steps=8, refresh=3))
        assert ((found.theta - u).abs() < 4.5 * errors(found)).all()
        assert ((found.theta - u) / errors(found)).square().mean() < 1.5
        assert (found.rv - torch.linspace(-8, 8, COUNT)).abs().max() < 2.0
        assert abs(found.chi2.mean() / 290 - 1) < 0.1

    def test_three_steps_are_enough(self, bridge, seen):
        quick, slow = encode(bridge, seen), encode(bridge, seen, Options(steps=12))
        assert ((quick.theta - slow.theta).abs() < 0.3 * errors(slow)).all()

    def test_no_flux_no_latent(self, bridge, spectra):
        empty = replace(spectra, ivar=np.zeros_like(spectra.ivar))
        found = encode(bridge, prepare(bridge, "toy", empty))
        assert (found.theta == 0).all() and (found.pixels == 0).all()
        torch.testing.assert_close(found.covariance, torch.eye(6).double().expand(COUNT, -1, -1))

    @pytest.mark.parametrize("snr", [30.0, 200.0])
    @pytest.mark.parametrize("rv", [-500.0, 0.0, 430.0])
    def test_unknown_velocity_is_found(self, bridge, labels, stars_of, rv, snr):
        """By cross-correlation, and then by the fit itself."""
        stars = prepare(bridge, "toy", stars_of(bridge, labels, np.full(COUNT, rv), snr=snr))
        width = 299792.458 * stars.width
        assert ((starting_velocity(bridge, stars, 600.0) - rv).abs() < 0.5 * width).all()
        found = encode(bridge, stars, Options(steps=6, rv_search=600.0))
        assert ((found.rv - rv).abs() < 5 * found.rv_error).all()

    def test_known_velocity_is_not_searched(self, bridge, labels, stars_of):
        known = replace(stars_of(bridge, labels, np.full(COUNT, 50.0), snr=200.0), rv=np.full(COUNT, 44.0))
        stars = prepare(bridge, "toy", known)
        assert torch.equal(starting_velocity(bridge, stars, 600.0), stars.rv) and (stars.rv == 44).all()

    @pytest.mark.parametrize("rv", [-100.0, 100.0])
    def test_velocity_is_reached_by_refreshing(self, bridge, labels, stars_of, rv):
        stars = prepare(bridge, "toy", stars_of(bridge, labels, np.full(COUNT, rv), snr=200.0))
        found = encode(bridge, stars, Options(steps=6, refresh=4, rv_sigma=100.0, rv_search=0.0))
        assert ((found.rv - rv).abs() < 5 * found.rv_error).all() and (found.rv_error < 2).all()

    def test_more_stars_than_a_batch(self, bridge, labels_of, stars_of):
        stars = prepare(bridge, "toy", stars_of(bridge, labels_of(70, share=0.7), np.zeros(70), snr=100.0))
        whole = encode(bridge, stars)
        part = encode(bridge, stars.take(torch.tensor([3, 68, 69])))
        assert ((whole.theta[[3, 68, 69]] - part.theta).abs() < 0.01 * errors(part)).all()


class TestEvaluateAt:
    def test_fits_velocity_and_continuum_alone(self, bridge, labels, seen):
        u = bridge.emulator(bridge.scale(torch.from_numpy(labels)))
        found = evaluate_at(bridge, seen, u)
        assert torch.equal(found.theta, u)
        assert (found.rv - torch.linspace(-8, 8, COUNT)).abs().max() < 2.0
        assert abs(found.chi2.mean() / 290 - 1) < 0.1
        assert (evaluate_at(bridge, seen, u + 1.0).chi2 > 10 * found.chi2).all()


class TestLabels:
    def test_recovers_labels_and_velocity(self, bridge, labels, fit):
        offset = fit.theta - bridge.scale(torch.from_numpy(labels))
        assert (offset.abs() < 4.5 * errors(fit)).all()
        assert (fit.rv - torch.linspace(-8, 8, COUNT)).abs().max() < 2.0
        teff = bridge.scale.inverse(fit.theta)[:, 0].numpy() - labels[:, 0]
        assert np.median(np.abs(teff)) < 60

    @pytest.mark.parametrize("rv", [-100.0, 100.0])
    def test_far_velocity(self, bridge, labels, stars_of, rv):
        stars = prepare(bridge, "toy", stars_of(bridge, labels, np.full(COUNT, rv), snr=200.0))
        found = fit_labels(bridge, stars, replace(FLAT, refresh=4, rv_sigma=100.0))
        assert ((found.rv - rv).abs() < 5 * found.rv_error).all()
        offset = found.theta - bridge.scale(torch.from_numpy(labels))
        assert (offset.abs() < 5 * errors(found)).all()

    def test_through_a_morph(self, busy, labels, stars_of, spectra):
        """Stars as the busy survey has them: the morph, the gap and the broader lines are undone."""
        clean = busy.predict(labels, "toy", 20.0)
        stars = replace(spectra, flux=clean, ivar=np.full_like(clean, 1e6))
        found = fit_labels(
            busy, prepare(busy, "toy", stars), Options(population=False, refresh=3, scatter=False)
        )
        truth = busy.scale(torch.from_numpy(labels))
        assert (found.theta - truth).abs().max() < 0.05 and (found.rv - 20).abs().max() < 1.0
        plain = fit_labels(busy, prepare(busy, "toy", stars), replace(FLAT, morphed=False, scatter=False))
        assert (plain.theta - truth).abs().median() > 5 * (found.theta - truth).abs().median()
        assert (plain.chi2 > 10 * found.chi2).all()

    def test_fixed_labels_stay(self, bridge, labels, seen):
        start = bridge.scale(torch.from_numpy(labels)) + 0.1
        found = fit_labels(bridge, seen, replace(FLAT, fixed=(1, 3)), start)
        assert torch.equal(found.theta[:, [1, 3]], start[:, [1, 3]])
        assert (found.theta[:, [0, 2, 4]] != start[:, [0, 2, 4]]).all()
        assert (found.covariance[:, [1, 3]] == 0).all() and (errors(found)[:, [0, 2, 4]] > 0).all()

    def test_all_labels_fixed_leaves_the_velocity(self, bridge, labels, seen):
        start = bridge.scale(torch.from_numpy(labels))
        found = fit_labels(bridge, seen, replace(FLAT, fixed=(0, 1, 2, 3, 4)), start)
        assert torch.equal(found.theta, start)
        assert (found.rv - torch.linspace(-8, 8, COUNT)).abs().max() < 2.0

    def test_fixing_labels_narrows_the_others(self, bridge, labels, seen, fit):
        start = bridge.scale(torch.from_numpy(labels))
        held = fit_labels(bridge, seen, replace(FLAT, fixed=(1,)), start)
        assert (errors(held)[:, 0] < 1.02 * errors(fit)[:, 0]).all()

    def test_stops_at_the_edge(self, bridge, labels, stars_of):
        """Stars beyond the grid end on its edge and a tenth of its range, not further."""
        beyond = labels.copy()
        beyond[:, 1], beyond[:, 2] = 7.5, -2.5
        stars = prepare(bridge, "toy", stars_of(bridge, beyond, np.zeros(COUNT), snr=500.0))
        theta = fit_labels(bridge, stars, FLAT).theta
        ends = bridge.scale(torch.from_numpy(np.stack([bridge.labels.lower, bridge.labels.upper])))
        low, high = ends.amin(0), ends.amax(0)
        margin = EDGE * (high - low)
        assert (theta >= low - margin - 1e-9).all() and (theta <= high + margin + 1e-9).all()
        touching = ((theta - (high + margin)).abs() < 1e-9) | ((theta - (low - margin)).abs() < 1e-9)
        assert touching[:, [1, 2]].any(1).float().mean() > 0.5

    def test_starts_near_the_best_kind_of_star(self, bridge, labels, seen, fit):
        near = fit_labels(bridge, seen, FLAT, bridge.scale(torch.from_numpy(labels)))
        assert (fit.objective < near.objective + 0.5).float().mean() > 0.9

    def test_given_velocities_are_where_it_starts(self, bridge, labels, stars_of):
        stars = prepare(bridge, "toy", stars_of(bridge, labels, np.full(COUNT, 300.0), snr=200.0))
        start = bridge.scale(torch.from_numpy(labels))
        found = fit_labels(bridge, stars, FLAT, start, torch.full((COUNT,), 290.0, dtype=torch.float64))
        assert ((found.rv - 300).abs() < 5 * found.rv_error).all()

    def test_held_velocity_stays(self, bridge, labels, seen):
        start = bridge.scale(torch.from_numpy(labels))
        rv = torch.linspace(-8, 8, COUNT, dtype=torch.float64)
        found = fit_labels(bridge, seen, replace(FLAT, rv_sigma=0.0), start, rv)
        assert torch.equal(found.rv, rv)


class TestWeights:
    @pytest.mark.parametrize("value", [-1e5, np.nan, np.inf])
    def test_masked_pixels_are_an_exact_no_op(self, bridge, spectra, value):
        one, two = (
            fit_labels(bridge, prepare(bridge, "toy", garbled(spectra, v)), FLAT) for v in (0.0, value)
        )
        for name in vars(one):
            assert torch.equal(getattr(one, name), getattr(two, name)), name

    def test_scatter_and_correlation_widen_the_errors(self, build, spectra):
        bridge = build()
        model = bridge.survey("toy")
        stars = prepare(bridge, "toy", spectra)
        before = encode(bridge, stars)
        model.gap.scatter.fill_(1e-3)
        scattered = encode(bridge, stars)
        model.noise.wide.fill_(0.8)
        model.noise.length.fill_(3e-3)
        correlated = encode(bridge, stars)
        assert (errors(scattered) > errors(before)).all() and (errors(correlated) > errors(scattered)).all()
        without = encode(bridge, stars, Options(steps=3, scatter=False))
        torch.testing.assert_close(without.covariance, before.covariance, rtol=1e-4, atol=1e-6)
        expected = 1 / (1 / stars.ivar + 1e-3 * scattered.continuum.square())
        good = scattered.ivar > 0
        torch.testing.assert_close(scattered.ivar[good], expected[good], rtol=0.02, atol=0)
        torch.testing.assert_close(correlated.ivar[good], scattered.ivar[good], rtol=0.02, atol=0)

    def test_error_of_the_emulator_enters_like_a_covariance(self, build, spectra, monkeypatch):
        """(F + G)⁻¹ of labels alone, with the information of theory's latents what is left beside their error."""
        bridge = build()
        stars, size = prepare(bridge, "toy", spectra), bridge.decoder.latent
        exact = fit_labels(bridge, stars, FLAT)
        root = 0.03 * torch.eye(size, dtype=torch.float64) + 0.01
        monkeypatch.setattr(
            type(bridge.theory_error), "latent_factor", lambda own, emulator, x: root.expand(len(x), -1, -1)
        )
        after = fit_labels(bridge, stars, FLAT)
        assert (errors(after) > errors(exact)).all()
        own = LabelParameters(bridge, "toy", True, torch.ones(5), bridge.label_prior(population=False))
        of_labels, of_prior = own.slopes(after.x).of_latent, own.prior(after.x).curvature
        latent = encode(bridge, stars, Options(steps=6, scatter=False))
        information = torch.linalg.inv(latent.covariance) - torch.eye(size)
        left = torch.linalg.inv(torch.linalg.inv(information) + root @ root.T)
        expected = torch.linalg.inv(of_labels.mT @ left @ of_labels + of_prior)
        torch.testing.assert_close(after.covariance, expected, rtol=0.1, atol=1e-5)

    def test_wrong_emulator_is_believed_as_much_as_it_says(self, build, spectra, monkeypatch):
        bridge, generator = build(), torch.Generator().manual_seed(3)
        stars, size = prepare(bridge, "toy", spectra), bridge.decoder.latent
        right = fit_labels(bridge, stars, FLAT)
        shift = 0.1 * torch.randn(size, generator=generator, dtype=torch.float64)
        exact = bridge.emulator.forward
        monkeypatch.setattr(bridge.emulator, "forward", lambda x: exact(x) + shift)
        wrong = fit_labels(bridge, stars, FLAT)
        root = 0.1 * torch.eye(size, dtype=torch.float64)
        monkeypatch.setattr(
            type(bridge.theory_error), "latent_factor", lambda own, emulator, x: root.expand(len(x), -1, -1)
        )
        aware = fit_labels(bridge, stars, FLAT)
        pulls = [(fit.x - right.x) / errors(fit) for fit in (wrong, aware)]
        assert pulls[0].abs().mean() > 1.5 > 1.0 > pulls[1].abs().mean()
        assert (aware.residual.square().sum(1) > wrong.residual.square().sum(1)).all()

    def test_chi2_is_that_of_the_residuals(self, bridge, fit):
        own = (fit.residual * fit.continuum).double().square() * fit.ivar
        torch.testing.assert_close(own.sum(1), fit.chi2, rtol=1e-3, atol=0)
        assert abs(fit.chi2.mean() / 290 - 1) < 0.1 and (fit.pixels == 290).all()


def test_options_without_a_projection_are_refused():
    with pytest.raises(ValueError, match="refresh >= 1, got 8 and 0"):
        Options(refresh=0)


class TestTake:
    def test_stars_keep_their_own_pixels_and_widths(self, bridge, spectra):
        wide = spectra.line_spread.sigma * np.array([[1.0], [1.6]])
        spread = LineSpread.gaussian(wide, group=np.arange(COUNT) % 2)
        shifted = spectra.wavelength + 0.1 * np.arange(COUNT)[:, None]
        own = replace(spectra, wavelength=shifted, line_spread=spread)
        stars = prepare(bridge, "toy", own)
        whole = fit_labels(bridge, stars, FLAT)
        rows = torch.tensor([9, 2, 5])
        part = fit_labels(bridge, stars.take(rows), FLAT)
        again = fit_labels(bridge, stars.take(torch.tensor([5, 9])).take(torch.tensor([1])), FLAT)
        assert ((whole.theta[rows] - part.theta).abs() < 0.02 * errors(part)).all()
        assert ((whole.theta[9] - again.theta[0]).abs() < 0.02 * errors(again)[0]).all()


def test_no_stars_are_no_error(bridge, seen):
    seen = seen.take(torch.zeros(0, dtype=torch.int64))
    assert encode(bridge, seen).theta.shape == (0, bridge.decoder.latent)
    assert fit_labels(bridge, seen).theta.shape == (0, len(bridge.labels))


def test_a_detector_of_two_pixels_is_no_error(bridge, spectra):
    segment = spectra.segment.copy()
    segment[-2:] = segment.max() + 1
    found = fit_labels(bridge, prepare(bridge, "toy", replace(spectra, segment=segment)), FLAT)
    assert torch.isfinite(found.theta).all() and torch.isfinite(found.covariance).all()
