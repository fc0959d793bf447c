"""Laws of the layers that are products of Fourier transforms on the rest grid: rotation and macroturbulence."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import unwrap

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from synth2obs.core.constants import C_KMS
from synth2obs.physics import (
    Macroturbulence,
    Rotation,
    broaden_by_macroturbulence,
    broaden_by_rotation,
    macroturbulence_reach,
    rotation_reach,
)
from synth2obs.physics.fourier import convolve, frequencies
from synth2obs.physics.macroturbulence import macroturbulence_transform
from synth2obs.physics.rotation import rotation_transform

STEP = 8e-5
SAMPLE = STEP * C_KMS


@dataclass(frozen=True)
class Layer:
    """One of the layers: its function, transform, reach and module, and the name of its velocity."""

    broaden: Callable[..., torch.Tensor]
    transform: Callable[..., torch.Tensor]
    reach: Callable[..., torch.Tensor]
    module: type[nn.Module]
    name: str


LAYERS = {
    "rotation": Layer(broaden_by_rotation, rotation_transform, rotation_reach, Rotation, "vsini"),
    "macroturbulence": Layer(
        broaden_by_macroturbulence,
        macroturbulence_transform,
        macroturbulence_reach,
        Macroturbulence,
        "vmac",
    ),
}

WIDTHS = [0.0, 1e-3, 0.3, 1.0, 3.0, 10.0, 40.0]
"""In samples."""


def rough(samples: int, batch: int = 1) -> torch.Tensor:
    """Spectra that are as uneven at their ends as anywhere: random, smoothed to σ = 2 samples, scatter 0.1."""
    noise = torch.rand(
        batch, 1, samples + 40, generator=torch.Generator().manual_seed(4), dtype=torch.float64
    )
    kernel = torch.exp(-0.5 * (torch.arange(-20, 21, dtype=torch.float64) / 2.0) ** 2)
    return torch.nn.functional.conv1d(noise, kernel[None, None] / kernel.sum())[:, 0]


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
class TestEnds:
    @pytest.mark.parametrize("width", WIDTHS)
    def test_flux_beyond_the_ends_matters_only_within_reach(self, layer, width):
        flux, velocity = rough(1200), torch.tensor([width * SAMPLE], dtype=torch.float64)
        reach = int(layer.reach(STEP, velocity))
        part = layer.broaden(flux[:, 400:800], STEP, velocity)
        whole = layer.broaden(flux, STEP, velocity)[:, 400:800]
        inner = slice(reach, 400 - reach)
        assert reach < 170
        torch.testing.assert_close(part[:, inner], whole[:, inner], rtol=0, atol=1e-6)

    @pytest.mark.parametrize("width", WIDTHS)
    def test_nothing_wraps_around(self, layer, width):
        """A line at one end leaves the other end alone, to the ripples of an interpolation of a cut-off line."""
        line = torch.zeros(1, 400, dtype=torch.float64)
        line[0, :4] = 1.0
        assert layer.broaden(line, STEP, width * SAMPLE)[0, 200:].abs().max() < 2e-6

    @pytest.mark.parametrize("width", [*WIDTHS, 900.0])
    def test_sum_over_the_grid_is_kept_whatever_lies_at_the_ends(self, layer, width):
        flux = rough(301, 2)
        out = layer.broaden(flux, STEP, width * SAMPLE)
        torch.testing.assert_close(out.sum(1), flux.sum(1), rtol=1e-13, atol=0)

    def test_a_single_sample_is_its_own_mean(self, layer):
        one = torch.full((2, 1), 0.4, dtype=torch.float64)
        torch.testing.assert_close(layer.broaden(one, STEP, 50.0), one)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
class TestDerivatives:
    @pytest.mark.parametrize("start", [1e-6, 0.5, 3.0, 14.0])
    def test_are_those_of_finite_differences(self, layer, start):
        flux = rough(16, 2).requires_grad_()
        velocity = torch.tensor([start, 1.3 * start], dtype=torch.float64) * SAMPLE
        inputs = (flux, velocity.requires_grad_())
        assert gradcheck(lambda f, v: layer.broaden(f, STEP, v), inputs, eps=1e-6)
        assert gradgradcheck(lambda f, v: layer.broaden(f, STEP, v), inputs, eps=1e-6, fast_mode=True)

    def test_second_derivative_at_zero_is_that_of_finite_differences(self, layer):
        """The kernel is even in its width: f(v) − f(0) = v²/2 f″(0) to order v⁴."""
        flux, cotangent = rough(60), torch.linspace(-1.0, 1.0, 60, dtype=torch.float64)
        velocity = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        total = layer.broaden(flux, STEP, velocity) @ cotangent
        (slope,) = torch.autograd.grad(total, velocity, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, velocity)
        width = 1e-2 * SAMPLE
        risen = layer.broaden(flux, STEP, width) @ cotangent - total
        assert slope.detach() == 0.0
        torch.testing.assert_close(curvature * width**2 / 2.0, risen.detach(), rtol=1e-4, atol=0)

    @pytest.mark.filterwarnings("ignore:.*torch.jit.script.*is deprecated:DeprecationWarning")
    def test_forward_differentiation_gives_the_velocity_column(self, layer):
        flux, velocity = rough(60, 3), torch.tensor([0.0, 1.0, 9.0], dtype=torch.float64) * SAMPLE

        def at(v: torch.Tensor) -> torch.Tensor:
            return layer.broaden(flux, STEP, v)

        _, column = torch.func.jvp(at, (velocity,), (torch.ones_like(velocity),))
        assert (column[0] == 0).all()
        slope = (at(velocity + 1e-3) - at((velocity - 1e-3).clamp(min=0.0))) / 2e-3
        torch.testing.assert_close(column[1:], slope[1:], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
class TestForms:
    def test_module_is_the_function(self, layer):
        flux, velocity = rough(50, 2), torch.tensor([4.0, 90.0])
        module = layer.module(STEP)
        assert torch.equal(module(flux, velocity), layer.broaden(flux, STEP, velocity))
        assert not module.state_dict()

    def test_one_velocity_for_all_stars(self, layer):
        flux = rough(50, 3)
        each = layer.broaden(flux, STEP, torch.full((3,), 40.0))
        for one in (40.0, torch.tensor(40.0)):
            torch.testing.assert_close(layer.broaden(flux, STEP, one), each, rtol=1e-14, atol=0)

    def test_single_precision_agrees_with_double(self, layer):
        flux, velocity = rough(3000, 4), torch.tensor([0.0, 2.0, 80.0, 700.0], dtype=torch.float64)
        single = layer.broaden(flux.float(), STEP, velocity)
        assert single.dtype == torch.float32
        assert (single - layer.broaden(flux, STEP, velocity)).abs().max() < 1e-6

    def test_no_stars_give_no_rows(self, layer):
        assert layer.broaden(torch.ones(0, 20), STEP, torch.ones(0)).shape == (0, 20)

    def test_refining_the_grid_changes_nothing(self, layer):
        """The same theory on a grid 8 times finer: the law of the kernel is in km/s, not in samples."""
        x = torch.arange(2400, dtype=torch.float64) / 8.0
        theory = 1.0 - 0.5 * torch.exp(-0.5 * ((x - 150.0) / 3.0) ** 2)[None]
        coarse = layer.broaden(theory[:, ::8], STEP, 5.0 * SAMPLE)
        fine = layer.broaden(theory, STEP / 8.0, 5.0 * SAMPLE)
        torch.testing.assert_close(fine[:, ::8], coarse, rtol=0, atol=1e-13)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
class TestRefuses:
    @pytest.mark.parametrize("value", [-1e-9, float("nan"), float("inf")])
    def test_velocity_that_is_none(self, layer, value):
        with pytest.raises(
            ValueError, match=rf"{layer.name} in km/s must be at least 0 and finite, got .*use 0"
        ):
            layer.broaden(torch.ones(2, 20), STEP, torch.tensor([3.0, value]))

    def test_velocities_of_other_stars(self, layer):
        with pytest.raises(ValueError, match=rf"{layer.name} in km/s has shape \(3,\) for 2 spectra"):
            layer.broaden(torch.ones(2, 20), STEP, torch.ones(3))

    @pytest.mark.parametrize("value", [0.0, -STEP, float("nan"), float("inf")])
    def test_step_that_is_none(self, layer, value):
        with pytest.raises(ValueError, match="log_step in ln λ must be positive and finite, got"):
            layer.broaden(torch.ones(2, 20), value, 3.0)

    @pytest.mark.parametrize("shape", [(20,), (2, 0), (1, 2, 20)])
    def test_flux_that_is_no_batch(self, layer, shape):
        with pytest.raises(ValueError, match=r"flux has shape .*\(B, L\)"):
            unwrap(layer.broaden)(torch.ones(shape), STEP, 3.0)


def test_cascade_is_the_product_of_transforms():
    flux = rough(400, 2)
    vsini, vmac = (
        torch.tensor([[90.0], [0.0]], dtype=torch.float64),
        torch.tensor([[0.0], [55.0]]).double() + 9.0,
    )
    cascade = broaden_by_macroturbulence(broaden_by_rotation(flux, STEP, vsini[:, 0]), STEP, vmac[:, 0])
    k = frequencies(flux, STEP)
    product = convolve(flux, rotation_transform(k, vsini) * macroturbulence_transform(k, vmac))
    swapped = broaden_by_rotation(broaden_by_macroturbulence(flux, STEP, vmac[:, 0]), STEP, vsini[:, 0])
    torch.testing.assert_close(cascade, product, rtol=1e-13, atol=0)
    torch.testing.assert_close(cascade, swapped, rtol=1e-13, atol=0)


def test_gaussians_three_then_four_are_five_up_to_the_ends():
    flux = rough(300)
    k = frequencies(flux, 1.0)
    three, four, five = (torch.exp(-0.5 * (sigma * k) ** 2) for sigma in (3.0, 4.0, 5.0))
    torch.testing.assert_close(
        convolve(convolve(flux, three), four), convolve(flux, five), rtol=1e-13, atol=0
    )
