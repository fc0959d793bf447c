"""The decoder: its slopes, its start from singular vectors, and that it commutes with the instrument."""

from pathlib import Path

import numpy as np
import pytest
import torch

from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import log_grid
from synth2obs.io.grids import broaden_grid, read_raw_grid
from synth2obs.models.decoder.decoder import Decoder

RAW = Path(__file__).parents[3] / "../shared/data/grids/optical_ts_marcs.h5"
STEP = 4e-5
SIGMA = 1.7 * STEP
"""Lines with four samples per FWHM."""


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


def test_trunk_spans_changes_that_the_spectra_do_not_show(started):
    decoder, flux = started
    change = 0.01 * torch.sin(torch.arange(flux.shape[1]) / 3.0)[None]

    def left():
        basis = torch.linalg.qr(decoder.trunk.table().detach().double())[0]
        return float((change - change.double() @ basis @ basis.T).norm() / change.norm())

    before = left()
    decoder.start_from(flux, also=100.0 * change)
    assert left() < 0.01 < 0.5 < before


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
    with pytest.raises(DataError, match=r"1 wavelengths lie outside the bands 5000\.00-5400\.00 Å"):
        decoder.at(torch.zeros(1, decoder.latent), torch.tensor([5100.0, wavelength]))


def test_rank_below_latent_is_refused(decoder):
    with pytest.raises(ValueError, match=r"at least the latent's length 5, got 4; raise decoder\.rank"):
        Decoder(decoder.rest_wavelength, decoder.rest_sigma, latent=5, rank=4, hidden=3)


def lines(wavelength, seed=0, stars=30):
    """Spectra of stars with 40 lines between 5000 and 5050 Å and as many from 15100 to 15250 Å, at any wavelengths."""
    random = np.random.default_rng(seed)
    centres = np.log(np.concatenate([random.uniform(5000, 5050, 40), random.uniform(15100, 15250, 40)]))
    depths = 0.5 * random.random((stars, 4)) @ random.random((4, 80)) / 2
    profiles = np.exp(-0.5 * ((np.log(wavelength)[:, None] - centres) / SIGMA) ** 2)
    return torch.from_numpy(1.0 - depths @ profiles.T).float()


def started_on(wavelength, latent=4):
    grid = torch.from_numpy(wavelength)
    decoder = Decoder(grid, SIGMA * grid, latent=latent, rank=6, hidden=5)
    decoder.start_from(lines(wavelength))
    basis = decoder.trunk.table()[:, :latent].double()
    u = torch.linalg.lstsq(basis, (lines(wavelength) - decoder.mean).double().T).solution.T.float()
    return decoder.requires_grad_(False), u.detach()


class TestBands:
    @pytest.fixture
    def optical(self):
        return log_grid(5000.0, 5050.0, STEP)

    @pytest.fixture
    def joined(self, optical):
        return np.concatenate([optical, log_grid(15100.0, 15250.0, STEP)])

    def test_a_hole_has_no_samples(self, joined):
        decoder, _ = started_on(joined)
        assert decoder.trunk.table().shape == (len(joined), 6) and len(joined) < 600
        assert decoder.trunk.edges.tolist() == [0, 249, len(joined)]

    def test_one_latent_gives_all_bands(self, joined):
        decoder, u = started_on(joined)
        torch.testing.assert_close(decoder(u), lines(joined), rtol=0, atol=1e-5)

    def test_unseen_wavelengths_of_every_band(self, joined):
        decoder, u = started_on(joined)
        between = np.concatenate(
            [log_grid(low, high, 0.31 * STEP) for low, high in ((5000, 5049.9), (15100, 15249))]
        )
        error = decoder.at(u, torch.from_numpy(between)) - lines(between)
        assert error.square().mean().sqrt() < 3e-4
        assert error[:, 10:-10].abs().max() < 5e-3

    def test_the_end_of_a_band_does_not_depend_on_the_next(self, joined, optical):
        ends = torch.from_numpy(log_grid(5045.0, optical[-1], 0.3 * STEP))
        both, u = started_on(joined)
        alone = Decoder(
            torch.from_numpy(optical), torch.from_numpy(SIGMA * optical), latent=4, rank=6, hidden=5
        )
        alone.mean.copy_(both.mean[: len(optical)])
        alone.trunk.fine.data.copy_(both.trunk.fine[: len(optical)])
        alone.branch.load_state_dict(both.branch.state_dict())
        torch.testing.assert_close(both.at(u, ends), alone.at(u, ends), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("wavelength", [5050.5, 9000.0, 15099.9, 15251.0])
    def test_wavelengths_in_the_hole_are_refused(self, joined, wavelength):
        decoder, u = started_on(joined)
        with pytest.raises(
            DataError, match=r"outside the bands 5000\.00-5049\..*, 15100\.00-15249\..* Å.*inside the bands"
        ):
            decoder.at(u, torch.tensor([5010.0, wavelength], dtype=torch.float64))

    def test_a_band_too_short_to_interpolate_is_refused(self, optical):
        grid = torch.from_numpy(np.concatenate([optical, log_grid(6000.0, 6001.0, STEP)]))
        with pytest.raises(ValueError, match=r"at least 6 samples, got bands of \[249, 5\]"):
            Decoder(grid, 1e-5 * grid, latent=2, rank=2, hidden=2)


@pytest.mark.skipif(not RAW.exists(), reason="needs the raw grid")
def test_unseen_wavelengths_of_real_spectra():
    """Trained at four samples per FWHM, asked at eight: no worse between its samples than at them."""
    grid = broaden_grid(read_raw_grid(RAW), start=5150.0, stop=5200.0, resolving_power=6000.0, step=2e-5)
    fine = torch.from_numpy(grid.flux)
    seen = torch.from_numpy(grid.wavelength[::2])
    decoder = Decoder(seen, seen / 14000, latent=60, rank=60, hidden=4).requires_grad_(False)
    decoder.start_from(fine[:, ::2])
    basis = decoder.trunk.table().double()
    u = torch.linalg.lstsq(basis, (fine[:, ::2] - decoder.mean).double().T).solution.T.float()
    inside = torch.from_numpy(grid.wavelength[: 2 * len(seen) - 1])
    error = (decoder.at(u, inside) - fine[:, : len(inside)]).square().mean(0).sqrt()
    assert error[1::2].mean() < 1.1 * error[::2].mean() < 1e-3


def test_instrument_acts_on_functions_or_on_spectra_alike(bridge, instrument):
    decoder = bridge.decoder
    u, rv = torch.randn(3, decoder.latent), torch.tensor([-80.0, 0.0, 120.0], dtype=torch.float64)
    functions = instrument.project(decoder.functions(), rv)
    coefficients = torch.cat([torch.ones(3, 1), decoder.branch(u)], dim=1)
    flux = torch.einsum("bpm,bm->bp", functions, coefficients)
    torch.testing.assert_close(flux, instrument(decoder(u), rv), rtol=0, atol=3e-6)
