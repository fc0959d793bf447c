"""The theory stage: what it learns beyond principal components, on all or on some spectra, and its encoding."""

import pytest
import torch

from synth2obs.core.errors import ConfigError
from synth2obs.models.decoder.branch import Branch
from synth2obs.models.decoder.encode import QUIET, encode_flux, encode_linear, encode_reduced
from synth2obs.models.decoder.from_grid import coefficients, evenly, latent_weight
from synth2obs.training.build import first_state
from synth2obs.training.domains import load_domains
from synth2obs.training.run import read_config
from synth2obs.training.stages.theory import TheoryStage
from synth2obs.training.theory_errors import grid_latents

MEDIUM = ("data.start=5150", "data.stop=5250", "decoder.latent=12", "decoder.rank=48", "decoder.hidden=400")


def trained_stage(small, *settings):
    config = read_config(None, [*small, *MEDIUM, *settings])
    stage = TheoryStage(first_state(config, load_domains(config.data, config.seed)), config.theory)
    for index in range(stage.steps):
        stage.step(index)
    return stage, stage.finish()


@pytest.fixture(scope="module")
def whole(small, keep_torch):
    with keep_torch():
        return trained_stage(small, "theory.steps=60")


def test_beats_principal_components_on_spectra_left_out(whole):
    _, found = whole
    assert found["decoder/rms"] < 0.6 * found["decoder/pca_rms"]


MG_B = (5167.0, 5184.0)


@torch.no_grad()
def predicted(bridge, x):
    return torch.cat([bridge.decoder(bridge.emulator(part).float()) for part in x.split(64)])


def test_more_magnesium_never_fills_its_lines(whole):
    """Mean flux of Mg b falls from every step of [Mg/Fe] to the next, over the grid's range, for held-out labels."""
    state = whole[0].state
    bridge, column = state.bridge, state.bridge.labels.index("mg_fe")
    wavelength, means = bridge.decoder.rest_wavelength, []
    band = (wavelength > MG_B[0]) & (wavelength < MG_B[1])
    for value in torch.linspace(float(state.x[:, column].min()), float(state.x[:, column].max()), 6):
        x = state.x[~state.kept].clone()
        x[:, column] = value
        means.append(predicted(bridge, x)[:, band].mean(1))
    rise = torch.stack(means, dim=1).diff(dim=1)
    assert rise.max() < 1e-3 and rise.mean() < -1e-3


def test_flux_stays_between_nothing_and_the_continuum(whole):
    state = whole[0].state
    flux = predicted(state.bridge, state.x[~state.kept])
    assert flux.min() > -0.02 and flux.max() < 1.02


@pytest.mark.slow
def test_steps_improve_on_the_closed_form(small):
    sizes = ("decoder.latent=32", "decoder.rank=128")
    start, end = (trained_stage(small, *sizes, f"theory.steps={steps}")[1] for steps in (0, 400))
    assert end["decoder/rms"] < 0.9 * start["decoder/rms"]
    assert end["decoder/rms"] < 0.55 * end["decoder/pca_rms"]


def test_latents_are_white_and_encoding_finds_them_again(whole):
    stage, _ = whole
    found = grid_latents(stage.state)[stage.state.kept].double()
    torch.testing.assert_close(found.T @ found / len(found), torch.eye(12).double(), rtol=0, atol=0.15)
    chosen = grid_latents(stage.state)[stage.chosen].double()
    own = stage.state.bridge.decoder.branch.inner.place(chosen)
    assert (own - stage.manifold.latents).square().mean().sqrt() < 0.1 * stage.manifold.latents.std(0).min()


def test_a_part_of_the_spectra_gives_nearly_the_same(whole, small):
    """Latents of half of them are optimised; the other half still takes part in the branch."""
    stage, found = trained_stage(small, "theory.steps=60", "theory.spectra=180")
    assert len(stage.manifold.latents) == 180
    units = int((stage.state.bridge.decoder.branch.outer.weight.abs().sum(0) > 0).sum())
    assert units == min(int(stage.state.kept.sum()), 400) > 180
    assert found["decoder/rms"] < 1.15 * whole[1]["decoder/rms"]


