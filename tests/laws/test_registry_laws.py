"""Laws that every entry of the registries keeps: shapes, slopes, storage, batches, and what it is before it learns."""

import copy

import pytest
import torch

from synth2obs.models.alignment import ALIGNMENTS
from synth2obs.models.alignment import DEFAULT as ALIGNMENT
from synth2obs.models.alignment.change import minimal_change
from synth2obs.models.alignment.density import FlowDensity
from synth2obs.models.alignment.learn import Learner, Pupil, teach
from synth2obs.models.contracts import EncodedStars
from synth2obs.models.emulator import DEFAULT as EMULATOR
from synth2obs.models.emulator import EMULATORS
from synth2obs.models.gap import DEFAULT as GAP
from synth2obs.models.gap import GAPS
from synth2obs.models.gap.reading import LabelReading

LABELS, LATENT, SPECTRA, CELLS, STARS = 5, 4, 60, 30, 40


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slope(function, at, step=1e-5):
    """Central differences, (B, N) → (B, M, N)."""
    eye = step * torch.eye(at.shape[1], dtype=at.dtype)
    columns = [(function(at + row) - function(at - row)) / (2 * step) for row in eye]
    return torch.stack(columns, dim=2)


@pytest.mark.parametrize(
    ("registry", "default"),
    [(EMULATORS, EMULATOR), (ALIGNMENTS, ALIGNMENT), (GAPS, GAP)],
    ids=["emulator", "alignment", "gap"],
)
def test_settings_carry_the_name_of_their_entry(registry, default):
    assert default in registry
    for name, kind in registry.items():
        settings = kind.Config()
        assert settings.name == name
        assert kind.Config(**settings.model_dump()) == settings
        with pytest.raises(ValueError, match="extra"):
            kind.Config(colour="red")


def emulator_of(name):
    torch.manual_seed(0)
    made = EMULATORS[name](LABELS, LATENT, SPECTRA)
    x = normal(SPECTRA, LABELS)
    latent = torch.stack([x[:, 0], x[:, 1] - 0.3 * x[:, 0] ** 2, x[:, 2] * x[:, 0], 0.5 * x[:, 3]], dim=1)
    made.fit(x, latent, torch.ones(LATENT, dtype=torch.float64))
    return made, x, latent


@pytest.mark.parametrize("name", EMULATORS)
class TestEmulators:
    def test_shapes(self, name):
        made, x, _ = emulator_of(name)
        assert made.spectra == SPECTRA
        torch.testing.assert_close(made.known, x)
        assert made(x[:3]).shape == (3, LATENT) and made(x[:3]).dtype == torch.float64
        assert made.jacobian(x[:3]).shape == (3, LATENT, LABELS)

    def test_jacobian_is_its_slope(self, name):
        made, _, _ = emulator_of(name)
        at = normal(6, LABELS, seed=1)
        torch.testing.assert_close(made.jacobian(at), slope(made, at, 1e-4), rtol=1e-5, atol=1e-6)

    def test_storage(self, name):
        made, x, _ = emulator_of(name)
        again = EMULATORS[name](LABELS, LATENT, made.spectra, made.Config(**made.config.model_dump()))
        again.load_state_dict(made.state_dict())
        assert torch.equal(again(x), made(x)) and torch.equal(again.known, made.known)

    def test_stars_do_not_see_each_other(self, name):
        made, x, _ = emulator_of(name)
        torch.testing.assert_close(made(x)[7:8], made(x[7:8]), rtol=1e-10, atol=1e-10)

    def test_knows_what_it_was_fitted_to(self, name):
        made, x, latent = emulator_of(name)
        assert (made(x) - latent).square().mean().sqrt() < 0.1 * latent.std()

    def test_covariance_is_small_where_it_knows_and_grows_outside(self, name):
        made, x, _ = emulator_of(name)
        inside, outside = (made.covariance(at).diagonal(dim1=1, dim2=2).sum(1) for at in (x, 6.0 * x))
        assert (inside >= 0).all() and inside.median() < 0.1 * outside.median()

    def test_a_constant_is_a_constant(self, name):
        made = EMULATORS[name](LABELS, LATENT, SPECTRA)
        x, flat = normal(SPECTRA, LABELS), torch.full((SPECTRA, LATENT), 2.0, dtype=torch.float64)
        # Responses to labels are zero, up to the noise that a sample of spectra leaves.
        made.fit(x, flat + 1e-6 * normal(SPECTRA, LATENT, seed=3), torch.ones(LATENT, dtype=torch.float64))
        assert (made(x) - 2.0).abs().max() < 1e-2


