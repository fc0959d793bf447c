"""Laws that every layer between the rest-frame spectrum and the native pixels obeys, in float64."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import simpson
from torch.autograd import gradcheck

from synth2obs.core.constants import C_KMS
from synth2obs.core.wavelengths import log_grid
from synth2obs.physics import Instrument, broaden, log_doppler
from synth2obs.physics.lsf import SHARPEST

STEP = 8e-5
REST = log_grid(5000.0, 5250.0, STEP)
LOG_REST = torch.from_numpy(np.log(REST))
REST_SIGMA = REST * 2.0 * STEP
PIXELS = np.concatenate([np.arange(5040.0, 5110.0, 0.7), np.arange(5140.0, 5205.0, 0.7)])
SEGMENT = (PIXELS > 5120.0).astype(int)
SURVEY = PIXELS * 4.0 * STEP


def lines(log_wave: torch.Tensor, batch: int = 3) -> torch.Tensor:
    """Absorption lines of the grid's own width (2 samples), at random places, the same for every call."""
    random = np.random.default_rng(7)
    centre = torch.from_numpy(random.uniform(math.log(5030.0), math.log(5220.0), (batch, 40, 1)))
    depth = torch.from_numpy(random.uniform(0.05, 0.6, (batch, 40, 1)))
    return 1.0 - (depth * torch.exp(-0.5 * ((log_wave - centre) / (2.0 * STEP)) ** 2)).sum(1)


def instrument(sigma: np.ndarray = SURVEY, rest_sigma: np.ndarray = REST_SIGMA) -> Instrument:
    return Instrument(REST, PIXELS, SEGMENT, sigma, rest_sigma)


def full(flux: torch.Tensor) -> torch.Tensor:
    rv = torch.linspace(-80.0, 120.0, len(flux), dtype=torch.float64)
    return instrument()(flux, rv)


def shifted(flux: torch.Tensor) -> torch.Tensor:
    """Velocity and pixels alone: the survey is as sharp as the grid."""
    return instrument(PIXELS * 2.0 * STEP)(flux, torch.full((len(flux),), 33.0, dtype=torch.float64))


def spread(flux: torch.Tensor) -> torch.Tensor:
    return broaden(flux, STEP, torch.linspace(2.0, 4.0, len(REST), dtype=torch.float64) * STEP)


def projected(flux: torch.Tensor) -> torch.Tensor:
    """The operator applied to the spectra as if they were basis functions of one star."""
    return instrument().project(flux.T, torch.tensor([20.0], dtype=torch.float64))[0].T


LAYERS = {"instrument": full, "doppler and pixels": shifted, "line spread": spread, "project": projected}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
class TestEveryLayer:
    def test_keeps_flat(self, layer):
        out = layer(torch.full((3, len(REST)), 0.7, dtype=torch.float64))
        torch.testing.assert_close(out, torch.full_like(out, 0.7), rtol=1e-13, atol=0)

    def test_is_linear(self, layer):
        a, b = lines(LOG_REST), torch.sin(400.0 * LOG_REST).expand(3, -1)
        torch.testing.assert_close(layer(2.0 * a - 3.0 * b), 2.0 * layer(a) - 3.0 * layer(b))

    def test_is_not_the_identity_on_lines(self, layer):
        out = layer(lines(LOG_REST))
        assert out.std() > 0.01

    def test_gradient_of_flux(self, layer):
        flux = lines(LOG_REST).requires_grad_()
        direction = torch.sin(900.0 * LOG_REST).expand(3, -1)
        cotangent = torch.cos(torch.arange(layer(flux).numel(), dtype=torch.float64)).view_as(layer(flux))
        (gradient,) = torch.autograd.grad(layer(flux), flux, cotangent)
        expected = (layer(direction) * cotangent).sum()
        torch.testing.assert_close((gradient * direction).sum(), expected)


@pytest.mark.parametrize("layer", [full, spread], ids=["instrument", "line spread"])
def test_stars_do_not_see_each_other(layer):
    flux = lines(LOG_REST)
    other = flux.clone()
    other[1] = torch.nan
    assert torch.equal(layer(flux)[0], layer(other)[0])
    assert torch.equal(layer(flux)[2], layer(other)[2])


