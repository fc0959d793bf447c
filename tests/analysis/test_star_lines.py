"""Lines of a gap in every star."""

import numpy as np
import pytest
import torch

from synth2obs.analysis.attribution import NONE
from synth2obs.analysis.lines import Line
from synth2obs.analysis.star_lines import abundance_labels, star_lines
from synth2obs.analysis.survey_gap import gap_lines, survey_gap
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.task import fit_labels

PLACE, WIDTH = 5171.0, 2.5
DEPTHS = np.linspace(0.02, 0.08, 40)
"""Depths of a line that stars have and theory has not."""


@pytest.fixture(scope="module")
def seen(bridge, labels_of, stars_of):
    flux = bridge.predict(labels_of(40, seed=21, share=0.7), "near")
    wavelength = bridge.survey("near").wavelength.numpy()
    profile = np.exp(-0.5 * ((wavelength - PLACE) / WIDTH) ** 2)
    return prepare(bridge, "near", stars_of("near", flux - DEPTHS[:, None] * profile, snr=300))


@pytest.fixture(scope="module")
def found(bridge, seen):
    return star_lines(bridge, seen, fit_labels(bridge, seen, Options(steps=6)))


@pytest.fixture(scope="module")
def gap(bridge):
    grid = bridge.decoder.rest_wavelength.numpy()
    return -0.05 * np.exp(-0.5 * ((grid - PLACE) / WIDTH) ** 2)


def line(gap, sign=1.0):
    return Line(
        wavelength=PLACE,
        depth=sign * 0.05,
        depth_error=1e-3,
        equivalent_width=1.0,
        equivalent_width_error=1.0,
        significance=50.0,
        start=PLACE - 3,
        stop=PLACE + 3,
    )


def test_depths_are_those_of_the_stars(found, gap):
    depth, variance = found.depths(line(gap), gap)
    kept = len(found.known)
    assert kept >= 30 and depth.shape == variance.shape == (kept,)
    # Labels take a part of a line, and the continuum another.
    assert np.corrcoef(depth, DEPTHS[:kept])[0, 1] > 0.9
    assert np.median(depth) == pytest.approx(0.05, rel=0.3)
    assert (variance > 0).all() and np.sqrt(np.median(variance)) < 0.01


def test_a_line_that_theory_makes_too_strong_has_a_depth_as_well(found, gap):
    depth, _ = found.depths(line(gap), gap)
    other, _ = found.depths(line(gap, -1.0), -gap)
    np.testing.assert_allclose(other, -depth)


def test_a_masked_star_has_no_depth(bridge, seen, gap):
    wavelength = seen.log_wave.exp()
    hidden = seen.ivar.clone()
    hidden[3, (wavelength - PLACE).abs() < 12] = 0.0
    masked = type(seen)(**{**vars(seen), "ivar": hidden})
    some = star_lines(bridge, masked, fit_labels(bridge, masked, Options(steps=6)))
    depth, variance = some.depths(line(gap), gap)
    assert np.isinf(variance).sum() == np.isnan(depth).sum() == 1
    assert all(np.isfinite(value) for value in some.evidence(line(gap), gap).values())


def test_elements_are_the_grids(bridge, found, gap):
    assert abundance_labels(bridge) == {"Mg": 4}
    assert found.known.elements == ("Mg",) and found.known.abundances.shape == (len(found.known), 1)
    assert set(found.evidence(line(gap), gap)) == {"Mg", "Fe", NONE}
    median = np.median(found.known.abundances)
    assert -0.3 < median < 0.5


def test_lines_of_a_survey_are_followed(bridge, found):
    labels = bridge.labels.default[None]
    gap = survey_gap(bridge, "far", labels)
    lines = gap_lines(bridge, "far", labels, gap, 5)
    followed = gap_lines(bridge, "far", labels, gap, 5, found)
    assert [one.wavelength for one in lines] == [one.wavelength for one in followed]
    assert all(sum(one.probabilities.values()) == pytest.approx(1.0) for one in followed)


def test_no_usable_star_leaves_the_gradients(bridge, seen, gap):
    few = seen.take(torch.arange(9))
    some = star_lines(bridge, few, fit_labels(bridge, few, Options(steps=6)))
    assert set(some.evidence(line(gap), gap).values()) == {0.0}
