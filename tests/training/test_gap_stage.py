"""A survey's morph has to earn its place beside a gap."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.models.checkpoint import load_tensors
from synth2obs.training.build import first_state
from synth2obs.training.run import read_config
from synth2obs.training.stages import gap
from synth2obs.training.stages.gap import GapStage
from synth2obs.training.stages.morph import MorphStage


@pytest.fixture
def stage(domains, small, trained, keep_torch):
    """The stage at its start, after the session's training of morphs."""
    with keep_torch():
        config = read_config(None, small)
        state = first_state(config, domains)
        tensors, _ = load_tensors(trained.folder / "checkpoints" / "morph.safetensors")
        MorphStage(state, config.morph).load(tensors)
        yield GapStage(state, config.gap)


@torch.no_grad()
def moved(stage, name="miles"):
    """Rms change of latents by a survey's morph."""
    u = torch.randn(
        20, stage.state.bridge.decoder.latent, generator=torch.Generator().manual_seed(0)
    ).double()
    return float((stage.state.bridge.survey(name).morph(u)[0] - u).square().mean().sqrt())


def spoil(stage):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in stage.state.bridge.survey("miles").morph.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))


def test_a_morph_that_makes_held_out_stars_less_likely_is_undone(stage):
    spoil(stage)
    before = moved(stage)
    metrics = stage.step(0)
    assert metrics["miles/morph_kept"] == 0.0
    assert metrics["miles/validation_nll_morph"] > metrics["miles/validation_nll_identity"]
    assert before > 0.1 and moved(stage) < 1e-6
    assert stage.state.bridge.survey("miles").gap.mean.any()


def test_a_morph_that_earns_its_place_is_kept_with_its_own_round(stage, monkeypatch):
    monkeypatch.setattr(gap, "EARNED", -100.0)
    spoil(stage)
    before = moved(stage)
    assert stage.step(0)["miles/morph_kept"] == 1.0
    assert moved(stage) == before
    whole = stage.state.bridge.survey("miles").gap.mean.clone()
    monkeypatch.setattr(gap, "EARNED", 100.0)
    other = stage.step(0)
    assert other["miles/morph_kept"] == 0.0
    assert not torch.equal(stage.state.bridge.survey("miles").gap.mean, whole)


def test_without_validation_stars_the_morph_stays(stage, monkeypatch):
    surveys = stage.state.domains.surveys
    nobody = {
        name: replace(survey, part=np.where(survey.part == "validation", "test", survey.part))
        for name, survey in surveys.items()
    }
    monkeypatch.setattr(stage.state, "domains", replace(stage.state.domains, surveys=nobody))
    before = moved(stage)
    assert "miles/morph_kept" not in stage.step(0) and moved(stage) == before
