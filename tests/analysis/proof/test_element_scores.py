"""Scores of named elements by hand."""

import numpy as np
import pytest

from synth2obs.analysis.attribution import NONE, AttributedLine
from synth2obs.analysis.proof.element_scores import element_scores


def line(probabilities, significance=10.0):
    names = sorted((name for name in probabilities if name != NONE), key=lambda name: -probabilities[name])
    return AttributedLine(
        wavelength=5000.0,
        depth=0.1,
        depth_error=0.01,
        equivalent_width=10.0,
        equivalent_width_error=1.0,
        significance=significance,
        start=4999.0,
        stop=5001.0,
        element=names[0],
        probability=probabilities[names[0]],
        runner_up=names[1],
        change=0.1,
        unexplained=probabilities[NONE],
        probabilities=probabilities,
        changes={},
        note="",
    )


LINES = [
    line({"Fe": 0.8, "Ti": 0.1, "Ca": 0.05, "Cr": 0.03, NONE: 0.02}),
    line({"Ti": 0.6, "Fe": 0.2, "Ca": 0.1, "Cr": 0.0, NONE: 0.1}),
    line({"Ca": 1.0, "Fe": 0.0, "Ti": 0.0, "Cr": 0.0, NONE: 0.0}, significance=50.0),
]


def test_by_hand():
    hit = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
    depth = np.array([0.01, 0.08, 0.2, 0.09])
    found = element_scores(LINES, np.array(["Fe", "Cr", "Fe", "Ca"]), depth, hit, 50)
    assert found["lines_found"].value == 0.75
    assert found["element_top1"].value == pytest.approx(2 / 3)
    assert found["element_top3"].value == pytest.approx(2 / 3)
    assert found["element_top1_deep"].value == 0.5
    assert found["element_stated"].value == pytest.approx(0.8)
    assert found["element_brier"].value == pytest.approx((0.2**2 + 0.6**2) / 3)


def test_the_most_significant_line_counts():
    hit = np.array([[1], [0], [1]], bool)
    found = element_scores(LINES, np.array(["Ca"]), np.array([0.01]), hit, 50)
    assert found["element_top1"].value == 1.0 and "element_top1_deep" not in found


def test_nothing_found():
    found = element_scores(LINES, np.array(["Ca"]), np.array([0.1]), np.zeros((3, 1), bool), 50)
    assert set(found) == {"lines_found"} and found["lines_found"].value == 0.0
