"""Laws that every layer between the rest-frame spectrum and the native pixels obeys, in float64."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.integrate import simpson
from torch.autograd import gradcheck

from synth2obs.core.constants import C_KMS
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.wavelengths import log_grid, pixel_edges
from synth2obs.physics import (
    Instrument,
    broaden,
    broaden_by_macroturbulence,
    broaden_by_rotation,
    log_doppler,
)
from synth2obs.physics.lsf import SHARPEST

STEP = 8e-5
SAMPLE = STEP * C_KMS
REST = log_grid(5000.0, 5250.0, STEP)
LOG_REST = torch.from_numpy(np.log(REST))
REST_SIGMA = REST * 2.0 * STEP
PIXELS = np.concatenate([np.arange(5040.0, 5110.0, 0.7), np.arange(5140.0, 5205.0, 0.7)])
SEGMENT = (PIXELS > 5120.0).astype(int)
SURVEY = PIXELS * 4.0 * STEP
RV = torch.tensor([137.0, 0.0, -80.0], dtype=torch.float64)
OWN = torch.tensor([1.0, 1.0, 1.7], dtype=torch.float64)
"""Factor on the width, for layers in which every star has its own."""


def lines(log_wave: torch.Tensor, batch: int = 3) -> torch.Tensor:
    """Absorption lines of the grid's own width (2 samples), at random places, the same for every call."""
    random = np.random.default_rng(7)
    centre = torch.from_numpy(random.uniform(math.log(5030.0), math.log(5220.0), (batch, 40, 1)))
    depth = torch.from_numpy(random.uniform(0.05, 0.6, (batch, 40, 1)))
    return 1.0 - (depth * torch.exp(-0.5 * ((log_wave - centre) / (2.0 * STEP)) ** 2)).sum(1)


def instrument(sigma: np.ndarray = SURVEY, rest_sigma: np.ndarray = REST_SIGMA) -> Instrument:
    return Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(sigma), rest_sigma)


@dataclass(frozen=True)
class Layer:
    """A layer as the laws see it; widths are in rest samples: σ, or v / c for rotation and macroturbulence.

    Args:
        apply: Spectra (B, L), a width and the numbers of the stars (B,) to what the layer makes of them.
        profile: Textbook kernel at distances (seen minus emitted) in units of the width; None without a width.
        rv: Velocity of each star in km/s, shape (3,).
        native: Whether the result is in native pixels.
        exact: Relative error that the kernel's window leaves; the tail beyond 5 σ holds 6e-7.
        naive: Refinements of the reference's grid, and what its point sampling of the kernel leaves there.
    """

    apply: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    profile: Callable[[torch.Tensor], torch.Tensor] | None
    rv: torch.Tensor = RV
    native: bool = True
    exact: float = 2e-6
    naive: tuple[tuple[int, float], ...] = ((10, 2e-6),)

    def __call__(self, flux: torch.Tensor, width: float | torch.Tensor = 2.9) -> torch.Tensor:
        return self.apply(flux, torch.as_tensor(width, dtype=torch.float64), torch.arange(len(flux)))


def gaussian(t: torch.Tensor) -> torch.Tensor:
    return torch.exp(-0.5 * t**2)


def skewed(t: torch.Tensor) -> torch.Tensor:
    """Gauss–Hermite: He₃ = t³ − 3t and He₄ = t⁴ − 6t² + 3."""
    return gaussian(t) * (1.0 + 0.04 * (t**3 - 3.0 * t) + 0.02 * (t**4 - 6.0 * t**2 + 3.0))


def gray_rotation(t: torch.Tensor) -> torch.Tensor:
    """Gray (2005, eq. 18.14) with ε = 0.6."""
    inside = (1.0 - t**2).clamp(min=0.0)
    return 0.8 * inside.sqrt() + 0.3 * math.pi * inside


def gray_macroturbulence(t: torch.Tensor) -> torch.Tensor:
    """Gray (2005, ch. 17), radial and tangential in equal parts."""
    return torch.exp(-(t**2)) - math.sqrt(math.pi) * t.abs() * torch.erfc(t.abs())


ONE_SAMPLE = PIXELS * STEP
ONE_STAR = torch.tensor([20.0], dtype=torch.float64)
HERMITE = np.tile([0.0, 0.0, 0.04, 0.02], (len(PIXELS), 1))
shared = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(ONE_SAMPLE), 0.0)
skew = Instrument(REST, PIXELS, SEGMENT, LineSpread.single(ONE_SAMPLE, hermite=HERMITE), 0.0)
own = Instrument(REST, np.stack([PIXELS] * 3), SEGMENT, LineSpread.gaussian(ONE_SAMPLE), 0.0)
sharp = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(2.0 * ONE_SAMPLE), REST_SIGMA)
flat_widths = torch.ones_like(LOG_REST) * STEP

