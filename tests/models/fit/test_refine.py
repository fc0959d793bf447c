"""One round of the gap: a planted gap comes back within its error, and noise is called noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import (
    FLOOR,
    UNKNOWN,
    inside,
    refine_gap,
    rms,
    teachers,
    typical,
    update_scatter,
)
from synth2obs.models.fit.task import fit_labels

COUNT, SNR = 60, 100.0
CENTRE, DEPTH, WIDTH = 5145.0, 0.06, 2.5


@pytest.fixture(scope="module")
def planted(build, labels_of, stars_of):
    """A bridge, stars whose spectra miss a line in theory, and their labels."""
    bridge = build(degree=0, window=20)
    labels = labels_of(COUNT, seed=8, share=0.6)
    spectra = stars_of(bridge, labels, np.zeros(COUNT), snr=SNR, seed=5)
    line = DEPTH * np.exp(-0.5 * ((spectra.wavelength - CENTRE) / WIDTH) ** 2)
    level = np.median(spectra.flux, axis=1, keepdims=True)
    return bridge, replace(spectra, flux=(spectra.flux - line * level).astype(np.float32)), labels


def planted_gap(bridge):
    rest = bridge.decoder.rest_wavelength
    return rest, -DEPTH * torch.exp(-0.5 * ((rest - CENTRE) / WIDTH) ** 2)


def test_a_planted_gap_comes_back_within_its_posterior(planted):
    bridge, spectra, labels = planted
    seen = prepare(bridge, "toy", spectra)
    x = bridge.scale(torch.from_numpy(labels))
    for _ in range(3):
        fit, posterior = refine_gap(bridge, seen, x, seen.rv)
        x = fit.theta
    rest, truth = planted_gap(bridge)
    gap, sigma = bridge.survey("toy").gap.mean[0], posterior.covariance[:, 0, 0].sqrt()
    core = (rest - CENTRE).abs() < WIDTH
    assert gap[core].min() < -0.7 * DEPTH
    # The continuum and the labels take part of a common line; the rest is within the error.
    assert (gap - truth)[core].abs().max() < 5 * sigma[core].max() + 0.2 * DEPTH
    away = ((rest - CENTRE).abs() > 5 * WIDTH) & (rest > 5030) & (rest < 5370)
    assert gap[away].square().mean().sqrt() < 0.1 * DEPTH
    pull = gap[away] / sigma[away]
    assert pull.square().mean().sqrt() < 2.0
    assert posterior.log_evidence.sum() > posterior.log_evidence_null.sum()


def test_a_refined_gap_explains_the_residual(planted):
    bridge, spectra, labels = planted
    seen, start = prepare(bridge, "toy", spectra), bridge.scale(torch.from_numpy(labels))
    options = Options(steps=6, refresh=1, scatter=False)
    without = fit_labels(bridge, seen, replace(options, morphed=False), start, seen.rv)
    refine_gap(bridge, seen, start, seen.rv)
    found = fit_labels(bridge, seen, options, start, seen.rv)
    assert rms(found).median() < 0.9 * rms(without).median()
    assert rms(found).median() == pytest.approx(1 / SNR, rel=0.15)


@pytest.fixture(scope="module")
def quiet(build, labels_of, stars_of):
    """Stars that theory describes, with white noise, and their fit."""
    bridge = build(degree=0)
    labels = labels_of(COUNT, seed=9, share=0.6)
    spectra = stars_of(bridge, labels, np.zeros(COUNT), snr=SNR, seed=6)
    seen = prepare(bridge, "toy", spectra)
    start = bridge.scale(torch.from_numpy(labels))
    return bridge, seen, fit_labels(bridge, seen, Options(steps=4, scatter=False), start, seen.rv)


def test_noise_leaves_no_scatter(quiet):
    bridge, seen, fit = quiet
    model, rest = bridge.survey("toy"), bridge.decoder.rest_wavelength
    update_scatter(bridge, seen, fit)
    inside = (rest > 5030) & (rest < 5370) & ((rest - 5203).abs() > 15)
    assert model.gap.scatter[inside].sqrt().median() < 0.5 / SNR
    assert model.gap.scatter.sqrt().min() == pytest.approx(FLOOR, rel=1e-4)
    assert model.gap.scatter[0].sqrt() == pytest.approx(UNKNOWN, rel=1e-4)


def test_planted_scatter_comes_back(quiet):
    bridge, seen, fit = quiet
    model, rest = bridge.survey("toy"), bridge.decoder.rest_wavelength
    chance = (torch.randperm(COUNT, generator=torch.Generator().manual_seed(3)) + 0.5) / COUNT
    shake = 0.05 * torch.special.ndtri(chance)[:, None]
    update_scatter(bridge, seen, replace(fit, residual=fit.residual + shake * (fit.ivar > 0)))
    inside = (rest > 5030) & (rest < 5370) & ((rest - 5203).abs() > 15)
    assert model.gap.scatter[inside].sqrt().median() == pytest.approx(0.05, rel=0.1)


def test_strange_stars_shape_no_gap(quiet):
    _, _, fit = quiet
    chi2 = fit.chi2.clone()
    chi2[3], chi2[5] = 1e9, torch.nan
    kept = typical(replace(fit, chi2=chi2), 4.0)
    assert not kept[3] and not kept[5] and int(kept.sum()) == COUNT - 2


def test_stars_at_the_end_of_the_grid_teach_nothing(quiet):
    bridge, _, fit = quiet
    x, teff = fit.x.clone(), bridge.labels.index("teff")
    x[4] = bridge.scale(torch.from_numpy(np.where(np.arange(5) == teff, 1e4, bridge.labels.default))[None])[0]
    kept = teachers(bridge, replace(fit, theta=x), 4.0)
    assert not kept[4] and not inside(bridge, x)[4]
    assert int(kept.sum()) == int((typical(fit, 4.0) & inside(bridge, fit.x)).sum()) - 1


def test_a_survey_of_stars_outside_the_grid_teaches_all_the_same(quiet):
    bridge, _, fit = quiet
    teff = bridge.labels.index("teff")
    table = np.tile(np.where(np.arange(5) == teff, 1e4, bridge.labels.default), (COUNT, 1))
    kept = teachers(bridge, replace(fit, theta=bridge.scale(torch.from_numpy(table))), 4.0)
    assert torch.equal(kept, typical(fit, 4.0))


def test_a_scatter_is_never_below_what_the_decoder_leaves(planted):
    bridge, spectra, labels = planted
    seen, x = prepare(bridge, "toy", spectra), bridge.scale(torch.from_numpy(labels))
    bridge.theory_error.remainder.fill_(0.01**2)
    _, posterior = refine_gap(bridge, seen, x, seen.rv)
    scatter = bridge.survey("toy").gap.scatter
    bridge.theory_error.remainder.zero_()
    assert not scatter.requires_grad and (posterior.scatter < 0.01**2).any()
    assert (scatter >= 0.01**2 * (1 - 1e-5)).all()
