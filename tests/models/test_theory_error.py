"""The error of theory: calibrated on held-out spectra, the same in coefficients, rest frame and native pixels."""

import pytest
import torch

from synth2obs.models.decoder.encode import encode_flux
from tests.models.conftest import make_bridge, random_labels, theory


@pytest.fixture(scope="module")
def trusted():
    """A bridge whose theory was compared with 60 spectra that it was not taught."""
    bridge = make_bridge(busy=True)
    labels = random_labels(60, seed=9)
    x, flux = bridge.scale(torch.from_numpy(labels)), torch.from_numpy(theory(labels)).float()
    bridge.theory_error.calibrate(bridge.decoder, bridge.emulator, x, flux, encode_flux(bridge.decoder, flux))
    return bridge, x, flux


def test_held_out_errors_are_as_large_as_expected(trusted):
    bridge, x, flux = trusted
    found = (bridge.decoder(bridge.emulator(x).float()) - flux).square().mean(1)
    expected = bridge.theory_error.variance(bridge.decoder, bridge.emulator, x).mean(1)
    assert 0.5 < float((found / expected).mean()) < 2.0
    assert (bridge.theory_error.remainder > 0).any()


def test_every_star_has_its_own_error(trusted):
    """Pulls of stars whose errors are expected to be small are as wide as those of the others."""
    bridge, x, flux = trusted
    expected = bridge.theory_error.variance(bridge.decoder, bridge.emulator, x)
    found = (bridge.decoder(bridge.emulator(x).float()) - flux).square()
    pull = (found.mean(1) / expected.mean(1)).sqrt()
    for stars in expected.mean(1).argsort().chunk(2):
        assert 0.6 < float(pull[stars].mean()) < 1.6


def test_what_the_decoder_leaves_is_a_part_of_the_variance(trusted):
    bridge, x, _ = trusted
    parts = bridge.decoder, bridge.emulator, x[:4]
    left, error = bridge.theory_error.left(*parts), bridge.theory_error
    without = error.variance(*parts) - left
    torch.testing.assert_close(left, without.mean(1, keepdim=True) * error.share, rtol=1e-3, atol=1e-12)


def test_a_bundle_without_shares_has_the_same_remainder_for_all_stars(trusted):
    bridge, x, _ = trusted
    state = bridge.theory_error.state_dict()
    del state["share"]
    old = type(bridge.theory_error)(len(bridge.theory_error.share))
    old.load_state_dict(state)
    left = old.left(bridge.decoder, bridge.emulator, x[:2])
    assert torch.equal(left, bridge.theory_error.remainder.expand(2, -1))


def test_native_variance_is_that_of_draws(trusted):
    bridge, x, _ = trusted
    bridge.theory_error.share.zero_()
    bridge.theory_error.remainder.zero_()
    still = torch.zeros(3, dtype=torch.float64)
    found = bridge.emulator_variance("toy", x[:3], still)
    factor = bridge.emulator_factor("toy", x[:3])
    draws = factor @ torch.randn(factor.shape[2], 500, dtype=torch.float64)
    drawn = torch.stack(
        [torch.from_numpy(bridge.native.flux(draws[..., n], "toy", still)) for n in range(500)]
    )
    torch.testing.assert_close(found.mean(1), drawn.var(0).mean(1), rtol=0.2, atol=0)


def test_grows_away_from_the_grid(trusted):
    bridge, x, _ = trusted
    near, far = (
        bridge.theory_error.variance(bridge.decoder, bridge.emulator, at).mean() for at in (x, 4.0 * x)
    )
    assert far > 3.0 * near


def test_stars_do_not_see_each_other(trusted):
    bridge, x, _ = trusted
    rv = torch.zeros(5, dtype=torch.float64)
    together, alone = (
        bridge.emulator_variance("toy", x[:5], rv),
        bridge.emulator_variance("toy", x[2:3], rv[:1]),
    )
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-12)
