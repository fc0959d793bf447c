"""Native residuals on the rest grid: the shift, the interpolation, and pixels that are not there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.core.constants import C_KMS
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.restframe import to_rest
from synth2obs.models.fit.task import evaluate_at

COUNT = 3
RV = np.array([0.0, 150.0, -80.0])


@pytest.fixture(scope="module")
def fitted(bridge, labels_of, stars_of):
    """Three stars at known velocities, with the labels that they have."""
    labels = labels_of(COUNT, seed=3, share=0.5)
    spectra = replace(stars_of(bridge, labels, RV), rv=RV)
    seen = prepare(bridge, "toy", spectra)
    latent = bridge.emulator(bridge.scale(torch.from_numpy(labels)))
    return seen, evaluate_at(bridge, seen, latent, Options(steps=1, rv_sigma=0.0))


def carried(fitted, values):
    seen, fit = fitted
    rest = torch.linspace(5100.0, 5180.0, 400, dtype=torch.float64)
    return rest, *to_rest(seen, fit, rest, values)


def doppler(rv):
    beta = torch.from_numpy(rv) / C_KMS
    return torch.sqrt((1 + beta) / (1 - beta))[:, None]


def test_a_line_at_rest_is_at_rest_whatever_the_velocity(fitted):
    seen, fit = fitted
    assert torch.allclose(fit.rv, torch.from_numpy(RV))
    native = seen.log_wave.exp() / doppler(RV)
    line = torch.exp(-0.5 * ((native - 5140.0) / 4.0) ** 2)
    rest, values, _ = carried(fitted, line)
    centre = (values * rest).sum(1) / values.sum(1)
    assert torch.allclose(centre, torch.tensor(5140.0).double(), atol=0.02)


def test_a_linear_function_of_wavelength_is_exact(fitted):
    seen, _ = fitted
    rest, values, ivar = carried(fitted, (seen.log_wave - np.log(5140.0)).expand(COUNT, -1) * 100)
    expected = 100 * (rest.log() + doppler(RV).log() - np.log(5140.0))
    assert (ivar > 0).all()
    assert torch.allclose(values.double(), expected, atol=1e-4)


def test_a_masked_pixel_masks_both_its_intervals_and_spoils_nothing_else(fitted):
    seen, fit = fitted
    pixel = 100
    weights, spoiled = fit.ivar.clone(), fit.residual.clone()
    weights[0, pixel], spoiled[0, pixel] = 0.0, 1e3
    rest = torch.linspace(5100.0, 5180.0, 400, dtype=torch.float64)
    before = to_rest(seen, fit, rest)
    after = to_rest(seen, replace(fit, ivar=weights, residual=spoiled), rest)
    native = seen.log_wave.exp()
    touched = (rest > native[pixel - 1]) & (rest < native[pixel + 1])
    assert touched.any() and not after[1][0, touched].any()
    assert torch.equal(after[1][0, ~touched] > 0, before[1][0, ~touched] > 0)
    assert torch.equal(after[0][0, ~touched], before[0][0, ~touched])
    assert torch.equal(after[0][1:], before[0][1:])


def test_nothing_is_known_beyond_the_pixels(fitted):
    seen, fit = fitted
    rest = torch.tensor([4000.0, 5010.0, 5390.0, 9000.0], dtype=torch.float64)
    values, ivar = to_rest(seen, fit, rest)
    assert not ivar.any() and torch.isfinite(values).all()


def test_weights_are_those_of_the_normalised_flux(fitted):
    seen, fit = fitted
    rest = seen.log_wave.exp()[60:80].double()
    ivar = to_rest(seen, replace(fit, rv=torch.zeros_like(fit.rv)), rest)[1]
    expected = (seen.ivar * fit.continuum.square())[:, 60:80]
    assert torch.allclose(ivar, expected, rtol=1e-3)


def test_nothing_is_known_between_detectors(fitted):
    seen, fit = fitted
    edge = 100
    split = replace(seen, segment=(torch.arange(len(seen.segment)) >= edge).long())
    rest = torch.linspace(5100.0, 5180.0, 400, dtype=torch.float64)
    before, after = to_rest(seen, fit, rest)[1], to_rest(split, fit, rest)[1]
    native = seen.log_wave.exp()
    between = (rest > native[edge - 1]) & (rest < native[edge])
    assert between.any() and (before[0] > 0).all() and not after[0, between].any()
    assert torch.equal(after[0, ~between], before[0, ~between])
