"""A survey's morph has to earn its place beside a gap."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.models.checkpoint import load_tensors
from synth2obs.models.fit import surprise
from synth2obs.models.fit.result import FIELDS, LabelFit
from synth2obs.training.build import first_state
from synth2obs.training.run import read_config
from synth2obs.training.stages import gap
from synth2obs.training.stages.gap import GapStage
from synth2obs.training.stages.morph import MorphStage


@pytest.fixture
def stage(domains, small, trained, keep_torch):
    """The stage at its start, after the session's training of morphs."""
    with keep_torch():
        config = read_config(None, [*small, "morph.gated=true"])
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


@pytest.mark.parametrize("kept", [True, False])
def test_a_morph_stays_if_validation_stars_ask_for_it(kept, stage, monkeypatch):
    """Either way the round that counts is that of the morph that stays."""
    monkeypatch.setattr(surprise, "EARNED", -1e9 if kept else 1e9)
    monkeypatch.setattr(surprise, "SURE", 0.0)
    monkeypatch.setattr(gap, "MOVED", np.inf)
    spoil(stage)
    before = moved(stage)
    assert before > 0.1
    metrics = stage.step(0)
    assert metrics["miles/morph_kept"] == kept and np.isfinite(metrics["miles/morph_gain"])
    assert moved(stage) == (before if kept else pytest.approx(0.0, abs=1e-6))
    assert stage.state.bridge.survey("miles").gap.mean.any()


def fit_of(surprises, x):
    """A fit of one pixel a star, with two labels, each with an error of 1."""
    count = len(surprises)
    names = dict.fromkeys(FIELDS, torch.zeros(count))
    column = torch.ones(count, 1)
    chi2 = 2.0 * torch.as_tensor(surprises)
    own = {
        "theta": x,
        "covariance": torch.eye(2).expand(count, 2, 2),
        "chi2": chi2,
        "pixels": torch.ones(count),
    }
    return LabelFit(**{**names, "ivar": column, "continuum": column, **own})


@pytest.mark.parametrize(
    ("gain", "shift", "kept"),
    [(0.01, 0.0, True), (0.01, 0.05, True), (0.01, 0.2, False), (0.01, -0.2, False), (0.0005, 0.0, False)],
)
def test_a_morph_stays_if_it_gains_and_moves_no_labels(gain, shift, kept):
    labels = torch.randn(9, 2, generator=torch.Generator().manual_seed(0)).double()
    moved = labels + torch.tensor([0.0, shift])
    told = gap.judged(fit_of([1.0 - gain] * 9, moved), fit_of([1.0] * 9, labels), [0, 1])
    assert told["morph_kept"] == kept
    assert told["morph_gain"] == pytest.approx(gain, abs=1e-6)
    assert told["morph_shift"] == pytest.approx(abs(shift))


@pytest.mark.parametrize("gains", [[-0.3, 0.4, 0.01, -0.2, 0.3, 0.02, -0.1, 0.1, 0.0], [0.5]])
def test_a_gain_within_its_error_is_none(gains):
    """Nine stars that disagree, and a single one, do not speak for a morph."""
    labels = torch.zeros(len(gains), 2).double()
    told = gap.judged(
        fit_of([1.0 - gain for gain in gains], labels), fit_of([1.0] * len(gains), labels), [0, 1]
    )
    assert not told["morph_kept"] and told["morph_gain_error"] > 0.04


def test_without_validation_stars_the_morph_stays(stage, monkeypatch):
    surveys = stage.state.domains.surveys
    nobody = {
        name: replace(survey, part=np.where(survey.part == "validation", "test", survey.part))
        for name, survey in surveys.items()
    }
    monkeypatch.setattr(stage.state, "domains", replace(stage.state.domains, surveys=nobody))
    before = moved(stage)
    assert "miles/morph_kept" not in stage.step(0) and moved(stage) == before


@pytest.mark.parametrize(("blur", "features"), [(np.inf, 10), (0.0, 1)])
def test_a_gap_has_the_features_that_validation_stars_afford(blur, features, stage, monkeypatch):
    monkeypatch.setattr("synth2obs.models.fit.surprise.EARNED", -np.inf)
    monkeypatch.setattr("synth2obs.models.fit.features.BLUR", blur)
    model = stage.state.bridge.survey("miles")
    model.gap.config = model.gap.config.model_copy(update={"gated": True})
    metrics = stage.step(0)
    assert metrics["miles/gap_features"] == features
    assert model.gap.mean[:features].any() and not model.gap.mean[features:].any()


def test_a_last_step_tells_what_surveys_have_in_common(stage):
    config = stage.state.bridge.survey("miles").config.gap
    shared = GapStage(stage.state, config.model_copy(update={"common": True}))
    names = stage.state.bridge.surveys
    assert shared.steps == stage.steps + 1 and len(names) == 2
    for index in range(stage.steps):
        assert "gap_common" not in shared.step(index)
    before = {name: stage.state.bridge.survey(name).gap.mean.clone() for name in names}
    metrics = shared.step(stage.steps)
    for name in names:
        assert metrics[f"{name}/gap_own"] > 0
        assert not torch.equal(stage.state.bridge.survey(name).gap.mean, before[name])
    assert metrics["gap_common"] > 0
