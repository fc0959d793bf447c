"""Every transform of nflows that we use, by itself, against automatic differentiation: its last release is of 2020."""

import pytest
import torch
from torch.autograd.functional import jacobian

from synth2obs.models.alignment.flow import (
    COUPLINGS,
    AffineMap,
    Conditioner,
    FlowConfig,
    coupling_chain,
    density_flow,
)

DIM = 4
MASK = torch.tensor([0, 1, 1, 0])
CONFIG = FlowConfig(layers=4, hidden=8)


def coupling(kind):
    def net(inputs, outputs):
        return Conditioner(inputs, outputs, CONFIG.hidden)

    return COUPLINGS[kind](MASK, net, CONFIG)


TRANSFORMS = {
    **{kind: lambda kind=kind: coupling(kind) for kind in COUPLINGS},
    "matrix": lambda: AffineMap(DIM),
    **{
        f"chain of {kind}": lambda kind=kind: coupling_chain(DIM, CONFIG.model_copy(update={"kind": kind}))
        for kind in COUPLINGS
    },
}
PRECISE = {torch.float64: 1e-10, torch.float32: 2e-4}
"""Tolerance by type; a chain of float32 loses digits in its inverse."""


def moved(module, dtype):
    """The transform with every parameter away from its start."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module.to(dtype).eval()


def stars(count, dtype, scale=1.0):
    return scale * torch.randn(
        count, DIM, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    ).to(dtype)


@pytest.fixture(params=TRANSFORMS, ids=str)
def make(request):
    torch.manual_seed(0)
    return TRANSFORMS[request.param]


@pytest.mark.parametrize("dtype", PRECISE, ids=str)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_determinant_is_that_of_the_jacobian(direction, dtype, make):
    transform, inputs = moved(make(), dtype), stars(5, dtype)
    apply = getattr(transform, direction)
    found = apply(inputs)[1]
    rows = [jacobian(lambda row: apply(row[None])[0][0], row) for row in inputs]
    expected = torch.linalg.slogdet(torch.stack(rows)).logabsdet
    assert found.shape == (5,) and found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=0, atol=PRECISE[dtype])


@pytest.mark.parametrize("dtype", PRECISE, ids=str)
@pytest.mark.parametrize("scale", [1.0, 8.0], ids=["near", "far"])
def test_the_inverse_undoes_it(scale, dtype, make):
    """Far stars lie beyond the splines' ends, too."""
    transform, inputs = moved(make(), dtype), stars(64, dtype, scale)
    outputs, forward = transform(inputs)
    back, inverse = transform.inverse(outputs)
    assert (outputs - inputs).abs().max() > 0.1
    torch.testing.assert_close(back, inputs, rtol=0, atol=scale**2 * PRECISE[dtype])
    torch.testing.assert_close(inverse, -forward, rtol=0, atol=scale**2 * PRECISE[dtype])


@pytest.mark.parametrize("dtype", PRECISE, ids=str)
def test_a_star_alone_is_as_in_a_batch(dtype, make):
    transform, inputs = moved(make(), dtype), stars(16, dtype)
    for apply in (transform.forward, transform.inverse):
        together = apply(inputs)
        for row in (0, 7, 15):
            for whole, single in zip(together, apply(inputs[row : row + 1]), strict=True):
                torch.testing.assert_close(single[0], whole[row], rtol=0, atol=PRECISE[dtype])


@pytest.mark.parametrize("kind", COUPLINGS)
def test_a_coupling_leaves_what_it_is_conditioned_on(kind):
    transform, inputs = moved(coupling(kind), torch.float64), stars(8, torch.float64)
    outputs, _ = transform(inputs)
    assert torch.equal(outputs[:, MASK == 0], inputs[:, MASK == 0])
    assert not torch.isclose(outputs[:, MASK == 1], inputs[:, MASK == 1]).all()


@pytest.mark.parametrize("kind", COUPLINGS)
@pytest.mark.parametrize("dtype", PRECISE, ids=str)
def test_a_density_is_that_of_its_noise_times_the_determinant(dtype, kind):
    flow = moved(density_flow(DIM, CONFIG.model_copy(update={"kind": kind})), dtype)
    inputs = stars(32, dtype)
    noise, logabsdet = flow._transform(inputs)
    mean, log_width = (getattr(flow._distribution, name) for name in ("mean_", "log_std_"))
    expected = torch.distributions.Normal(mean, log_width.exp()).log_prob(noise).sum(-1) + logabsdet
    torch.testing.assert_close(flow.log_prob(inputs), expected, rtol=1e-5, atol=PRECISE[dtype])
