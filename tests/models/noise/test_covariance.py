"""The covariance of residuals: its inverse is that of the dense matrix, whatever is masked, far apart or absent."""

import pytest
import torch

from synth2obs.models.noise.covariance import Noise, joined_pixels
from synth2obs.models.noise.survey_noise import SurveyNoise, TheoryErrors

PIXELS, STARS = 60, 3


def scene(length=5.0, seed=0):
    random = torch.Generator().manual_seed(seed)
    log_wave = torch.cumsum(0.5 + torch.rand(PIXELS, generator=random, dtype=torch.float64), 0)
    segment = (torch.arange(PIXELS) > 35).long()
    white = 10.0 ** (4 * torch.rand(STARS, PIXELS, generator=random, dtype=torch.float64))
    white[:, 10:14] = 0.0
    wide = 0.1 * torch.rand(STARS, PIXELS, generator=random, dtype=torch.float64)
    return Noise(white, wide, joined_pixels(log_wave, segment, length)), log_wave, segment


def dense(noise, log_wave, segment, length=5.0):
    """C with very wide errors where masked."""
    kernel = torch.exp(-(log_wave[:, None] - log_wave).abs() / length) * (segment[:, None] == segment)
    smooth = noise.wide[:, :, None] * kernel * noise.wide[:, None]
    return torch.diag_embed(1.0 / noise.white.clamp(min=1e-12)) + smooth


class TestSolve:
    @pytest.mark.parametrize("length", [0.2, 5.0, 300.0])
    def test_it_is_the_dense_inverse(self, length):
        noise, log_wave, segment = scene(length)
        expected = torch.linalg.inv(dense(noise, log_wave, segment, length))
        found = noise.solve(torch.eye(PIXELS, dtype=torch.float64).expand(STARS, -1, -1))
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))

    def test_one_column_and_many_agree(self):
        noise, *_ = scene()
        values = torch.randn(STARS, 4, PIXELS, generator=torch.Generator().manual_seed(2))
        many = noise.solve(values)
        assert many.dtype == values.dtype
        for column in range(4):
            torch.testing.assert_close(noise.solve(values[:, column]), many[:, column])

    def test_a_masked_pixel_is_a_no_op(self):
        noise, *_ = scene()
        values = torch.randn(STARS, PIXELS, generator=torch.Generator().manual_seed(2))
        spoiled = values.clone()
        spoiled[:, 10:14] = 1e6
        assert torch.equal(noise.solve(spoiled), noise.solve(values))
        assert not noise.solve(values)[:, 10:14].any()

    def test_stars_do_not_hear_of_each_other(self):
        noise, *_ = scene()
        values = torch.randn(STARS, PIXELS, generator=torch.Generator().manual_seed(2))
        rows = torch.tensor([2, 0])
        torch.testing.assert_close(noise.take(rows).solve(values[rows]), noise.solve(values)[rows])

    def test_without_a_smooth_part_it_is_the_weight(self):
        noise, *_ = scene()
        values = torch.ones(STARS, PIXELS, dtype=torch.float64)
        assert torch.equal(Noise(noise.white).solve(values), noise.white)
        none = Noise(noise.white, torch.zeros_like(noise.white), noise.joined)
        torch.testing.assert_close(none.solve(values), noise.white)

    def test_own_pixels_of_every_star(self):
        noise, log_wave, segment = scene()
        each = joined_pixels(log_wave.expand(STARS, -1), segment, 5.0)
        values = torch.randn(STARS, PIXELS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        own = Noise(noise.white, noise.wide, each)
        torch.testing.assert_close(own.solve(values), noise.solve(values))
        torch.testing.assert_close(own.take(torch.tensor([1])).solve(values[1:2]), noise.solve(values)[1:2])

    def test_photon_noise_prevails_where_there_is_much(self):
        """At S/N 1 a smooth error of a percent changes nothing."""
        noise, *_ = scene()
        loud = Noise(torch.ones(STARS, PIXELS), 0.01 * torch.ones(STARS, PIXELS), noise.joined)
        values = torch.randn(STARS, PIXELS, generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(loud.solve(values), values, rtol=0, atol=5e-3)


class TestSurveyNoise:
    def test_untouched_it_adds_the_scatter_to_the_noise(self):
        own = SurveyNoise()
        ivar = torch.tensor([[100.0, 0.0, 25.0]])
        found = own.of(ivar, TheoryErrors(*2 * [torch.full((1, 3), 0.1)]), torch.arange(3.0), torch.zeros(3))
        torch.testing.assert_close(found.white, torch.tensor([[50.0, 0.0, 20.0]]))
        assert found.wide is None and own.pixels(1.0) == 1.0

    def test_parts_add_up(self):
        own = SurveyNoise()
        for name, value in {"white": 2.0, "narrow": 3.0, "wide": 0.5, "length": 4.0}.items():
            getattr(own, name).fill_(value)
        errors = TheoryErrors(weighed=torch.full((1, 5), 0.1), left=torch.full((1, 5), 0.2))
        found = own.of(torch.full((1, 5), 4.0), errors, torch.arange(5.0), torch.zeros(5))
        torch.testing.assert_close(1 / found.white, torch.full((1, 5), 0.5 + 0.03))
        torch.testing.assert_close(1 / found.marginal, torch.full((1, 5), 0.5 + 0.03 + 0.005))
        torch.testing.assert_close(1 / found.of_pixels, torch.full((1, 5), 0.5 + 0.04))
        torch.testing.assert_close(found.joined, torch.full((4,), -0.25, dtype=torch.float64).exp())
        # 3 narrow pixels, and half of the 8.04 that an exponential of 4 pixels has.
        assert own.pixels(1.0) == pytest.approx(3.0 + 0.5 / torch.tanh(torch.tensor(0.125)).item())

    def test_no_error_of_theory_is_noise_alone(self):
        own = SurveyNoise()
        own.white.fill_(4.0)
        found = own.of(torch.tensor([[100.0, 0.0]]), None, torch.arange(2.0), torch.zeros(2))
        torch.testing.assert_close(found.white, torch.tensor([[25.0, 0.0]]))
