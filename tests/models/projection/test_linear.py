"""The two forms of the map from coefficients to pixels are the same map, and their sums are what they say."""

import pytest
import torch

from synth2obs.core.line_spread import LineSpread
from synth2obs.models.noise.covariance import Noise
from synth2obs.models.projection.linear import Expansion
from synth2obs.models.projection.star import Projected
from synth2obs.physics.continuum import chebyshev_basis
from synth2obs.physics.instrument import Instrument

COUNT = 5


@pytest.fixture(scope="module")
def scene(build):
    """Both maps of the same stars at their velocities, on fine pixels, and where sums are wanted."""
    bridge = build(busy=True)
    model = bridge.survey("toy")
    kernel = torch.exp(-0.5 * (torch.arange(-12, 13) / 3.0) ** 2)[None, None]
    model.gap.mean.copy_(torch.nn.functional.conv1d(model.gap.mean[:, None], kernel / 4.0, padding=12)[:, 0])
    wavelength = torch.arange(5030.0, 5370.0, 0.35, dtype=torch.float64)
    segment = (wavelength > 5200.0).long()
    sigma = float(model.lsf_sigma[0] / model.wavelength[0]) * wavelength
    decoder = bridge.decoder
    instrument = Instrument(
        decoder.rest_wavelength, wavelength, segment, LineSpread.gaussian(sigma), decoder.rest_sigma
    )
    random = torch.Generator().manual_seed(3)
    rv = torch.linspace(-60.0, 75.0, COUNT, dtype=torch.float64)
    u = torch.randn(COUNT, decoder.latent, generator=random, dtype=torch.float64)
    found = model.coefficients(decoder, u)
    through = bridge.native.through("toy", instrument, segment).of(None, rv)
    functions = model.project(decoder, instrument, rv)
    projected = Projected(functions, wavelength.log(), _inner(segment))
    still = torch.zeros(COUNT, dtype=torch.float64)
    spectrum, by_rv = through.spectrum(found.value, still)
    good = torch.rand(spectrum.shape, generator=random) > 0.2
    ivar = 1e4 / spectrum * good
    level = 1.0 + 0.1 * torch.sin(torch.linspace(0.0, 3.0, len(wavelength))).expand_as(spectrum)
    basis = chebyshev_basis(wavelength, segment, 3).float()
    place = Expansion(found.value, still, spectrum, 10.0 * by_rv, Noise(ivar), level, basis)
    return through, projected, found, place


def _inner(segment: torch.Tensor) -> torch.Tensor:
    joined = segment.diff() == 0
    return torch.nn.functional.pad(joined, (1, 0)) & torch.nn.functional.pad(joined, (0, 1))


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_spectra_are_the_same(scene, shift):
    through, projected, found, _ = scene
    rv = torch.full((COUNT,), shift, dtype=torch.float64)
    one, by_rv = through.spectrum(found.value, rv)
    two, differences = projected.spectrum(found.value, rv)
    inner = projected.inner
    torch.testing.assert_close(one[:, inner], two[:, inner], rtol=0, atol=2e-5)
    limit = 0.02 * float(by_rv.abs().max())
    torch.testing.assert_close(by_rv[:, inner], differences[:, inner], rtol=0, atol=limit)
    torch.testing.assert_close(through.native(found.value, rv), one, rtol=0, atol=1e-6)


@pytest.mark.parametrize("which", [0, 1], ids=["through", "projected"])
def test_pull_is_the_transpose(scene, which):
    model, (_, _, found, place) = scene[which], scene
    rv = torch.full((COUNT,), 0.3, dtype=torch.float64)
    values = torch.cos(torch.arange(place.noise.white.numel(), dtype=torch.float32)).view_as(
        place.noise.white
    )
    forward = (model.spectrum(found.value, rv)[0] * values).sum(1)
    backward = (model.pull(values, rv) * found.value.float()).sum(1)
    torch.testing.assert_close(forward, backward, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("which", [0, 1], ids=["through", "projected"])
def test_some_stars_are_those_stars(scene, which):
    model, (_, _, found, place) = scene[which], scene
    rows = torch.tensor([3, 1])
    whole, part = (
        model.spectrum(found.value, place.rv),
        model.take(rows).spectrum(found.value[rows], place.rv[rows]),
    )
    for one, two in zip(whole, part, strict=True):
        torch.testing.assert_close(one[rows], two, rtol=0, atol=1e-6)


def test_gram_is_the_sum_over_the_pixels(scene):
    """Errors from sums at rest equal those in each star's own pixels to 1 %."""
    through, projected, found, place = scene
    errors = []
    for model in (through, projected):
        gram = model.gram(place, found.jacobian)
        covariance = torch.linalg.inv(gram + torch.eye(gram.shape[1]))
        errors.append(covariance.diagonal(dim1=1, dim2=2)[:, : found.jacobian.shape[2]].sqrt())
    torch.testing.assert_close(errors[0], errors[1], rtol=1e-2, atol=0)
    dense = projected.functions.double() @ found.jacobian.double() * place.continuum[..., None]
    expected = dense.mT @ (dense * place.noise.white[..., None].double())
    size = expected.shape[1]
    torch.testing.assert_close(
        projected.gram(place, found.jacobian)[:, :size, :size], expected, rtol=1e-4, atol=1e-2
    )


def test_products_steer(scene):
    """Over short stretches they are those of the pixels, relative to what such sums can be."""
    through, projected, _, place = scene
    near, exact = through.products(place), projected.products(place)
    weight = place.noise.white * place.continuum.square()
    functions = exact.normal.diagonal(dim1=1, dim2=2).sqrt()
    velocity = (weight * place.by_rv.square()).sum(1, keepdim=True).sqrt()
    basis = (place.noise.white * place.spectrum.square() @ place.continuum_basis.square()).sqrt()
    largest = (
        functions[:, :, None] * functions[:, None],
        functions * velocity,
        functions[:, :, None] * basis[:, None],
    )
    for one, two, most, limit in zip(near, exact, largest, (0.03, 0.04, 0.04), strict=True):
        assert ((one - two).abs() / most).max() < limit


def test_the_map_is_kept_until_the_model_changes(build):
    bridge = build()
    first = bridge.native.through("toy")
    assert bridge.native.through("toy") is first
    bridge.survey("toy").width_scale.fill_(1.2)
    changed = bridge.native.through("toy")
    assert changed is not first and changed.width == 1.2
    bridge.decoder.mean.mul_(0.5)
    assert bridge.native.through("toy") is not changed
