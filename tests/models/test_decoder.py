"""The decoder: its slopes, its start from singular vectors, and that it commutes with the instrument."""

import pytest
import torch

from synth2obs.models.decoder import Branch, Decoder


@pytest.fixture
def decoder(bridge):
    return bridge.decoder


@pytest.fixture
def started(bridge, labels_of, spectra_of):
    """A decoder just started from a grid, and that grid."""
    flux = torch.from_numpy(spectra_of(labels_of(60))).float()
    own = bridge.decoder
    decoder = Decoder(own.rest_wavelength, own.rest_sigma, latent=4, rank=7, hidden=5)
    decoder.start_from(flux)
    return decoder, flux


def test_branch_jacobian_is_its_slope(slope_of):
    torch.manual_seed(0)
    branch = Branch(5, 9, 7).double()
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter)
    u = torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(branch.jacobian(u), slope_of(branch, u), rtol=1e-7, atol=1e-8)


def test_gauss_newton_step_from_the_origin_is_the_projection(started):
    decoder, flux = started
    origin = torch.zeros(1, decoder.latent)
    jacobian = (decoder.trunk.table() @ decoder.branch.jacobian(origin)[0]).double()
    offset = (flux - decoder.mean).double()
    u = torch.linalg.lstsq(jacobian, offset.T).solution.T
    vectors = torch.linalg.svd(offset, full_matrices=False)[2][: decoder.latent]
    projection = offset @ vectors.T @ vectors
    torch.testing.assert_close(decoder(u.float()) - decoder.mean, projection.float(), rtol=0, atol=2e-6)


def test_start_whitens_the_grid(started):
    decoder, flux = started
    jacobian = decoder.trunk.table()[:, : decoder.latent].double()
    u = torch.linalg.lstsq(jacobian, (flux - decoder.mean).double().T).solution.T
    torch.testing.assert_close(u.T @ u / len(u), torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-4)
    assert torch.equal(decoder(torch.zeros(1, 4))[0], decoder.mean)


def test_gradient_step_of_an_orthonormal_start_is_the_projection(started):
    """With unit learning rate on half the squared residual, as in Gradient Origin Networks."""
    decoder, flux = started
    decoder.start_from(flux, whiten=False)
    offset = flux - decoder.mean
    u = torch.zeros(len(flux), decoder.latent, requires_grad=True)
    loss = 0.5 * (decoder(u) - flux).square().sum()
    step = -torch.autograd.grad(loss, u)[0]
    vectors = torch.linalg.svd(offset, full_matrices=False)[2][: decoder.latent]
    projection = offset @ vectors.T @ vectors
    torch.testing.assert_close(decoder(step) - decoder.mean, projection, rtol=0, atol=5e-6)


def test_start_from_fewer_spectra_than_functions(started):
    decoder, flux = started
    decoder.trunk.fine.data.fill_(0.0)
    decoder.start_from(flux[:3])
    table = decoder.trunk.table()
    assert torch.isfinite(table).all() and (table[:, 3:] == 0).all()


def test_at_the_rest_samples_it_is_forward(decoder):
    u = torch.randn(3, decoder.latent)
    torch.testing.assert_close(decoder.at(u, decoder.rest_wavelength), decoder(u), rtol=0, atol=1e-5)


def test_between_samples_it_stays_near_its_neighbours(decoder):
    u = torch.randn(3, decoder.latent)
    grid = decoder.rest_wavelength
    middle = decoder.at(u, (grid[1:] * grid[:-1]).sqrt())
    flux = decoder(u)
    jump = (flux[:, 1:] - flux[:, :-1]).abs().max()
    assert (middle - 0.5 * (flux[:, 1:] + flux[:, :-1])).abs().max() < 0.5 * jump


@pytest.mark.parametrize("wavelength", [4999.0, 5401.0, float("nan")])
def test_wavelengths_outside_are_refused(decoder, wavelength):
    with pytest.raises(ValueError, match=r"5000\.0–5400\.0 Å .*cut them"):
        decoder.at(torch.zeros(1, decoder.latent), torch.tensor([5100.0, wavelength]))


def test_rank_below_latent_is_refused(decoder):
    with pytest.raises(ValueError, match=r"at least the latent's length 5, got 4; raise decoder\.rank"):
        Decoder(decoder.rest_wavelength, decoder.rest_sigma, latent=5, rank=4, hidden=3)


def test_instrument_acts_on_functions_or_on_spectra_alike(bridge, instrument):
    decoder, model = bridge.decoder, bridge.survey("toy")
    u, rv = torch.randn(3, decoder.latent), torch.tensor([-80.0, 0.0, 120.0], dtype=torch.float64)
    functions = instrument.project(model.sharp(decoder), rv)
    coefficients = torch.cat([torch.ones(3, 1), decoder.branch(u)], dim=1)
    flux = torch.einsum("bpm,bm->bp", functions, coefficients)
    torch.testing.assert_close(flux, instrument(decoder(u), rv), rtol=0, atol=3e-6)