# The profile of rotation ends with a vertical tangent and that of macroturbulence has a kink in its middle:
# points at a distance d leave errors of order d^1.5 and d².
LAYERS = {
    "instrument": Layer(lambda f, w, n: shared(f, RV[n], w), gaussian),
    "pixels of each star": Layer(lambda f, w, n: own(f, RV[n], w, n), gaussian),
    "gauss-hermite": Layer(lambda f, w, n: skew(f, RV[n], w), skewed),
    "project": Layer(lambda f, w, n: shared.project(f.T, ONE_STAR, w)[0].T, gaussian, ONE_STAR.expand(3)),
    "doppler and pixels": Layer(lambda f, w, n: sharp(f, RV[n]), None),
    "line spread": Layer(lambda f, w, n: broaden(f, STEP, w * flat_widths), gaussian, 0 * RV, native=False),
    "rotation": Layer(
        lambda f, w, n: broaden_by_rotation(f, STEP, w * SAMPLE * OWN[n]),
        gray_rotation,
        0 * RV,
        native=False,
        exact=1e-12,
        naive=((10, 6e-4), (40, 7.5e-5)),
    ),
    "macroturbulence": Layer(
        lambda f, w, n: broaden_by_macroturbulence(f, STEP, w * SAMPLE * OWN[n]),
        gray_macroturbulence,
        0 * RV,
        native=False,
        exact=1e-12,
        naive=((10, 8e-5), (40, 5e-6)),
    ),
}
WITH_WIDTH = {name: layer for name, layer in LAYERS.items() if layer.profile}
VANISHING = {name: layer for name, layer in WITH_WIDTH.items() if name != "line spread"}
"""Layers whose width may be zero; `broaden` refuses what it cannot sample."""
ON_REST_GRID = {name: layer for name, layer in WITH_WIDTH.items() if not layer.native}


