"""Free carbon: limits of the balance with CO, its slope, what the process makes of it, and bundles without it."""

import numpy as np
import pytest
import torch

from synth2obs.core.labels import LabelSpace
from synth2obs.models.emulator.carbon import SUN, FreeCarbon
from synth2obs.models.emulator.cross_validation import cross_validate
from synth2obs.models.emulator.process import ProcessEmulator
from synth2obs.models.emulator.scale import LabelScale

NAMES = ("teff", "logg", "fe_h", "vmic", "c_fe", "o_fe", "mg_fe")
LOWER, UPPER = [3900, 0.5, -2, 0.5, -0.5, -0.5, -0.5], [7000, 5, 0.4, 2.5, 0.8, 0.6, 0.5]


def drawn(count, seed=0):
    return np.random.default_rng(seed).uniform(LOWER, UPPER, (count, len(NAMES)))


VALUES = drawn(150)
SPACE = LabelSpace.from_values(NAMES, VALUES)
SCALE = LabelScale(SPACE, VALUES)


def scaled(values):
    return SCALE(torch.as_tensor(np.atleast_2d(values), dtype=torch.float64))


@pytest.fixture
def carbon():
    made = FreeCarbon(len(NAMES))
    assert made.attach(SPACE, SCALE) and made.known
    return made


def free(carbon, **labels):
    """[C/Fe] that is left, in dex."""
    star = {
        "teff": 5777,
        "logg": 4.4,
        "fe_h": 0.0,
        "vmic": 1.0,
        "c_fe": 0.0,
        "o_fe": 0.0,
        "mg_fe": 0.0,
        **labels,
    }
    return float(carbon(scaled([star[name] for name in NAMES])))


def test_warm_stars_have_all_their_carbon(carbon):
    for c_fe in (-0.3, 0.0, 0.5):
        assert free(carbon, teff=7000, c_fe=c_fe) == pytest.approx(c_fe, abs=0.01)


def test_cool_stars_have_what_oxygen_leaves(carbon):
    assert free(carbon, teff=4000, logg=1.0) < -1.0
    assert free(carbon, teff=4000, o_fe=0.3) < free(carbon, teff=4000) - 0.3
    rich = np.log10(10 ** (SUN[0] + 0.6) - 10 ** SUN[1]) - SUN[0]
    assert free(carbon, teff=4000, c_fe=0.6) == pytest.approx(rich, abs=0.05)


def test_slope(carbon, slope_of):
    carbon.learn(scaled(VALUES))
    x = scaled(drawn(20, seed=1))
    found = slope_of(lambda at: carbon(at)[:, None], x, 1e-4)[:, 0]
    torch.testing.assert_close(carbon.slope(x), found, rtol=1e-5, atol=1e-7)


def test_is_not_known_without_its_labels():
    few = LabelSpace.from_values(NAMES[:4], VALUES[:, :4])
    made = FreeCarbon(4)
    assert not made.attach(few, LabelScale(few, VALUES[:, :4])) and not made.known


def bands(x):
    """Molecular bands beside a line of an element that grows with metallicity."""
    carbon = FreeCarbon(len(NAMES))
    carbon.attach(SPACE, SCALE)
    return torch.stack(
        [torch.sigmoid(carbon(x)) + 0.1 * x[:, 0], 0.3 * x[:, 6] * (0.7 * x[:, 2]).exp()], dim=1
    )


def fitted(attached, x, latent):
    made = ProcessEmulator(len(NAMES), 2, len(x))
    if attached:
        made.attach(SPACE, SCALE)
    made.fit(x, latent, torch.ones(2, dtype=torch.float64))
    return made


@pytest.fixture(scope="module")
def both():
    x = scaled(VALUES)
    return [fitted(attached, x, bands(x)) for attached in (True, False)]


def test_bands_are_found_from_fewer_spectra(both):
    x = scaled(drawn(300, seed=2))
    with_it, without = ((made(x) - bands(x))[:, 0].square().mean().sqrt() for made in both)
    assert with_it < 0.6 * without


def test_jacobian_of_the_process_is_its_slope(both, slope_of):
    x = scaled(drawn(6, seed=3))
    assert all(made.kernel.gain.abs().max() > 0.1 for made in both)
    for made in both:
        torch.testing.assert_close(made.jacobian(x), slope_of(made, x, 1e-4), rtol=1e-5, atol=1e-6)


def test_storage_with_and_without(both):
    x = scaled(drawn(4, seed=4))
    for made in both:
        again = ProcessEmulator(len(NAMES), 2, made.spectra)
        again.load_state_dict(made.state_dict())
        assert torch.equal(again(x), made(x))
        torch.testing.assert_close(again.jacobian(x), made.jacobian(x))
        torch.testing.assert_close(again.covariance(x), made.covariance(x))


def test_what_was_saved_before_there_was_free_carbon_is_read(both):
    made, x = both[1], scaled(drawn(4, seed=4))
    made.kernel.gain.zero_()
    state = {k: v for k, v in made.state_dict().items() if "carbon" not in k and "gain" not in k}
    again = ProcessEmulator(len(NAMES), 2, made.spectra)
    again.load_state_dict(state)
    assert torch.equal(again(x), made(x))


def test_cross_validation_starts_from_what_is_known(both):
    x = scaled(VALUES)
    folds = torch.arange(len(x)).chunk(5)
    found = cross_validate(both[0], x, bands(x), torch.ones(2, dtype=torch.float64), folds)
    assert (found - bands(x))[:, 0].square().mean().sqrt() < 0.05
