"""Rotation and macroturbulence together, on a grid with a hole."""

import pytest
import torch

from synth2obs.core.constants import C_KMS
from synth2obs.physics import Broadening, broaden_by_macroturbulence, broaden_by_rotation

STEP = 8e-5
BANDS = [slice(0, 300), slice(300, 700)]
VSINI, VMAC = (torch.tensor(values, dtype=torch.float64) for values in ([0.0, 40.0, 90.0], [10.0, 0.0, 30.0]))


@pytest.fixture
def flux():
    random = torch.Generator().manual_seed(2)
    noise = torch.rand(3, 1, 740, generator=random, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (torch.arange(-20, 21, dtype=torch.float64) / 2.0) ** 2)
    return torch.nn.functional.conv1d(noise, kernel[None, None] / kernel.sum())[:, 0]


def test_it_is_one_after_the_other_band_by_band(flux):
    found = Broadening(VSINI, VMAC).apply(flux, STEP, BANDS)
    for band in BANDS:
        turned = broaden_by_rotation(flux[:, band], STEP, VSINI)
        torch.testing.assert_close(found[:, band], broaden_by_macroturbulence(turned, STEP, VMAC))


def test_what_all_share_is_what_each_has(flux):
    shared, each = Broadening.shared(60.0, 15.0), Broadening(torch.full((3,), 60.0), torch.full((3,), 15.0))
    torch.testing.assert_close(shared.apply(flux, STEP, BANDS), each.apply(flux, STEP, BANDS))
    torch.testing.assert_close(shared.margin(STEP).float(), each.margin(STEP)[0])


def test_nothing_shared_is_nothing_to_do():
    assert Broadening.shared(0.0) is None
    some = Broadening(torch.tensor([0.0, 5.0, 0.0]), torch.tensor([0.0, 0.0, 5.0]))
    assert some.present.tolist() == [False, True, True] and some.margin(STEP)[0] == 0
    assert some.take(torch.tensor([1])).vsini.tolist() == [5.0]


def test_flux_beyond_the_ends_matters_only_within_the_margin(flux):
    broadening = Broadening(VSINI, VMAC)
    whole = broadening.apply(flux, STEP, [slice(0, 700)])[:, 200:500]
    part = broadening.apply(flux[:, 200:500], STEP, [slice(0, 300)])
    for star, margin in enumerate(broadening.margin(STEP)):
        inner = slice(int(margin / STEP) + 1, 299 - int(margin / STEP))
        torch.testing.assert_close(part[star, inner], whole[star, inner], rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["vsini", "vmac"])
def test_speeds_that_cannot_be_are_named(flux, name, value):
    speeds = dict.fromkeys(("vsini", "vmac"), torch.zeros(3, dtype=torch.float64))
    speeds[name] = torch.tensor([1.0, value, 2.0], dtype=torch.float64)
    with pytest.raises(ValueError, match=f"{name} in km/s.*use 0"):
        Broadening(**speeds).apply(flux, STEP, BANDS)


def test_the_margin_is_the_width_of_the_profile():
    margin = Broadening(torch.tensor(C_KMS * 1e-3), torch.tensor(0.0)).margin(1e-6)
    torch.testing.assert_close(margin, torch.tensor(1e-3 + 16e-6))
