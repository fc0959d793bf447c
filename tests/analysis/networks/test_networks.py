"""Networks of a bench: what all of them keep, what each of them learns, and what both are taught from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.analysis.networks import NETWORKS, NetworksConfig
from synth2obs.analysis.networks.lessons import Lessons, Normaliser, Theory
from synth2obs.analysis.networks.translator import OBSERVED, SYNTHETIC, Translator
from synth2obs.analysis.recovery import fitted_labels
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import StarLabels
from synth2obs.models.fit.task import fit_labels
from synth2obs.physics.continuum import chebyshev_basis

SETTINGS = {
    "pretrained": {"steps": 400, "batch": 48, "hidden": 48, "learning_rate": 3e-3},
    "cycle": {"steps": 250, "batch": 24, "latent": 8, "hidden": 16, "learning_rate": 1e-3},
}
STARS = 40


def config_of(name, **other):
    return NETWORKS[name].Config(**{**SETTINGS[name], **other})


@pytest.fixture(scope="module")
def world(bridge, labels_of, stars_of):
    """Stars of ``far`` with a line of 8 % that theory lacks: lessons, stars that score, their labels, and the line."""
    labels = labels_of(2 * STARS, seed=41, share=0.6)
    theory = bridge.predict(labels, "far", morphed=False)
    pixels = bridge.survey("far").wavelength.numpy()
    line = -0.08 * np.exp(-0.5 * ((pixels - 5201.0) / 2.5) ** 2)
    spectra = stars_of("far", theory + line, snr=200)
    seen, x = prepare(bridge, "far", spectra), bridge.scale(torch.from_numpy(labels))
    train, held = torch.arange(STARS), torch.arange(STARS, 2 * STARS)
    grid = bridge.scale(torch.from_numpy(labels_of(200, seed=7)))
    flux = torch.from_numpy(np.asarray(bridge.rest_flux(bridge.scale.inverse(grid).numpy())))
    stars = StarLabels(x[train], seen.rv[train], torch.ones(STARS).double())
    lessons = Lessons(bridge, Theory(flux, grid), seen.take(train), stars)
    return lessons, seen.take(held), x[held], line


@pytest.fixture(scope="module")
def taught(world):
    return {name: NETWORKS[name](world[0], config_of(name)) for name in NETWORKS}


def test_every_entry_has_its_settings():
    assert set(NetworksConfig.model_fields) == set(NETWORKS)
    assert NetworksConfig().wanted() == tuple(NETWORKS)
    for name, kind in NETWORKS.items():
        assert kind.Config().name == name and kind.Config().steps > 0
        without = NetworksConfig(**{name: {"steps": 0}})
        assert without.wanted() == tuple(other for other in NETWORKS if other != name)
        with pytest.raises(ValueError, match="extra"):
            kind.Config(colour="red")


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetwork:
    def test_answers_with_labels_and_errors(self, taught, world, name):
        _, seen, *_ = world
        answer = taught[name].answer(seen)
        assert answer.labels.shape == answer.errors.shape == (STARS, 3)
        assert np.isfinite(answer.labels).all() and (answer.errors > 0).all()

    def test_repeats_itself_and_leaves_the_global_numbers_alone(self, world, name):
        lessons, seen, *_ = world
        torch.manual_seed(3)
        before = torch.get_rng_state()
        found = [
            NETWORKS[name](lessons, config_of(name, steps=3), seed).answer(seen).labels for seed in (1, 1, 2)
        ]
        assert torch.equal(torch.get_rng_state(), before)
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.array_equal(found[0], found[2])

    def test_a_masked_pixel_says_nothing(self, taught, world, name):
        _, seen, *_ = world
        hidden = torch.zeros_like(seen.ivar, dtype=torch.bool)
        hidden[:, 40:50] = True
        masked = replace(seen, ivar=torch.where(hidden, 0.0, seen.ivar))
        spoilt = replace(masked, flux=torch.where(hidden, 7.0, seen.flux))
        one, two = (taught[name].answer(each).labels for each in (masked, spoilt))
        np.testing.assert_array_equal(one, two)

    def test_stars_do_not_see_each_other(self, taught, world, name):
        _, seen, *_ = world
        alone = taught[name].answer(seen.take(torch.tensor([4]))).labels
        np.testing.assert_allclose(alone, taught[name].answer(seen).labels[4:5], rtol=1e-3, atol=2e-3)


class TestPretrained:
    def test_it_learns_labels(self, taught, world, bridge):
        _, seen, x, _ = world
        known = bridge.scale.inverse(x)[:, :3].numpy()
        wrong = taught["pretrained"].answer(seen).labels - known
        assert (wrong.std(0) < 0.6 * known.std(0)).all()

    def test_it_has_no_spectra(self, taught, world):
        _, seen, x, _ = world
        network = taught["pretrained"]
        assert network.answer(seen).fit is None and network.held(seen, x, seen.rv) is None
        assert network.change(x) is None and network.cycle_error(x) is None


class TestCycle:
    def test_it_adds_the_line_that_theory_lacks(self, taught, world):
        _, _, x, line = world
        added = taught["cycle"].change(x)
        covered = torch.isfinite(added).all(0).numpy()
        mean = added.mean(0).numpy()[covered]
        slope = (mean * line[covered]).sum() / (line[covered] ** 2).sum()
        assert 0.6 < slope < 1.2
        assert abs(int(mean.argmin()) - int(line[covered].argmin())) <= 2

    def test_it_explains_more_than_theory_at_true_labels(self, taught, world, bridge):
        _, seen, x, _ = world
        found = taught["cycle"].held(seen, x, seen.rv)
        every = tuple(range(x.shape[1]))
        theory = fit_labels(bridge, seen, Options(scatter=False, morphed=False, fixed=every), x, seen.rv)
        assert found.chi2.sum() < 0.75 * theory.chi2.sum()

    def test_its_labels_belong_to_its_spectra(self, taught, world, bridge):
        _, seen, *_ = world
        answer = taught["cycle"].answer(seen)
        np.testing.assert_array_equal(answer.labels, fitted_labels(bridge, answer.fit))
        again = taught["cycle"].held(seen, answer.fit.x, answer.fit.rv)
        np.testing.assert_allclose(again.chi2, answer.fit.chi2, rtol=0.2)

    def test_there_and_back(self, taught, world):
        _, _, x, _ = world
        assert 0 < taught["cycle"].cycle_error(x) < 0.02


def test_a_translator_begins_as_the_same_projection_for_both_domains():
    axes, _ = torch.linalg.qr(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)))
    mean = torch.ones(30)
    net = Translator(mean, axes.T, torch.tensor([3.0, 2.0, 1.0, 0.5]), 8)
    flux = mean + torch.randn(5, 4, generator=torch.Generator().manual_seed(1)) @ axes.T
    good = torch.ones_like(flux, dtype=torch.bool)
    with torch.no_grad():
        for pair in ((SYNTHETIC, OBSERVED), (OBSERVED, SYNTHETIC), (OBSERVED, OBSERVED)):
            torch.testing.assert_close(net.translate(*pair, flux, good), flux, rtol=0, atol=1e-5)


class TestNormaliser:
    wavelength = torch.linspace(5000, 5400, 300)
    normalise = Normaliser(chebyshev_basis(wavelength, torch.zeros(300).long(), 6))

    def spectra(self):
        random = np.random.default_rng(0)
        centre, depth = random.uniform(5000, 5400, 25), random.uniform(0.05, 0.5, (6, 25))
        profile = np.exp(-0.5 * ((self.wavelength.numpy() - centre[:, None]) / 1.5) ** 2)
        return torch.from_numpy(1.0 - depth @ profile).float().clamp(min=0.1)

    def test_a_smooth_continuum_goes_away(self):
        flux = self.spectra()
        x = torch.linspace(-1, 1, 300)
        level = 40.0 * torch.exp(0.3 * x - 0.2 * x.square())
        one = self.normalise(flux, torch.full_like(flux, 1e4))
        two = self.normalise(flux * level, 1e4 / level.square().expand_as(flux))
        assert (one.flux - two.flux).abs().quantile(0.95) < 5e-3
        torch.testing.assert_close(one.flux * one.level, flux, rtol=1e-5, atol=1e-5)
        assert (two.ivar / one.ivar - 1).abs().quantile(0.95) < 2e-2

    def test_it_runs_above_the_lines(self):
        found = self.normalise(self.spectra(), torch.full((6, 300), 1e4))
        assert (found.flux.median(1).values > 0.9).all() and (found.flux.amax(1) < 1.1).all()

    def test_masked_pixels_take_no_part(self):
        flux, ivar = self.spectra(), torch.full((6, 300), 1e4)
        ivar[:, 100:130] = 0.0
        spoilt = flux.clone()
        spoilt[:, 100:130] = 1e3
        one, two = self.normalise(flux, ivar), self.normalise(spoilt, ivar)
        torch.testing.assert_close(one.flux, two.flux, rtol=0, atol=0)
        assert (one.flux[:, 100:130] == 1).all() and (one.ivar[:, 100:130] == 0).all()


def test_spectra_of_the_grid_look_like_stars(world):
    lessons, *_ = world
    random = torch.Generator().manual_seed(0)
    rows = lessons.rows(60, random)
    noisy, clean = (
        lessons.synthetic(rows, torch.Generator().manual_seed(5), noise=on) for on in (True, False)
    )
    pull = ((noisy.flux - clean.flux) * clean.ivar.sqrt())[clean.ivar > 0]
    assert float(pull.std()) == pytest.approx(1.0, abs=0.1)
    assert float((lessons.stars.flux.mean(0) - clean.flux.mean(0)).abs().median()) < 0.05
