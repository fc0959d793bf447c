"""Whose abundance a line follows from star to star."""

from dataclasses import replace

import numpy as np
import pytest

from synth2obs.analysis.attribution import NONE, attribute_lines, followed_by_stars
from synth2obs.analysis.elements import FEWEST, StarAbundances, element_evidence, shares
from synth2obs.analysis.lines import strongest_lines
from synth2obs.analysis.star_lines import usual_behaviour

ELEMENTS = ("Ca", "Cr", "Mg", "Ti")
ERROR = 0.04
SLOPES = np.array([0.8, -0.1, 1.0])
NOISE = 0.004


def stars(count=200, seed=0, error=ERROR):
    """Three tracers with terms of the first degree; fitted abundances are posterior means, as a fit has them."""
    random = np.random.default_rng(seed)
    tracers = random.normal(size=(count, 3))
    true = random.normal(0.0, 0.2, (count, len(ELEMENTS)))
    # The mean of N(0, 0.2²) given a measurement leaves noise that is independent of it.
    known = 0.2**2 / (0.2**2 + error**2)
    fitted = known * (true + random.normal(0.0, error, true.shape))
    covariance = np.zeros((count, 7, 7))
    covariance[:, range(3, 7), range(3, 7)] = known * error**2
    found = StarAbundances(
        elements=ELEMENTS,
        terms=np.concatenate([np.ones((count, 1)), tracers], axis=1),
        slopes=np.broadcast_to(np.eye(4)[:, 1:], (count, 4, 3)),
        abundances=fitted,
        covariance=covariance,
        usual=np.array([0.0, 0.7, 0.0, 1.0]),
        spread=0.2**2 * np.eye(4),
    )
    return found, tracers, true


def depths(tracers, change, level=0.06, seed=1):
    random = np.random.default_rng(seed)
    return level * np.exp(tracers @ SLOPES - 0.5 + change) + random.normal(0.0, NOISE, len(tracers))


def best(evidence):
    return max(evidence, key=evidence.__getitem__)


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("slope", [0.5, 0.9])
def test_the_element_of_a_line_is_recovered(element, slope):
    found, tracers, true = stars()
    depth = depths(tracers, slope * true[:, ELEMENTS.index(element)])
    evidence = element_evidence(found, depth, np.full(len(depth), NOISE**2))
    assert best(evidence) == element
    others = [value for name, value in evidence.items() if name != element]
    assert evidence[element] - max(others) > 3.0


def test_a_line_that_follows_labels_alone_is_irons():
    found, tracers, _ = stars()
    depth = depths(tracers, 0.0)
    evidence = element_evidence(found, depth, np.full(len(depth), NOISE**2))
    assert best(evidence) == "Fe" and evidence["Fe"] - evidence[NONE] > 3.0


@pytest.mark.parametrize("against", [0.0, -1.0])
def test_a_line_unlike_theorys_is_nones(against):
    found, tracers, _ = stars()
    random = np.random.default_rng(1)
    depth = 0.06 * np.exp(against * tracers @ SLOPES - 0.5 * abs(against)) + random.normal(0, NOISE, 200)
    assert best(element_evidence(found, depth, np.full(200, NOISE**2))) == NONE


def test_nothing_in_the_noise_decides_nothing():
    found, *_ = stars()
    depth = np.random.default_rng(1).normal(0.0, 1.0, len(found))
    evidence = element_evidence(found, depth, np.ones(len(found)))
    assert max(evidence.values()) - min(evidence.values()) < 4.0


def test_an_abundance_that_nobody_knows_is_not_refused():
    found, tracers, true = stars(error=2.0)
    depth = depths(tracers, 0.7 * true[:, 0])
    evidence = element_evidence(found, depth, np.full(len(depth), NOISE**2))
    assert max(evidence[name] for name in ELEMENTS) - min(evidence[name] for name in ELEMENTS) < 3.0


def test_the_order_of_stars_does_not_matter():
    found, tracers, true = stars()
    depth, variance = depths(tracers, 0.6 * true[:, 1]), np.full(200, NOISE**2)
    rows = np.random.default_rng(2).permutation(200)
    turned = replace(
        found,
        terms=found.terms[rows],
        slopes=found.slopes[rows],
        abundances=found.abundances[rows],
        covariance=found.covariance[rows],
    )
    assert element_evidence(turned, depth[rows], variance[rows]) == pytest.approx(
        element_evidence(found, depth, variance), abs=1e-3
    )


def test_a_masked_star_has_no_say():
    found, tracers, true = stars()
    depth, variance = depths(tracers, 0.6 * true[:, 1]), np.full(200, NOISE**2)
    variance[:40] = np.inf
    wild = depth.copy()
    wild[:40] = np.nan
    assert element_evidence(found, wild, variance) == pytest.approx(element_evidence(found, depth, variance))