def every(layers: dict[str, Layer]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("layer", layers.values(), ids=layers.keys())


@every(LAYERS)
class TestEveryLayer:
    def test_keeps_flat(self, layer):
        out = layer(torch.full((3, len(REST)), 0.7, dtype=torch.float64))
        torch.testing.assert_close(out, torch.full_like(out, 0.7), rtol=1e-13, atol=0)

    def test_is_linear(self, layer):
        a, b = lines(LOG_REST), torch.sin(400.0 * LOG_REST).expand(3, -1)
        torch.testing.assert_close(layer(2.0 * a - 3.0 * b), 2.0 * layer(a) - 3.0 * layer(b))

    def test_is_not_the_identity_on_lines(self, layer):
        flux = lines(LOG_REST)
        out = layer(flux)
        assert out.std() > 0.01
        assert out.shape != flux.shape or (out - flux).abs().max() > 0.05

    def test_gradient_of_flux(self, layer):
        flux = lines(LOG_REST).requires_grad_()
        direction = torch.sin(900.0 * LOG_REST).expand(3, -1)
        cotangent = torch.cos(torch.arange(layer(flux).numel(), dtype=torch.float64)).view_as(layer(flux))
        (gradient,) = torch.autograd.grad(layer(flux), flux, cotangent)
        expected = (layer(direction) * cotangent).sum()
        torch.testing.assert_close((gradient * direction).sum(), expected)

    def test_conserves_the_area_of_a_line(self, layer):
        """∫ over x; the area in native pixels is that of their exact extent in x."""
        line = 0.4 * torch.exp(-0.5 * ((LOG_REST - math.log(5075.0)) / (2.0 * STEP)) ** 2).expand(3, -1)
        cells = torch.full_like(LOG_REST, STEP)
        if layer.native:
            lower, upper = pixel_edges(PIXELS, SEGMENT)
            cells = torch.from_numpy(np.log(upper / lower) * (SEGMENT == 0))
        torch.testing.assert_close(layer(line) @ cells, line.sum(1) * STEP, rtol=layer.exact, atol=0)

    def test_one_star_equals_a_batch(self, layer):
        flux, width = lines(LOG_REST), torch.tensor(2.9, dtype=torch.float64)
        stars = torch.arange(3)
        together = layer.apply(flux, width, stars)
        alone = [layer.apply(flux[n : n + 1], width, stars[n : n + 1]) for n in range(3)]
        torch.testing.assert_close(together, torch.cat(alone), rtol=1e-13, atol=0)


@every({name: layer for name, layer in LAYERS.items() if name != "project"})
def test_stars_do_not_see_each_other(layer):
    """`project` takes functions of one star, and sums over them are its purpose."""
    flux = lines(LOG_REST)
    other = flux.clone()
    other[1] = torch.nan
    assert torch.equal(layer(flux)[0], layer(other)[0])
    assert torch.equal(layer(flux)[2], layer(other)[2])


def brute_force(layer: Layer, width: float, star: int, refinement: int) -> torch.Tensor:
    """Every seventh value by definition: theory on a finer grid times the profile, averaged over the pixel."""
    fine = torch.from_numpy(np.log(log_grid(5000.0, 5250.0, STEP / refinement)))
    theory, shift, out = lines(fine)[star], math.atanh(float(layer.rv[star]) / C_KMS), []
    middle = LOG_REST[300:-150:7].tolist()
    edges = (
        np.log([PIXELS - 0.35, PIXELS + 0.35])[:, ::7].T.tolist()
        if layer.native
        else [[x, x] for x in middle]
    )
    for lower, upper in edges:
        points = torch.linspace(lower, upper, 41 if upper > lower else 1, dtype=torch.float64)
        kernel = layer.profile((points[:, None] - shift - fine) / (width * STEP))
        means = (kernel @ theory) / kernel.sum(1)
        out.append(simpson(means, x=points) / (upper - lower) if upper > lower else float(means))
    return torch.tensor(np.array(out))


@pytest.mark.parametrize("width", [1.5, 3.5])
@every(WITH_WIDTH)
def test_agrees_with_brute_force(layer, width):
    some = slice(None, None, 7) if layer.native else slice(300, -150, 7)
    got = layer(lines(LOG_REST), width)[:, some]
    for refinement, tolerance in layer.naive:
        for star in (0, 1):
            assert (got[star] - brute_force(layer, width, star, refinement)).abs().max() < tolerance


def check_width_gradient(layer: Layer, width: float) -> None:
    at = torch.tensor(width, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda w: layer(lines(LOG_REST), w), at, fast_mode=True)


@every(WITH_WIDTH)
def test_width_has_the_gradient_of_finite_differences(layer):
    check_width_gradient(layer, 2.9)


@pytest.mark.parametrize("width", [0.02, 0.6])
@every(VANISHING)
def test_width_below_a_sample_has_the_gradient_of_finite_differences(layer, width):
    check_width_gradient(layer, width)


@every(VANISHING)
def test_gradient_of_the_width_is_zero_at_zero(layer):
    """Every kernel depends on its squared width, so the flux changes by w² times half the second derivative."""
    flux, width = lines(LOG_REST), torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    cotangent = torch.cos(torch.arange(layer(flux).numel(), dtype=torch.float64)).view_as(layer(flux))
    (slope,) = torch.autograd.grad((layer(flux, width) * cotangent).sum(), width)
    near = torch.tensor(1e-3, dtype=torch.float64, requires_grad=True)
    (slope_near,) = torch.autograd.grad((layer(flux, near) * cotangent).sum(), near)
    risen = ((layer(flux, 1e-3) - layer(flux, 0.0)) * cotangent).sum()
    assert float(slope) == 0.0
    torch.testing.assert_close(slope_near * 1e-3 / 2.0, risen, rtol=1e-4, atol=0)


@pytest.mark.parametrize("width", [0.0, 1e-9])
@every({name: layer for name, layer in VANISHING.items() if not layer.native})
def test_width_zero_is_the_identity(layer, width):
    flux = lines(LOG_REST)
    torch.testing.assert_close(layer(flux, width), flux, rtol=1e-14, atol=0)


@pytest.mark.parametrize("second", ON_REST_GRID.values(), ids=ON_REST_GRID.keys())
@every(ON_REST_GRID)
def test_layers_on_the_rest_grid_commute(layer, second):
    flux, inner = lines(LOG_REST), slice(60, -60)
    one, other = layer(second(flux, 4.0), 2.9), second(layer(flux, 2.9), 4.0)
    torch.testing.assert_close(one[:, inner], other[:, inner], rtol=0, atol=1e-9)


def test_single_precision_agrees_with_double():
    rv = torch.tensor([-930.0, 3.0, 640.0], dtype=torch.float64)
    flux = lines(LOG_REST)
    double = instrument()(flux, rv)
    single = instrument().float()(flux.float(), rv.float())
    assert (single - double).abs().max() < 5e-6


@pytest.mark.parametrize("narrow", [1e-9, 1e-3, 0.3])
def test_narrow_kernel_on_narrow_pixels_is_the_identity(narrow):
    """With width and pixel going to zero the value at the pixel is returned, with a finite gradient."""
    centre = 5075.0 + 1e-3 * np.arange(11)
    sharp = Instrument(REST, centre, np.zeros(11), LineSpread.gaussian(centre * STEP * narrow), 0.0 * REST)
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
    small = Instrument(
        rest, pixels, np.zeros(len(pixels)), LineSpread.gaussian(pixels * STEP * applied), 0.0 * rest
    )
    flux = lines(LOG_REST[:120] + 0.01, 3).requires_grad_()
    rv = torch.tensor([11.0, -23.0, 0.0], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    assert bool(small.valid(rv, scale).all())
    assert gradcheck(lambda f, v, s: small(f, v, s), (flux, rv, scale), eps=1e-6, atol=1e-6, fast_mode=True)
    assert gradcheck(lambda v, s: small.project(flux.detach().T, v, s), (rv, scale), atol=1e-6)


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
    at_rest = Instrument(REST, PIXELS / factor, SEGMENT, LineSpread.gaussian(SURVEY / factor), REST_SIGMA)
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