def encoded(count=STARS):
    source = normal(count, LATENT)
    latent = source + torch.tensor([0.5, 0.0, -0.3, 0.0], dtype=torch.float64)
    precision = 25.0 * torch.eye(LATENT, dtype=torch.float64).expand(count, -1, -1)
    return EncodedStars(source, latent, precision)


def densities():
    found = [FlowDensity(LATENT).double() for _ in range(2)]
    found[0].start(normal(200, LATENT, seed=4))
    found[1].start(1.3 * normal(200, LATENT, seed=5) + 0.2)
    return found


def morph_of(name, *, moved=True):
    torch.manual_seed(0)
    morph = ALIGNMENTS[name](LATENT).double()
    if moved:
        morph.attach(*densities())
        with torch.no_grad():
            for parameter in morph.parameters():
                parameter += 0.1 * normal(*parameter.shape, seed=6)
    return morph


@pytest.mark.parametrize("name", ALIGNMENTS)
class TestAlignments:
    def test_starts_at_the_identity(self, name):
        u, morph = normal(9, LATENT), morph_of(name, moved=False)
        v, logabsdet = morph(u)
        assert torch.equal(v, u) and (logabsdet == 0).all()
        torch.testing.assert_close(morph.jacobian(u), torch.eye(LATENT).double().expand(9, -1, -1))
        assert minimal_change(morph, u)["displacement"] == 0

    def test_round_trip(self, name):
        u, morph = normal(50, LATENT), morph_of(name)
        v, forward = morph(u)
        back, inverse = morph.inverse(v)
        torch.testing.assert_close(back, u, rtol=0, atol=1e-10)
        torch.testing.assert_close(inverse, -forward, rtol=0, atol=1e-9)

    def test_jacobian_is_its_slope_and_has_its_determinant(self, name):
        u, morph = normal(5, LATENT), morph_of(name)
        jacobian = morph.jacobian(u)
        torch.testing.assert_close(jacobian, slope(lambda at: morph(at)[0], u), rtol=0, atol=1e-4)
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, morph(u)[1], rtol=0, atol=1e-3)

    def test_storage(self, name):
        u, morph = normal(5, LATENT), morph_of(name)
        again = ALIGNMENTS[name](LATENT, morph.Config(**morph.config.model_dump())).double()
        again.attach(*densities())
        again.load_state_dict(morph.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(again(u)[0], morph(u)[0], rtol=0, atol=0)

    def test_stars_do_not_see_each_other(self, name):
        u, morph = normal(8, LATENT), morph_of(name)
        torch.testing.assert_close(morph(u)[0][3:4], morph(u[3:4])[0], rtol=1e-10, atol=1e-10)

    def test_loss_is_a_scalar_of_named_terms_with_a_gradient(self, name):
        morph, stars = morph_of(name), encoded()
        total, terms = morph.loss(stars, normal(1, STARS, LATENT, seed=7))
        assert total.shape == () and torch.isfinite(total)
        assert all(term.shape == () and torch.isfinite(term) for term in terms.values())
        parameters = list(morph.parameters())
        if parameters:
            total.backward()
            assert any(p.grad is not None and p.grad.abs().max() > 0 for p in parameters)

    def test_the_learner_lowers_the_loss_and_repeats_itself(self, name):
        results = []
        for _ in range(2):
            morph, stars = morph_of(name, moved=False), encoded()
            config = morph.Config(steps=30, learning_rate=0.02, displacement=0.01, jacobian=0.1)
            before = morph.loss(stars, normal(1, STARS, LATENT))[0].item()
            teach(morph, stars, config, torch.Generator().manual_seed(0))
            results.append(morph.loss(stars, normal(1, STARS, LATENT))[0].item())
            assert results[-1] <= before
        assert results[0] == results[1]

    def test_densities_are_taught_beside_it(self, name):
        morph, density = morph_of(name, moved=False), FlowDensity(LATENT).double()
        learner = Learner({"one": Pupil(morph, density)}, morph.Config(steps=3))
        first = learner.step(0, {"one": encoded()}, torch.Generator().manual_seed(0))
        second = learner.step(1, {"one": encoded()}, torch.Generator().manual_seed(1))
        assert second["one/nll"] < first["one/nll"] and "loss" in first


def gap_of(name, *, fitted=True):
    reading = LabelReading(LATENT)
    reading.learn(normal(80, LATENT, seed=1), normal(80, LABELS, seed=2))
    gap = GAPS[name](reading, CELLS)
    if fitted:
        features = gap.features(normal(STARS, LATENT, seed=3))
        residual = features @ (0.02 * normal(gap.size, CELLS, seed=4)) + 1e-3 * normal(STARS, CELLS, seed=5)
        gap.update(gap.posterior(residual, torch.full_like(residual, 1e6), features))
    return gap


@pytest.mark.parametrize("name", GAPS)
class TestGaps:
    def test_is_zero_until_it_is_fitted(self, name):
        gap = gap_of(name, fitted=False)
        features = gap.features(normal(3, LATENT)).float()
        assert features.shape == (3, gap.size) and (gap(features) == 0).all()
        assert (gap.scatter == 0).all() and (gap.variance(features) > 0).all()

    def test_slope_of_the_features(self, name):
        gap, u = gap_of(name), normal(6, LATENT)
        torch.testing.assert_close(gap.features_jacobian(u), slope(gap.features, u), rtol=1e-6, atol=1e-8)

    def test_features_are_bounded_far_from_the_grid(self, name):
        gap = gap_of(name)
        assert gap.features(1e6 * normal(5, LATENT)).abs().max() < 100

    def test_a_planted_gap_comes_back_within_its_error(self, name):
        gap, u = gap_of(name), normal(STARS, LATENT, seed=3)
        truth = gap.features(u) @ (0.02 * normal(gap.size, CELLS, seed=4))
        features = gap.features(u).float()
        pull = (gap(features) - truth) / gap.variance(features).sqrt()
        assert pull.square().mean().sqrt() < 1.5

    def test_masked_pixels_do_not_count(self, name):
        gap, features = gap_of(name, fitted=False), None
        features = gap.features(normal(STARS, LATENT, seed=3))
        residual, ivar = 0.01 * normal(STARS, CELLS, seed=8), torch.full((STARS, CELLS), 1e5).double()
        ivar[::4] = 0.0
        one = gap.posterior(residual, ivar, features)
        two = gap.posterior(residual.masked_fill(ivar == 0, 1e3), ivar, features)
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))

    def test_storage(self, name):
        gap = gap_of(name)
        again = GAPS[name](LabelReading(LATENT), CELLS, gap.Config(**gap.config.model_dump()))
        again.load_state_dict(gap.state_dict())
        features = gap.features(normal(4, LATENT))
        assert torch.equal(again.features(normal(4, LATENT)), features)
        assert torch.equal(again(features.float()), gap(features.float()))
        assert torch.equal(again.variance(features.float()), gap.variance(features.float()))

    def test_stars_do_not_see_each_other(self, name):
        gap, u = gap_of(name), normal(7, LATENT)
        alone = gap(gap.features(u[2:3]).float())
        torch.testing.assert_close(gap(gap.features(u).float())[2:3], alone, rtol=1e-6, atol=1e-8)

    def test_slopes_are_those_of_the_mean(self, name):
        gap = gap_of(name)
        assert all(slope.shape == (CELLS,) for slope in gap.slopes().values())

    def test_a_copy_is_its_own(self, name):
        gap = gap_of(name)
        other = copy.deepcopy(gap)
        other.mean += 1.0
        assert not torch.equal(other.mean, gap.mean)