def test_one_star_equals_a_batch():
    flux, rv = lines(LOG_REST), torch.tensor([-200.0, 0.0, 310.0], dtype=torch.float64)
    together = instrument()(flux, rv)
    alone = torch.cat([instrument()(flux[n : n + 1], rv[n : n + 1]) for n in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-14, atol=0)


def brute_force(flux_of, pixels: np.ndarray, rv: float, applied: float) -> torch.Tensor:
    """Each pixel by its definition: the spectrum on a 10 times finer grid, convolved, then averaged."""
    fine = torch.from_numpy(np.log(log_grid(5000.0, 5250.0, STEP / 10)))
    theory, out = flux_of(fine)[0], []
    shift = math.atanh(rv / C_KMS)
    half = 0.35
    for centre in pixels:
        points = torch.linspace(math.log(centre - half), math.log(centre + half), 41, dtype=torch.float64)
        kernel = torch.exp(-0.5 * ((points[:, None] - shift - fine) / applied) ** 2)
        means = (kernel * theory).sum(1) / kernel.sum(1)
        out.append(simpson(means.numpy(), x=points.numpy()) / float(points[-1] - points[0]))
    return torch.tensor(np.array(out))


@pytest.mark.parametrize("rv", [0.0, 137.0])
@pytest.mark.parametrize("applied", [1.5, 3.5])
def test_agrees_with_brute_force(applied, rv):
    sigma = PIXELS * STEP * math.sqrt(4.0 + applied**2)
    some = slice(None, None, 5)
    got = instrument(sigma)(lines(LOG_REST, 1), torch.tensor([rv], dtype=torch.float64))[0, some]
    expected = brute_force(lambda x: lines(x, 1), PIXELS[some], rv, applied * STEP)
    assert (got - expected).abs().max() < 2e-6


def test_single_precision_agrees_with_double():
    rv = torch.tensor([-930.0, 3.0, 640.0], dtype=torch.float64)
    flux = lines(LOG_REST)
    double = instrument()(flux, rv)
    single = instrument().float()(flux.float(), rv.float())
    assert (single - double).abs().max() < 5e-6


def test_equivalent_width_of_an_interior_line_is_kept():
    depth = 0.4 * torch.exp(-0.5 * ((LOG_REST - math.log(5080.0)) / (2.0 * STEP)) ** 2)[None]
    for layer in (full, shifted):
        area = layer(depth)[0, SEGMENT == 0].sum() * 0.7 / 5080.0
        rest_area = depth.sum() * STEP
        rv = -80.0 if layer is full else 33.0
        expected = rest_area * math.exp(math.atanh(rv / C_KMS))
        torch.testing.assert_close(area, expected, rtol=2e-5, atol=0)


@pytest.mark.parametrize("narrow", [1e-9, 1e-3, 0.3])
def test_narrow_kernel_on_narrow_pixels_is_the_identity(narrow):
    """With width and pixel going to zero the value at the pixel is returned, with a finite gradient."""
    centre = 5075.0 + 1e-3 * np.arange(11)
    sharp = Instrument(REST, centre, np.zeros(11), centre * STEP * narrow, 0.0 * REST)
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    smooth = torch.sin(3000.0 * LOG_REST)[None]
    out = sharp(smooth, torch.zeros(1, dtype=torch.float64), scale)
    exact = torch.sin(3000.0 * torch.from_numpy(np.log(centre))) * math.exp(
        -0.5 * (3000.0 * STEP * narrow) ** 2
    )
    assert (out[0] - exact).abs().max() < 1e-6
    out.sum().backward()
    assert torch.isfinite(scale.grad)


def test_narrow_kernel_joins_the_wide_one_smoothly():
    flux, rv = lines(LOG_REST, 1), torch.zeros(1, dtype=torch.float64)

    def at(applied: float) -> torch.Tensor:
        return instrument(PIXELS * STEP * math.sqrt(4.0 + applied**2))(flux, rv)

    joint = SHARPEST
    assert (at(joint - 1e-6) - at(joint + 1e-6)).abs().max() < 1e-6
    sloped = (at(joint) - at(joint - 0.01)) - (at(joint + 0.01) - at(joint))
    assert sloped.abs().max() < 1e-4


def test_three_then_four_is_five():
    widths = torch.ones(len(REST), dtype=torch.float64) * STEP
    twice = broaden(broaden(lines(LOG_REST), STEP, 3 * widths), STEP, 4 * widths)
    once = broaden(lines(LOG_REST), STEP, 5 * widths)
    inner = slice(60, -60)
    assert (twice[:, inner] - once[:, inner]).abs().max() < 2e-6
    grid_and_survey = instrument(PIXELS * 5 * STEP, REST_SIGMA * 2)
    rv = torch.zeros(3, dtype=torch.float64)
    sharp_grid = instrument(PIXELS * 5 * STEP, REST_SIGMA * 0)
    flux = broaden(lines(LOG_REST), STEP, 4 * widths)
    assert (grid_and_survey(flux, rv) - sharp_grid(lines(LOG_REST), rv)).abs().max() < 2e-6


@pytest.mark.parametrize("applied", [0.4, 3.0], ids=["narrow", "wide"])
def test_gradients_match_finite_differences(applied):
    rest, pixels = REST[:120], np.arange(5012.0, 5016.0, 0.7)
    small = Instrument(rest, pixels, np.zeros(len(pixels)), pixels * STEP * applied, 0.0 * rest)
    flux = lines(LOG_REST[:120] + 0.01, 2).requires_grad_()
    rv = torch.tensor([11.0, -23.0], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    assert bool(small.valid(rv, scale).all())
    assert gradcheck(lambda f, v, s: small(f, v, s), (flux, rv, scale), eps=1e-6, atol=1e-6, fast_mode=True)
    assert gradcheck(lambda v, s: small.project(flux[:2].detach().T, v, s), (rv, scale), atol=1e-6)


def test_receding_star_is_redshifted():
    line = 1.0 - 0.5 * torch.exp(-0.5 * ((LOG_REST - math.log(5080.0)) / (2.0 * STEP)) ** 2)[None]
    for rv in (100.0, -100.0):
        depth = 1.0 - instrument()(line, torch.tensor([rv], dtype=torch.float64))[0].numpy()
        found = (depth * PIXELS).sum() / depth.sum()
        expected = 5080.0 * math.sqrt((1 + rv / C_KMS) / (1 - rv / C_KMS))
        assert abs(found - expected) < 2e-3
        assert abs(expected - 5080.0 * (1 + rv / C_KMS)) < 1e-3


@pytest.mark.parametrize("rv", [1000.0, -1000.0])
def test_a_thousand_km_s_is_exact(rv):
    """A shift of the star equals the opposite shift of the instrument."""
    factor = math.sqrt((1 + rv / C_KMS) / (1 - rv / C_KMS))
    at_rest = Instrument(REST, PIXELS / factor, SEGMENT, SURVEY / factor, REST_SIGMA)
    got = instrument()(lines(LOG_REST), torch.full((3,), rv, dtype=torch.float64))
    torch.testing.assert_close(
        got, at_rest(lines(LOG_REST), torch.zeros(3, dtype=torch.float64)), rtol=1e-9, atol=0
    )
    assert math.isclose(
        math.exp(float(log_doppler(torch.tensor(rv, dtype=torch.float64)))), factor, rel_tol=1e-14
    )


def test_detector_gap_is_not_smeared():
    """A spike seen by the first detector stays out of the second, and theory in the gap is not lost."""
    rv = torch.zeros(1, dtype=torch.float64)
    flat, spike, hidden = (torch.ones(1, len(REST), dtype=torch.float64) for _ in range(3))
    spike[0, np.searchsorted(REST, 5109.0)] = 1e6
    hidden[0, np.searchsorted(REST, 5125.0)] = 1e6
    changed = (instrument()(spike, rv) != instrument()(flat, rv))[0].numpy()
    assert changed.any() and not changed[SEGMENT == 1].any()
    assert PIXELS[changed].min() > 5109.0 - 5.1 * 3.5 * STEP * 5109.0 - 0.7 - 12 * STEP * 5109.0
    torch.testing.assert_close(instrument()(hidden, rv), instrument()(flat, rv))
