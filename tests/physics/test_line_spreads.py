"""Gauss–Hermite and tabulated line spreads, disjoint bands, and the shared operator against rows of each star."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erf, eval_hermitenorm

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.wavelengths import log_grid, pixel_edges
from synth2obs.physics import Instrument

STEP = 4e-6
REST = log_grid(5000.0, 5100.0, STEP)
COUNT = len(REST)
PIXELS = np.arange(5020.0, 5080.0, 0.15)
SEGMENT = np.zeros(len(PIXELS), int)
SIGMA = PIXELS * 20.0 * STEP * np.linspace(0.9, 1.1, len(PIXELS))
RV = torch.tensor([-140.3, 0.0, 61.7], dtype=torch.float64)
LINES = np.random.default_rng(3).uniform(math.log(5005), math.log(5095), 60)
WIDTH = 5.0 * STEP
HERMITE = np.stack(
    [0.02 * np.ones(len(PIXELS)), np.full(len(PIXELS), -0.03), np.linspace(0.0, 0.05, len(PIXELS))], 1
)


def spectra(rest: np.ndarray = REST) -> torch.Tensor:
    flux = 1.0 - 0.4 * np.exp(-0.5 * ((np.log(rest)[:, None] - LINES) / WIDTH) ** 2).sum(1)
    return torch.from_numpy(flux).expand(3, -1)


def expected(rv: float, hermite: np.ndarray) -> np.ndarray:
    """Closed form: Gaussian lines, a Gauss–Hermite line spread and a box convolve to error functions and Hermites."""
    lower, upper = (np.log(edge) for edge in pixel_edges(PIXELS, SEGMENT))
    z, sigma = math.atanh(rv / C_KMS), SIGMA / PIXELS
    total, out = np.hypot(sigma, WIDTH), np.ones(len(PIXELS))
    for centre in LINES + z:
        area = 0.4 * WIDTH * math.sqrt(2.0 * math.pi)
        a, b = (lower - centre) / total, (upper - centre) / total
        cdf = [_integral(t, sigma / total, hermite) for t in (a, b)]
        out -= area * (cdf[1] - cdf[0]) / (upper - lower)
    return out


def _integral(t: np.ndarray, relative: np.ndarray, hermite: np.ndarray) -> np.ndarray:
    density = np.exp(-0.5 * t**2) / math.sqrt(2.0 * math.pi)
    terms = sum(
        hermite[:, m - 1] * relative**m * eval_hermitenorm(m - 1, t) for m in range(1, hermite.shape[1] + 1)
    )
    return 0.5 * erf(t / math.sqrt(2.0)) - density * terms


@pytest.mark.parametrize("own_pixels", [False, True], ids=["shared operator", "rows of each star"])
@pytest.mark.parametrize("hermite", [HERMITE, 0.0 * HERMITE], ids=["Gauss-Hermite", "Gaussian"])
def test_agrees_with_the_closed_form(hermite, own_pixels):
    pixels = np.stack([PIXELS] * 3) if own_pixels else PIXELS
    instrument = Instrument(REST, pixels, SEGMENT, LineSpread.single(SIGMA, hermite=hermite), 0.0)
    got = instrument(spectra(), RV).numpy()
    truth = np.stack([expected(float(v), hermite) for v in RV])
    assert np.ptp(truth) > 0.05
    assert np.abs(got - truth).max() < 1e-7


@pytest.mark.parametrize("own_pixels", [False, True], ids=["shared operator", "rows of each star"])
def test_tabulated_response_equals_the_profile_it_tabulates(own_pixels):
    """A Gauss–Hermite spread and the pixel tabulated together at 0.1 σ give the analytic operator."""
    offset = np.arange(-3.2, 3.2001, 0.01)
    lower, upper = pixel_edges(PIXELS, SEGMENT)
    light = np.log(PIXELS[:, None] + offset)
    sigma = (SIGMA / PIXELS)[:, None]
    edges = [(np.log(edge)[:, None] - light) / sigma for edge in (lower, upper)]
    spread = np.ones_like(sigma)
    below, above = (
        _integral(t.ravel(), np.tile(spread, (1, len(offset))).ravel(), np.repeat(HERMITE, len(offset), 0))
        for t in edges
    )
    table = (above - below).reshape(len(PIXELS), -1)
    pixels = np.stack([PIXELS] * 3) if own_pixels else PIXELS
    tabulated = Instrument(REST, pixels, SEGMENT, LineSpread.single(SIGMA, kernel=table, offset=offset), 0.0)
    analytic = Instrument(REST, pixels, SEGMENT, LineSpread.single(SIGMA, hermite=HERMITE), 0.0)
    difference = (tabulated(spectra(), RV) - analytic(spectra(), RV)).abs().max()
    assert difference < 2e-5


def test_line_spread_of_each_group():
    """Groups with Hermite terms of their own, in any order of stars."""
    both, groups = np.stack([HERMITE, -HERMITE]), torch.tensor([1, 0, 1])
    instrument = Instrument(
        REST,
        PIXELS,
        SEGMENT,
        LineSpread(sigma=np.stack([SIGMA, 1.2 * SIGMA]), group=groups.numpy(), hermite=both),
        0.0,
    )
    got = instrument(spectra(), RV)
    for star, group in enumerate(groups):
        alone = Instrument(
            REST, PIXELS, SEGMENT, LineSpread.single(SIGMA * (1 + 0.2 * int(group)), hermite=both[group]), 0.0
        )
        torch.testing.assert_close(got[star], alone(spectra(), RV)[star], rtol=1e-12, atol=0)


@pytest.mark.parametrize("factor", [0.1, 0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("hermite", [None, HERMITE], ids=["Gaussian", "Gauss-Hermite"])
def test_shared_operator_is_the_rows_of_each_star(factor, hermite):
    """At every ratio of line spread to sampling, whichever average the shared operator chooses."""
    shared = Instrument(REST, PIXELS, SEGMENT, LineSpread.single(factor * SIGMA, hermite=hermite), 0.0)
    rows = Instrument(
        REST, np.stack([PIXELS] * 3), SEGMENT, LineSpread.single(factor * SIGMA, hermite=hermite), 0.0
    )
    for scale in (1.0, 1.3):
        torch.testing.assert_close(
            shared(spectra(), RV, scale), rows(spectra(), RV, scale), rtol=0, atol=2e-7
        )
    assert torch.equal(shared.valid(RV), rows.valid(RV))


@pytest.mark.parametrize("factor", [0.2, 1.0])
def test_gradients_of_flux_velocity_and_width(factor):
    instrument = Instrument(
        REST, PIXELS[::20], SEGMENT[::20], LineSpread.single(factor * SIGMA[::20], hermite=HERMITE[::20]), 0.0
    )
    width = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    rv, flux = RV.clone().requires_grad_(), spectra().clone().requires_grad_()
    cotangent = torch.cos(torch.arange(3 * len(PIXELS[::20]), dtype=torch.float64)).view(3, -1)

    def value(f: torch.Tensor, v: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (instrument(f, v, w) * cotangent).sum()

    by_flux, by_rv, by_width = torch.autograd.grad(value(flux, rv, width), (flux, rv, width))
    with torch.no_grad():
        step = 1e-3
        for star in range(3):
            moved = torch.zeros(3, dtype=torch.float64).index_fill_(0, torch.tensor([star]), step)
            slope = (value(flux, rv + moved, width) - value(flux, rv - moved, width)) / (2 * step)
            assert math.isclose(float(slope), float(by_rv[star]), rel_tol=1e-5, abs_tol=1e-9)
        slope = (value(flux, rv, width + 1e-5) - value(flux, rv, width - 1e-5)) / 2e-5
        assert math.isclose(float(slope), float(by_width), rel_tol=1e-5)
        direction = torch.sin(900.0 * torch.from_numpy(np.log(REST))).expand(3, -1)
        along = value(direction, rv, width)
        torch.testing.assert_close((by_flux * direction).sum(), along, rtol=1e-9, atol=1e-12)


def test_second_derivative_in_velocity():
    instrument = Instrument(REST, PIXELS[::20], SEGMENT[::20], LineSpread.gaussian(SIGMA[::20]), 0.0)
    rv = RV.clone().requires_grad_()
    (first,) = torch.autograd.grad(instrument(spectra(), rv).square().sum(), rv, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), rv)
    with torch.enable_grad():
        ends = []
        for step in (-1e-2, 1e-2):
            moved = (RV + step).requires_grad_()
            ends.append(torch.autograd.grad(instrument(spectra(), moved).square().sum(), moved)[0])
    torch.testing.assert_close(second, (ends[1] - ends[0]) / 2e-2, rtol=1e-4, atol=1e-9)


class TestBands:
    """A rest grid of two bands is two grids: the hole holds nothing and nothing leaks across it."""

    rest = np.concatenate([REST, log_grid(8000.0, 8100.0, STEP)])
    pixels = np.concatenate([np.arange(5010.0, 5100.0, 0.2), np.arange(8010.0, 8090.0, 0.2)])
    segment = np.repeat([0, 1], [450, 400])

    def instrument(self) -> Instrument:
        return Instrument(
            self.rest, self.pixels, self.segment, LineSpread.gaussian(self.pixels * 21 * STEP), 0.0
        )

    def test_equals_one_instrument_per_band(self):
        flux = torch.cat([spectra()[:, :COUNT], spectra(self.rest[COUNT:] * 5050 / 8050)], dim=1)
        got, valid = self.instrument()(flux, RV), self.instrument().valid(RV)
        for part, samples in ((slice(0, 450), slice(0, COUNT)), (slice(450, 850), slice(COUNT, None))):
            pixels = self.pixels[part]
            alone = Instrument(
                self.rest[samples], pixels, self.segment[part], LineSpread.gaussian(pixels * 21 * STEP), 0.0
            )
            torch.testing.assert_close(got[:, part], alone(flux[:, samples], RV), rtol=1e-11, atol=1e-14)
            assert torch.equal(valid[:, part], alone.valid(RV))
        assert valid[:, 450:].all() and not valid[:, :450].all()

    def test_nothing_leaks_across_the_hole(self):
        flux = torch.ones(3, len(self.rest), dtype=torch.float64)
        flux[:, COUNT:] = 1e6
        valid = self.instrument().valid(RV)
        torch.testing.assert_close(
            self.instrument()(flux, RV)[:, :450], valid[:, :450].double(), rtol=1e-8, atol=0
        )

    def test_basis_functions(self):
        basis = torch.cat([spectra()[:1, :COUNT], torch.ones(1, len(self.rest) - COUNT)], dim=1).T.double()
        got = self.instrument().project(basis, RV)[..., 0]
        torch.testing.assert_close(got, self.instrument()(basis.T.expand(3, -1), RV), rtol=0, atol=2e-7)

    def test_bands_of_different_steps_are_refused(self):
        rest = np.concatenate([REST, log_grid(8000.0, 8100.0, 1.3 * STEP)])
        with pytest.raises(DataError, match="uniform in ln λ"):
            Instrument(rest, self.pixels, self.segment, LineSpread.gaussian(self.pixels * 21 * STEP), 0.0)


class TestRefuses:
    @pytest.mark.parametrize(
        "wrong, message",
        [
            ({"hermite": HERMITE[:-1]}, "line_spread.hermite.*one profile per width"),
            ({"hermite": np.full_like(HERMITE, np.nan)}, "line_spread.hermite.*not finite"),
            ({"kernel": np.ones((len(PIXELS), 5))}, "line_spread.offset"),
            ({"kernel": np.ones((len(PIXELS), 3)), "offset": [0.0, 0.1, 0.3]}, "equal, increasing"),
            ({"kernel": np.zeros((len(PIXELS), 3)), "offset": [-0.1, 0.0, 0.1]}, "sums to 0"),
        ],
    )
    def test_profiles_that_do_not_fit(self, wrong, message):
        with pytest.raises(DataError, match=message):
            Instrument(REST, PIXELS, SEGMENT, LineSpread.single(SIGMA, **wrong), 0.0)


@pytest.mark.parametrize("factor", [0.05, 0.2, 1.0, 3.0])
def test_linearised_and_adjoint(factor):
    """The velocity's column against differences, and <y, P f> = <P' y, f>, with stars that leave the grid."""
    instrument = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(factor * SIGMA), 0.0)
    rv = torch.tensor([-140.3, 1800.0, 61.7], dtype=torch.float64)
    assert not instrument.valid(rv)[1].all()
    native, slope = instrument.linearised(spectra(), rv)
    assert torch.equal(native, instrument(spectra(), rv))
    differences = (instrument(spectra(), rv + 0.02) - instrument(spectra(), rv - 0.02)) / 0.04
    torch.testing.assert_close(slope, differences, rtol=0, atol=2e-5 * float(differences.abs().max()))
    values = torch.cos(torch.arange(native.numel(), dtype=torch.float64)).view_as(native)
    pulled = instrument.adjoint(values, rv)
    torch.testing.assert_close((pulled * spectra()).sum(1), (values * native).sum(1))
