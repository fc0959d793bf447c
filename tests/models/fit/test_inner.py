"""Inner steps, which touch no pixel: sums that only steer must not lead them astray."""

from dataclasses import replace

import pytest
import torch

from synth2obs.models.contracts import PriorTerms
from synth2obs.models.fit.inner import advance
from synth2obs.models.fit.objective import Objective, evaluate, quadratic
from synth2obs.models.fit.parameters import FARTHEST, LatentParameters
from synth2obs.models.fit.solver import minimise
from synth2obs.models.noise.covariance import Noise
from synth2obs.models.projection.star import Projected
from synth2obs.physics.continuum import chebyshev_basis

STARS = 4


@pytest.fixture
def objective(bridge, instrument):
    model, wavelength = bridge.survey("toy"), bridge.survey("toy").wavelength
    still = torch.zeros(STARS, dtype=torch.float64)
    bare = Objective(
        model=Projected(model.project(bridge.decoder, instrument, still), wavelength.log()),
        flux=torch.ones(STARS, instrument.pixels),
        noise=Noise(torch.full((STARS, instrument.pixels), 1e4)),
        continuum_basis=chebyshev_basis(wavelength, model.segment, 3).float(),
        parameters=LatentParameters(model, bridge.decoder),
    )
    truth = torch.randn(STARS, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return replace(bare, flux=evaluate(bare, truth, still).spectrum)


def test_a_normal_matrix_that_is_not_positive_leads_no_further_than_a_step_may_go(objective):
    """Then the quadratic falls for ever; the objective there could not even be evaluated."""
    start = evaluate(objective, torch.zeros(STARS, 6).double(), torch.zeros(STARS).double())
    local = quadratic(objective, start)
    lowest = 1e-3 * local.normal.diagonal(dim1=1, dim2=2).amax(1)
    bent = local._replace(normal=local.normal - lowest[:, None, None] * torch.eye(local.normal.shape[1]))
    assert torch.linalg.eigvalsh(bent.normal).amin() < 0
    theta, rv = advance(objective, start, bent, torch.full((STARS,), 1e-3).double())
    assert theta.abs().max() <= FARTHEST and torch.isfinite(rv).all()
    assert torch.isfinite(evaluate(objective, theta, rv).objective).all()


def test_far_latents_are_reached_in_several_looks(objective):
    """The bound is on one look."""

    def flat(theta):
        return PriorTerms(
            theta.new_zeros(len(theta)), 0 * theta, 1e-9 * torch.eye(6).double().expand(len(theta), 6, 6)
        )

    free = replace(objective, parameters=replace(objective.parameters, of_prior=flat))
    start = torch.full((STARS, 6), 2.5 * FARTHEST, dtype=torch.float64)
    found = minimise(free, start, steps=20)
    assert (found.objective < evaluate(free, start, torch.zeros(STARS).double()).objective).all()
    assert ((found.theta - start).abs().amax(1) > FARTHEST).any()