def test_too_few_spectra_for_the_latents_are_refused(small):
    with pytest.raises(
        ConfigError, match=r"decoder\.latent = 12 .* theory\.spectra = 12 .*; lower decoder\.latent or raise"
    ):
        trained_stage(small, "theory.spectra=12")


def test_a_stage_taken_up_goes_on_with_the_same_numbers(whole, small):
    first, _ = whole
    config = read_config(None, [*small, *MEDIUM, "theory.steps=3"])
    one, two = (TheoryStage(first_state(config, first.state.domains), config.theory) for _ in range(2))
    one.step(0)
    two.load({key: value.clone() for key, value in one.tensors().items()})
    assert one.step(1) == two.step(1)
    assert one.finish() == two.finish()


def test_latent_weight_is_the_flux_that_a_latent_moves(whole):
    stage, _ = whole
    decoder = stage.state.bridge.decoder
    u = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))
    table, moved = decoder.trunk.table().double(), []
    with torch.no_grad():
        for axis in torch.eye(12, dtype=torch.float64):
            ahead, behind = (decoder.branch(u + sign * 1e-4 * axis) for sign in (1, -1))
            slope = (ahead - behind) @ table.T / 2e-4
            moved.append(slope.square().mean().sqrt())
        torch.testing.assert_close(
            latent_weight(stage.state.bridge.decoder, u), torch.stack(moved).float(), rtol=1e-3, atol=1e-7
        )


def test_complete_spectra_are_encoded_alike_by_both_ways(whole):
    stage, _ = whole
    decoder, flux = stage.state.bridge.decoder, stage.state.flux[:5]
    ivar = torch.full_like(flux, QUIET**-2)
    with torch.no_grad():
        one = encode_linear(decoder.branch, decoder.trunk.table(), flux - decoder.mean, ivar, "gauss-newton")
    torch.testing.assert_close(encode_flux(decoder, flux), one, rtol=0, atol=5e-3)


@pytest.fixture
def bent():
    """A branch so curved that plain Gauss–Newton overshoots, and what its latents give."""
    torch.manual_seed(3)
    branch = Branch(4, 9, 20)
    branch.skip.data.normal_()
    branch.outer.weight.data.normal_(0.0, 4.0)
    branch.inner.length.fill_(1.0)
    branch.requires_grad_(False)
    truth = torch.randn(40, 4, dtype=torch.float64)
    normal = 1e4 * torch.eye(9, dtype=torch.float64).expand(40, 9, 9)
    return branch, truth, normal, 1e4 * branch(truth)


def test_more_steps_never_fit_worse(bent):
    branch, _, normal, moment = bent

    def energy(u):
        g = branch(u)
        return 1e4 * g.square().sum(1) - 2 * (moment * g).sum(1) + u.square().sum(1)

    energies = torch.stack([energy(encode_reduced(branch, normal, moment, steps)) for steps in range(10)])
    assert (energies.diff(dim=0) <= 1e-6).all()
    assert (energies[-1] < energies[0]).all()


def test_latents_of_a_curved_decoder_come_back(bent):
    branch, truth, normal, moment = bent
    found = encode_reduced(branch, normal, moment, 40)
    near = (found - truth).abs().amax(1) < 0.02
    assert near.double().mean() > 0.7


def test_encoding_has_gradients(bent):
    branch, _, normal, moment = bent
    chosen = moment[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: encode_reduced(branch, normal[:2], m, 2), chosen, atol=1e-4)


@pytest.mark.parametrize("count, rows", [(3, [0, 4, 9]), (10, list(range(10))), (99, list(range(10)))])
def test_chosen_spectra_are_spread(count, rows):
    assert evenly(torch.arange(10) * 2, count).tolist() == [2 * row for row in rows]


def test_coefficients_have_the_products_of_the_spectra():
    flux = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flux = torch.cat([flux, flux.sum(0, keepdim=True)])
    found = coefficients(flux)
    assert found.shape == (7, 4)
    torch.testing.assert_close(found @ found.T, flux @ flux.T)
