"""Lines of a gap spectrum: found where they are, and attributed to what made them."""

import math

import numpy as np
import pytest

from synth2obs.analysis.attribution import NONE, attribute_lines
from synth2obs.analysis.lines import Line, strongest_lines

WAVELENGTH = np.arange(5000.0, 5200.0, 0.05)
SIGMA = np.full(WAVELENGTH.size, 1e-3)
WIDTH = 0.2


def profile(centre, depth=1.0):
    return depth * np.exp(-0.5 * ((WAVELENGTH - centre) / WIDTH) ** 2)


def noise(seed=0):
    return np.random.default_rng(seed).normal(0.0, 1e-3, WAVELENGTH.size)


class TestStrongestLines:
    def test_recovers_place_depth_and_equivalent_width(self):
        gap = noise() - profile(5050.3, 0.1) + profile(5120.0, 0.05)
        first, second = strongest_lines(gap, SIGMA, WAVELENGTH, threshold=8.0)
        assert abs(first.wavelength - 5050.3) < 0.02 and abs(second.wavelength - 5120.0) < 0.03
        assert abs(first.depth - 0.1) < 4e-3 and abs(second.depth + 0.05) < 4e-3
        area = 1e3 * 0.1 * WIDTH * math.sqrt(2 * math.pi)
        assert abs(first.equivalent_width - area) < 4 * first.equivalent_width_error + 0.02 * area
        assert second.equivalent_width < 0
        assert first.significance == pytest.approx(first.depth / 1e-3)
        assert first.start < 5050.3 < first.stop

    def test_finds_nothing_in_noise(self):
        assert strongest_lines(noise(), SIGMA, WAVELENGTH) == []

    def test_count_and_separation(self):
        gap = -sum(profile(centre, 0.1) for centre in np.arange(5005.0, 5195.0, 2.0))
        lines = strongest_lines(gap, SIGMA, WAVELENGTH, count=7)
        assert len(lines) == 7
        apart = strongest_lines(gap, SIGMA, WAVELENGTH, count=500, min_separation=3.0)
        peaks = np.sort([line.wavelength for line in apart])
        assert len(peaks) > 40 and np.diff(peaks).min() > 2.9

    def test_unknown_cells_are_left_out(self):
        gap, sigma = -profile(5050.0, 0.1), SIGMA.copy()
        hidden = np.abs(WAVELENGTH - 5050.0) < 2.0
        gap[hidden], sigma[hidden] = np.nan, np.inf
        assert strongest_lines(gap, sigma, WAVELENGTH) == []

    def test_line_at_the_edge(self):
        (line,) = strongest_lines(-profile(5000.0, 0.1), SIGMA, WAVELENGTH)
        assert line.start == 5000.0

    def test_shapes_are_checked(self):
        with pytest.raises(ValueError, match="one shape"):
            strongest_lines(SIGMA, SIGMA, WAVELENGTH[1:])


class TestAttributeLines:
    gradients = {
        "Fe": -profile(5030.0, 0.3) - profile(5100.0, 0.2) - profile(5150.4, 0.1),
        "Ti": -profile(5031.1, 0.2) - profile(5100.5, 0.3),
    }

    def attribute(self, gap, **options):
        lines = strongest_lines(gap, SIGMA, WAVELENGTH, threshold=8.0)
        return attribute_lines(lines, gap, SIGMA, WAVELENGTH, self.gradients, **options)

    def test_names_the_element_and_its_change(self):
        for name in self.gradients:
            gap = noise() + 0.3 * self.gradients[name] + 0.01
            found = self.attribute(gap - 0.01)
            assert len(found) >= 2
            for item in found:
                assert item.element == name and item.probability > 0.8
                assert abs(item.change - 0.3) < 0.05
                assert sum(item.probabilities.values()) == pytest.approx(1.0)
                assert item.runner_up != name and item.probabilities[item.runner_up] <= item.probability

    def test_line_of_no_known_element_is_none(self):
        gap = noise() - profile(5070.0, 0.1) - profile(5030.5, 0.1)
        for item in self.attribute(gap):
            assert item.unexplained > 0.9 and item.probabilities[NONE] == item.unexplained

    def test_identical_templates_share_the_probability(self):
        gap = noise() + 0.3 * self.gradients["Fe"]
        lines = strongest_lines(gap, SIGMA, WAVELENGTH, threshold=8.0)
        twins = {"Fe": self.gradients["Fe"], "Co": self.gradients["Fe"]}
        for item in attribute_lines(lines, gap, SIGMA, WAVELENGTH, twins):
            assert item.probabilities["Fe"] == pytest.approx(item.probabilities["Co"])

    def test_unbelievable_change_is_refused(self):
        gap = noise() + 0.3 * self.gradients["Fe"]
        for item in self.attribute(gap, max_change=0.1):
            assert item.probabilities["Fe"] == 0

    def test_no_gradients_leave_none(self):
        gap = noise() - profile(5050.0, 0.1)
        lines = strongest_lines(gap, SIGMA, WAVELENGTH)
        (item,) = attribute_lines(lines, gap, SIGMA, WAVELENGTH, {})
        assert item.element == item.runner_up == NONE and math.isnan(item.change)
        assert item.unexplained == 1 and item.probability == 0

    def test_a_line_of_the_atmosphere_says_so(self):
        telluric = Line(
            wavelength=6300.0,
            depth=0.1,
            depth_error=0.01,
            equivalent_width=10.0,
            equivalent_width_error=1.0,
            significance=10.0,
            start=6299.0,
            stop=6301.0,
        )
        wavelength = np.arange(6290.0, 6310.0, 0.1)
        flat = np.ones(len(wavelength))
        (item,) = attribute_lines([telluric], -0.1 * flat, flat, wavelength, {})
        assert item.note == "telluric O₂ γ" and item.wavelength == 6300.0
        assert all(item.note == "" for item in self.attribute(noise() + 0.3 * self.gradients["Fe"]))

    def test_units_of_flux_do_not_matter(self):
        gap = noise() + 0.3 * self.gradients["Fe"]
        one = self.attribute(gap)[0]
        lines = strongest_lines(7 * gap, 7 * SIGMA, WAVELENGTH, threshold=8.0)
        scaled = {name: 7 * g for name, g in self.gradients.items()}
        two = attribute_lines(lines, 7 * gap, 7 * SIGMA, WAVELENGTH, scaled)[0]
        assert one.probabilities == pytest.approx(two.probabilities)