def test_a_wild_star_does_not_decide():
    found, tracers, true = stars()
    depth, variance = depths(tracers, 0.7 * true[:, 2]), np.full(200, NOISE**2)
    depth[7] += 0.5
    assert best(element_evidence(found, depth, variance)) == "Mg"


def test_few_stars_say_nothing():
    found, tracers, true = stars(FEWEST - 1)
    assert set(element_evidence(found, depths(tracers, true[:, 0]), np.ones(FEWEST - 1)).values()) == {0.0}


def test_bad_input():
    found, *_ = stars(20)
    with pytest.raises(ValueError, match=r"must have shape \(20,\)"):
        element_evidence(found, np.ones(19), np.ones(20))
    with pytest.raises(ValueError, match=r"abundances must have shape \(20, 4\)"):
        replace(found, abundances=np.ones((20, 3)))
    with pytest.raises(ValueError, match="covariance must be finite"):
        replace(found, covariance=np.full((20, 7, 7), np.nan))


def test_probabilities_are_calibrated():
    right, stated = [], []
    for seed in range(60):
        found, tracers, true = stars(40, seed=seed)
        random = np.random.default_rng(1000 + seed)
        element, slope = random.integers(4), random.normal(0.7, 0.2)
        depth = depths(tracers, slope * true[:, element], level=0.02, seed=seed)
        evidence = element_evidence(found, depth, np.full(40, NOISE**2))
        weight = np.exp([evidence[name] - max(evidence.values()) for name in ELEMENTS])
        right.append(ELEMENTS[int(weight.argmax())] == ELEMENTS[element])
        stated.append(weight.max() / weight.sum())
    assert 0.4 < np.mean(right) < 1.0
    assert np.mean(stated) == pytest.approx(np.mean(right), abs=0.12)


def test_usual_behaviour_is_that_of_the_lines():
    found, tracers, true = stars(400)
    slopes = SLOPES + np.random.default_rng(3).normal(0.0, 0.2, (60, 3))
    lines = 0.1 * np.exp(tracers @ slopes.T + true[:, :1]).T
    mean, spread = usual_behaviour(lines, found.terms, true)
    assert mean[1:] == pytest.approx(slopes.mean(0), abs=0.02)
    assert np.sqrt(np.diag(spread)[1:]) == pytest.approx(slopes.std(0), abs=0.05)
    assert usual_behaviour(lines[:1], found.terms, true)[0].any() == np.False_


def test_shares_are_probabilities():
    found = shares({"Fe": [0.4, -0.5], "Ti": [0.1, np.nan], "Sr": [0.0, 0.0]})
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["Fe"] / found["Ti"] == pytest.approx(3.0) and found["Sr"] == 0.0
    assert shares({"Fe": [0.0], "Ti": [0.0]}) == {"Fe": 0.5, "Ti": 0.5}


class TestFollowedByStars:
    wavelength = np.arange(5000.0, 5060.0, 0.1)
    sigma = np.full(wavelength.size, 1e-3)
    gradient = -0.3 * np.exp(-0.5 * ((wavelength - 5030.0) / 0.4) ** 2)

    def lines(self, place):
        gap = -0.05 * np.exp(-0.5 * ((self.wavelength - place) / 0.4) ** 2)
        gap = gap + np.random.default_rng(0).normal(0.0, 1e-3, gap.size)
        found = strongest_lines(gap, self.sigma, self.wavelength, count=1)
        gradients = {"Fe": self.gradient, "Ti": 0.0 * self.gradient}
        return attribute_lines(found, gap, self.sigma, self.wavelength, gradients)

    def test_a_line_that_theory_lacks_gets_the_element_that_it_follows(self):
        lines = self.lines(5010.0)
        assert lines[0].unexplained > 0.9
        (found,) = followed_by_stars(lines, [{"Fe": 0.0, "Ti": 8.0, NONE: 0.0}], [{"Fe": 0.5, "Ti": 0.5}])
        assert found.element == "Ti" and found.probability > 0.99 and found.alternatives == ""
        assert sum(found.probabilities.values()) == pytest.approx(1.0)

    def test_stars_that_cannot_tell_leave_shares_and_none(self):
        (found,) = followed_by_stars(
            self.lines(5010.0), [dict.fromkeys(("Fe", "Ti", NONE), 3.0)], [{"Fe": 0.8, "Ti": 0.2}]
        )
        assert found.unexplained == pytest.approx(0.5, abs=0.05)
        assert found.element == "Fe" and found.probability == pytest.approx(0.4, abs=0.05)
        assert found.alternatives == f"Ti {found.probabilities['Ti']:.2f}"

    def test_a_line_that_theory_has_needs_no_stars(self):
        lines = self.lines(5030.0)
        assert lines[0].element == "Fe" and lines[0].probability > 0.9
        (found,) = followed_by_stars(
            lines, [dict.fromkeys(("Fe", "Ti", NONE), 0.0)], [{"Fe": 0.5, "Ti": 0.5}]
        )
        assert found.element == "Fe" and found.probability > 0.9 and found.change == lines[0].change
