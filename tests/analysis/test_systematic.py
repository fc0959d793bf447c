"""Depths of the gap's lines are known no better than the emulator and the continuum are."""

import numpy as np
import pytest

from synth2obs.analysis.lines import strongest_lines
from synth2obs.analysis.survey_gap import gap_floor, gap_lines, gap_metrics, line_width, survey_gap
from synth2obs.analysis.systematic import believable, continuum_floor, emulator_floor
from synth2obs.io.strong_lines import StrongLines

WAVE = np.arange(5000.0, 5400.0, 0.2)


def gap(*lines, level=0.0):
    """Lines of (centre, depth) with σ = 0.6 Å on a level that waves."""
    profile = sum(depth * np.exp(-0.5 * ((WAVE - centre) / 0.6) ** 2) for centre, depth in lines)
    return -profile + level * np.sin(2 * np.pi * WAVE / 200.0)


def test_a_level_that_wanders_is_measured_and_lines_are_not():
    lines = [(5050.0 + 20 * k, 0.04) for k in range(12)]
    assert continuum_floor(gap(*lines), WAVE, 1.4) < 1e-3
    wandering = continuum_floor(gap(*lines, level=0.01), WAVE, 1.4)
    assert wandering == pytest.approx(0.01 * 1.4826 / 2**0.5, rel=0.25)
    holes = gap(*lines, level=0.01)
    holes[:50] = np.nan
    assert np.isfinite(continuum_floor(holes, WAVE, 1.4))


def test_lines_are_ranked_by_depth_and_know_the_floor():
    mean, sigma = gap((5100.0, 0.03), (5200.0, -0.05), (5300.0, 0.004)), np.full(WAVE.size, 4e-4)
    sigma[WAVE > 5150] = 2e-3
    found = strongest_lines(mean, sigma, WAVE, 50)
    assert found[0].depth == pytest.approx(0.03, rel=0.01), (
        "by significance, the line with small errors is first"
    )
    floor = np.full(WAVE.size, 3e-3)
    kept = believable(found, floor, WAVE, 5.0)
    assert [round(line.depth, 2) for line in kept] == [-0.05, 0.03]
    assert kept[1].depth_error == pytest.approx(np.hypot(4e-4, 3e-3))
    assert kept[1].significance == pytest.approx(0.03 / np.hypot(4e-4, 3e-3), rel=0.01)
    width = kept[1].stop - kept[1].start
    assert kept[1].equivalent_width_error >= 1e3 * width * 3e-3
    unchanged = believable(found, np.zeros(WAVE.size), WAVE, 5.0)
    assert sorted(line.depth_error for line in unchanged) == sorted(line.depth_error for line in found)


class TestOnABridge:
    def test_the_floor_is_that_of_emulator_and_continuum(self, bridge):
        labels = bridge.labels.default[None]
        found = survey_gap(bridge, "far", labels)
        floor, grid = gap_floor(bridge, "far", labels, found), bridge.decoder.rest_wavelength.numpy()
        continuum = continuum_floor(found["gap_mean"], grid, line_width(bridge, "far"))
        np.testing.assert_allclose(
            floor, np.hypot(emulator_floor(bridge, bridge.surveys[0], labels), continuum)
        )
        assert (floor >= continuum).all()

    def test_lines_of_a_report_have_it_and_names(self, bridge):
        labels = bridge.labels.default[None]
        found = survey_gap(bridge, "far", labels)
        plain = gap_lines(bridge, "far", labels, found, 5)
        names = StrongLines(
            np.sort([line.wavelength for line in plain]),
            np.array(["Xx I"] * len(plain)),
            np.ones(len(plain)),
        )
        told = gap_metrics(bridge, "far", labels, 5, names=names)
        assert told["line_floor"] > 0 and len(told["lines"]) <= 5
        depths = [abs(line["depth"]) for line in told["lines"]]
        assert depths == sorted(depths, reverse=True)
        assert all(line["depth_error"] >= told["line_floor"] / 10 for line in told["lines"])
